//! Waiting for conditions, always with a deadline.

use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a test waits for what should take milliseconds: two busy cores
/// shared with other tests must not make it fail.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two looks at a condition that nobody announces.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Looks until the condition holds (`Break`) or `timeout` has passed, then fails
/// with `what` was waited for and the last reason why it did not hold (`Continue`).
pub fn wait_until<T>(
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> Result<ControlFlow<T, String>>,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        match look().with_context(|| format!("while waiting until {what}"))? {
            ControlFlow::Break(found) => return Ok(found),
            ControlFlow::Continue(not_yet) => {
                if Instant::now() >= deadline {
                    bail!("waited {timeout:?} until {what}, in vain: {not_yet}");
                }
            }
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// [`wait_until`] for a condition that is simply true or false.
pub fn wait_for(
    what: &str,
    timeout: Duration,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<()> {
    wait_until(what, timeout, || {
        Ok(if holds()? {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue("it still does not hold".into())
        })
    })
}
