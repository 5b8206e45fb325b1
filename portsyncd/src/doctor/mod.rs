//! `portsyncd doctor`: what this host allows, and what follows from it for the daemon.
//!
//! Each thing is tried as the daemon does it, with its configuration, and undone at once: programs
//! are loaded and attached for a moment, Redis is asked, a file is made and removed. A daemon that
//! runs meanwhile is not disturbed. It is tried as the user who calls it.

mod directories;
mod host;
mod redis;

use std::fmt::Write;

use crate::ask::print;
use crate::config::Config;
use crate::exit::Exit;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Good,
    /// The daemon works, with less.
    Less,
    /// The daemon does not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What follows from it; empty where it is as it should be.
    follows: String,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, Verdict::Good, found, "")
    }

    fn less(what: &'static str, found: impl Into<String>, follows: impl Into<String>) -> Self {
        Self::new(what, Verdict::Less, found, follows)
    }

    fn bad(what: &'static str, found: impl Into<String>, follows: impl Into<String>) -> Self {
        Self::new(what, Verdict::Bad, found, follows)
    }

    fn new(
        what: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        follows: impl Into<String>,
    ) -> Self {
        Self {
            what,
            verdict,
            found: found.into(),
            follows: follows.into(),
        }
    }
}

/// Looks at everything and says so. Not [`Exit::Ok`] where the daemon could not do its work.
#[must_use]
pub fn run(config: &Config) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("portsyncd: cannot start the runtime: {error}");
            return Exit::Software;
        }
    };
    let findings = runtime.block_on(async {
        let mut findings = host::examine(&config.link);
        findings.extend(redis::examine(config).await);
        findings.extend(directories::examine(config));
        findings
    });
    let printed = print(&render(&findings));
    let bad = findings.iter().any(|f| f.verdict == Verdict::Bad);
    if bad { Exit::Unavailable } else { printed }
}

fn render(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let word = match finding.verdict {
            Verdict::Good => "ok",
            Verdict::Less => "less",
            Verdict::Bad => "BAD",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{word:<5} {:<16} {}", finding.what, finding.found);
        if !finding.follows.is_empty() {
            let _ = writeln!(out, "{:<22} -> {}", "", finding.follows);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_stands_below() {
        let findings = [
            Finding::good("BTF", "there"),
            Finding::less("fentry", "refused", "a kprobe is tried"),
        ];
        assert_eq!(
            render(&findings),
            "ok    BTF              there\nless  fentry           refused\n                       -> a kprobe is tried\n"
        );
    }
}
