//! The series that a `PromQL` expression asks for.

/// Words of the language that stand where a name could.
const WORDS: [&str; 8] = [
    "and", "or", "unless", "bool", "offset", "inf", "nan", "atan2",
];
/// Words that a list of labels follows.
const BEFORE_LABELS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

/// Every selector of an expression, with its matchers as they stand: `up{job="x"}`.
#[must_use]
pub fn selectors(expression: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let is_word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | ':' | '.');
        let length = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
        if first == '[' {
            rest = behind(rest, ']');
        } else if length == 0 {
            rest = &rest[first.len_utf8()..];
        } else {
            let word = &rest[..length];
            rest = rest[length..].trim_start();
            if first.is_ascii_digit() || first == '.' || WORDS.contains(&word) {
                continue;
            }
            if BEFORE_LABELS.contains(&word) {
                rest = behind(rest, ')');
            } else if rest.starts_with('{') {
                let after = behind(rest, '}');
                found.push(format!("{word}{}", &rest[..rest.len() - after.len()]));
                rest = after;
            } else if !rest.starts_with('(') && !followed_by_labels(rest) {
                found.push(word.to_owned());
            }
        }
    }
    found
}

/// `sum by (le) (x)`: the aggregation's name has its labels before its argument.
fn followed_by_labels(rest: &str) -> bool {
    ["by", "without"].iter().any(|word| {
        let after = rest.strip_prefix(word);
        after.is_some_and(|after| after.trim_start().starts_with('('))
    })
}

/// What stands behind the next `end` that is not inside a string.
fn behind(text: &str, end: char) -> &str {
    let mut quoted = false;
    for (at, char) in text.char_indices() {
        match char {
            '"' => quoted = !quoted,
            char if char == end && !quoted => return &text[at + end.len_utf8()..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_found_and_nothing_else() {
        for (expression, expected) in [
            ("up", &["up"][..]),
            ("a > b or c", &["a", "b", "c"]),
            (r#"up{job="a}b"} == 0"#, &[r#"up{job="a}b"}"#]),
            (
                "sum by (x, le) (rate(a_total{y=~\"1|2\"}[5m])) > 200e6",
                &["a_total{y=~\"1|2\"}"],
            ),
            ("topk(10, a * 60)", &["a"]),
            ("a / on (job) group_left (x) b", &["a", "b"]),
            ("sum(a) without (y)", &["a"]),
            ("time() - a offset 5m", &["a"]),
        ] {
            assert_eq!(selectors(expression), expected, "{expression}");
        }
    }
}
