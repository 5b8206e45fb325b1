//! One thing to run in the guest, and what has to come of it.

use super::DIRECTORY;
use super::guide::{Block, Manner};

/// Stands between what one step prints and what the next one does.
const STEP: &str = "@@@ step ";

/// A script, and what each of its steps prints.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Its file's name; what reports call it.
    pub(crate) name: String,
    pub(crate) text: String,
    /// Patterns for each step, in order.
    steps: Vec<Vec<String>>,
    status: i32,
}

impl Script {
    /// A check of ours: good if it ends well.
    pub(super) fn check(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: prelude() + text,
            steps: vec![],
            status: 0,
        }
    }

    /// A block of the guide, unless it is not to be run.
    pub(super) fn block(block: &Block) -> Option<Self> {
        let mut prelude = prelude();
        let mut status = 0;
        match &block.manner {
            Manner::NotRun => return None,
            Manner::Run => {}
            Manner::Fails(with) => status = i32::from(*with),
            Manner::Interrupted { after_secs } => {
                // The last command of such a block is the one that goes on.
                prelude = format!(
                    "if [ -z \"${{interrupted-}}\" ]; then\n\
                     interrupted=1 timeout --signal=INT {after_secs} bash \"$0\" || [ $? = 124 ]\n\
                     exit 0\nfi\n{prelude}"
                );
            }
            Manner::With(fixture) => {
                prelude.push_str(match &**fixture {
                    "sonic" => include_str!("fixtures/sonic.sh"),
                    _ => "echo \"there is no such fixture\"; exit 1\n",
                });
            }
        }
        let (body, steps) = steps(&block.text);
        Some(Self {
            name: format!("guide-{}", block.line),
            text: prelude + &body,
            steps,
            status,
        })
    }

    /// What is wrong with what it printed and how it ended; nothing, if nothing is.
    pub(super) fn faults(&self, lines: &[String], end: &str) -> Vec<String> {
        let mut faults = Vec::new();
        if end != format!("exit status: {}", self.status) {
            faults.push(format!("{end}, not {}", self.status));
        }
        let mut printed = vec![Vec::new()];
        for line in lines {
            if line.starts_with(STEP) {
                printed.push(Vec::new());
            } else if let Some(step) = printed.last_mut() {
                step.push(line.trim_end());
            }
        }
        for (number, patterns) in self.steps.iter().enumerate() {
            let mut printed = printed.get(number).into_iter().flatten();
            for pattern in patterns {
                if !printed.any(|line| matches(pattern, line)) {
                    faults.push(format!("it does not print: {pattern}"));
                    break;
                }
            }
        }
        faults
    }
}

/// What every script begins with: one that fails shows what the daemon said.
fn prelude() -> String {
    format!(
        "set -euo pipefail\ncd {DIRECTORY}\n\
         trap '[ $? = 0 ] || journalctl -q -u portsyncd -u \"portsyncd@*\" -n 15 --no-pager' EXIT\n"
    )
}

/// The script with a mark after each step, and what each step prints.
fn steps(text: &str) -> (String, Vec<Vec<String>>) {
    let mut body = String::new();
    let mut steps: Vec<Vec<String>> = Vec::new();
    let mut patterns: Vec<String> = Vec::new();
    for line in text.lines() {
        if let Some(pattern) = line.trim_start().strip_prefix("#=> ") {
            patterns.push(pattern.trim_end().to_owned());
            continue;
        }
        if !patterns.is_empty() {
            body.extend(["echo; echo '", STEP, &steps.len().to_string(), "'\n"]);
            steps.push(std::mem::take(&mut patterns));
        }
        body.push_str(line);
        body.push('\n');
    }
    steps.push(patterns);
    (body, steps)
}

/// Whether `pattern`, in which `*` stands for anything, is all of `line`.
fn matches(pattern: &str, line: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == line;
    };
    let Some(line) = line.strip_prefix(head) else {
        return false;
    };
    (0..=line.len())
        .filter(|at| line.is_char_boundary(*at))
        .any(|at| matches(rest, &line[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, line, expected) in [
            ("PONG", "PONG", true),
            ("PONG", "PONG ", false),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("a*b*c", "a b b c", true),
            ("*…*", "x…y", true),
        ] {
            assert_eq!(matches(pattern, line), expected, "{pattern} {line}");
        }
    }

    #[test]
    fn each_step_has_its_own_lines() {
        let block = Block {
            line: 7,
            text: "one\n#=> 1\ntwo\n#=> 2\n#=> 3\nthree\n".to_owned(),
            manner: Manner::Fails(3),
        };
        let script = Script::block(&block).expect("is run");
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let good = lines("1\n\n@@@ step 0\n2\nx\n3\n\n@@@ step 1\n");
        assert!(script.faults(&good, "exit status: 3").is_empty());
        assert_eq!(script.faults(&good, "exit status: 0").len(), 1);
        let swapped = lines("2\n\n@@@ step 0\n1\n\n@@@ step 1\n");
        assert_eq!(script.faults(&swapped, "exit status: 3").len(), 2);
    }
}
