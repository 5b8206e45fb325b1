//! A sequence of stages with a line of summary for each.
//!
//! The first stage that fails ends the sequence; the summary still comes last,
//! so that it is what a reader of a long log finds at its end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The stages that were run so far.
#[derive(Default)]
pub(crate) struct Stages(Vec<Stage>);

struct Stage {
    name: &'static str,
    took: Duration,
    passed: bool,
}

impl Stages {
    /// Runs one stage; after a failure the caller goes straight to [`finish`].
    ///
    /// [`finish`]: Stages::finish
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        stage: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        eprintln!("==> {name}");
        let started = Instant::now();
        let result = stage();
        self.0.push(Stage {
            name,
            took: started.elapsed(),
            passed: result.is_ok(),
        });
        result.with_context(|| format!("stage `{name}` failed"))
    }

    /// Prints the summary and gives back the outcome.
    pub(crate) fn finish(self, outcome: Result<()>) -> Result<()> {
        eprintln!();
        for stage in &self.0 {
            let verdict = if stage.passed { "ok    " } else { "FAILED" };
            eprintln!(
                "{verdict} {:>7.1} s  {}",
                stage.took.as_secs_f64(),
                stage.name
            );
        }
        outcome
    }
}
