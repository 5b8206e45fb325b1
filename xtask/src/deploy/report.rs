//! What is said of each script while the guest runs them.

use anyhow::{Result, ensure};

use super::script::Script;
use crate::vm::console::Outcome;

/// Keeps count.
pub(super) struct Report<'a> {
    scripts: &'a [Script],
    failed: Vec<&'a str>,
    passed: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(scripts: &'a [Script]) -> Self {
        Self {
            scripts,
            failed: vec![],
            passed: 0,
        }
    }

    /// One has ended: a line for it, and all that it printed if it failed.
    pub(super) fn take(&mut self, outcome: &Outcome) {
        let script = self
            .scripts
            .iter()
            .find(|script| script.name == outcome.name);
        let Some(script) = script else {
            return;
        };
        let faults = script.faults(&outcome.lines, &outcome.end);
        let passed = faults.is_empty();
        eprintln!(
            "{} {:>7.1} s  {}",
            if passed { "ok    " } else { "FAILED" },
            outcome.took.as_secs_f64(),
            outcome.name,
        );
        if passed {
            self.passed += 1;
            return;
        }
        self.failed.push(&script.name);
        for line in &outcome.lines {
            eprintln!("    {line}");
        }
        for fault in faults {
            eprintln!("  ! {fault}");
        }
    }

    /// Fails if any did.
    pub(super) fn finish(self) -> Result<()> {
        ensure!(
            self.failed.is_empty(),
            "{} passed; failed: {} (the number is the block's line in README_DEPLOYMENT.md)",
            self.passed,
            self.failed.join(", ")
        );
        eprintln!("{} passed", self.passed);
        Ok(())
    }
}
