//! One thing that is wrong with a configuration file, and how a list of them reads.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

/// The longest piece of the file that is quoted, in characters.
const MAX_QUOTED_CHARS: usize = 80;

/// The longest name that is compared with the known ones; no key of ours is half as long.
const MAX_COMPARED_BYTES: usize = 64;

/// One thing that is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1; none where no line is to blame.
    pub line: Option<usize>,
    /// `section.key`, `section`, or empty where the text is not TOML.
    pub key: String,
    /// The value as it stands in the file, shortened.
    pub given: Option<String>,
    /// What would be allowed.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(given) = &self.given {
            write!(f, " = {given}")?;
        }
        if !self.key.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.reason)
    }
}

impl Problem {
    /// A byte sequence at `offset` that is not UTF-8, which TOML has to be.
    pub(super) fn not_utf8(bytes: &[u8], offset: usize) -> Self {
        let before = bytes.get(..offset).unwrap_or(bytes);
        Self {
            line: Some(line_after(before)),
            key: String::new(),
            given: None,
            reason: "not UTF-8, which TOML has to be".to_owned(),
        }
    }

    fn syntax(text: &str, error: &toml::de::Error) -> Self {
        Self {
            line: error.span().map(|span| line_of(text, span.start)),
            key: String::new(),
            given: None,
            reason: format!("not TOML: {}", one_line(error.message())),
        }
    }
}

/// Parses `text` as TOML, or gives every syntax error in it.
pub(super) fn parse_toml(text: &str) -> Result<DeTable<'_>, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table.into_inner());
    }
    let mut problems: Vec<_> = errors.iter().map(|e| Problem::syntax(text, e)).collect();
    problems.sort_by_key(|problem| problem.line);
    problems.dedup();
    Err(problems)
}

/// `file:line: problem`, one a line.
pub(super) fn listing(file: &Path, problems: &[Problem]) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| match problem.line {
            Some(line) => format!("{}:{line}: {problem}", file.display()),
            None => format!("{}: {problem}", file.display()),
        })
        .collect();
    lines.join("\n")
}

/// The line that the byte at `offset` stands in, counted from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    line_after(text.as_bytes().get(..offset).unwrap_or(text.as_bytes()))
}

fn line_after(before: &[u8]) -> usize {
    before.split(|byte| *byte == b'\n').count()
}

/// The piece of `text` at `span`, on one line and shortened.
pub(super) fn quoted(text: &str, span: Range<usize>) -> String {
    one_line(text.get(span).unwrap_or_default())
}

/// `text` without line ends or control characters, shortened.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == MAX_QUOTED_CHARS {
            line.push('…');
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

/// The one of `known` that `name` was most likely meant to be.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let (distance, best) = known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= (best.len() / 3).max(1)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_one() {
        assert_eq!(line_of("a\nb\nc", 0), 1);
        assert_eq!(line_of("a\nb\nc", 2), 2);
        assert_eq!(line_of("a\nb\nc", 99), 3);
    }

    #[test]
    fn quotes_are_one_short_line() {
        assert_eq!(quoted("ab\ncd", 0..5), "ab cd");
        let long = "x".repeat(500);
        assert_eq!(quoted(&long, 0..500).chars().count(), MAX_QUOTED_CHARS + 1);
        assert_eq!(quoted("short", 3..900), "");
    }

    #[test]
    fn nearest_is_near_or_nothing() {
        let known = ["redis_host", "redis_port", "redis_socket"];
        assert_eq!(nearest("redis_prot", known), Some("redis_port"));
        assert_eq!(nearest("Redis_Host", known), Some("redis_host"));
        assert_eq!(nearest("watchdog", known), None);
        assert_eq!(nearest(&"r".repeat(100_000), known), None);
    }
}
