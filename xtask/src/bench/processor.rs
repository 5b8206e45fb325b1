//! Keeping everything that takes part in a measurement on one processor.
//!
//! A wake-up on the same processor costs a context switch. On another one, that
//! sleeps, it costs an interrupt and, in a virtual machine, a trap into the host:
//! more than the work. Which of the two happens is the scheduler's mood.

use anyhow::{Context, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The calling thread and some processes kept on one processor; the thread is
/// free again when this is dropped.
pub(super) struct OneProcessor {
    one: CpuSet,
    before: CpuSet,
}

impl OneProcessor {
    /// Moves the calling thread, and threads that it starts later, to the first
    /// processor it may use.
    pub(super) fn enter() -> Result<Self> {
        let before = sched_getaffinity(None).context("sched_getaffinity")?;
        let first = (0..CpuSet::MAX_CPU).find(|cpu| before.is_set(*cpu));
        let mut one = CpuSet::new();
        one.set(first.context("this thread may run on no processor")?);
        sched_setaffinity(None, &one).context("sched_setaffinity")?;
        Ok(Self { one, before })
    }

    /// Moves a process' first thread there.
    pub(super) fn take(&self, pid: u32) -> Result<()> {
        set(pid, &self.one)
    }

    /// Lets a process' first thread run where this one could.
    pub(super) fn release(&self, pid: u32) -> Result<()> {
        set(pid, &self.before)
    }
}

impl Drop for OneProcessor {
    fn drop(&mut self) {
        // It was allowed before, so it is allowed again.
        let _ = sched_setaffinity(None, &self.before);
    }
}

fn set(pid: u32, processors: &CpuSet) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    sched_setaffinity(Some(pid.context("a process id")?), processors)
        .context("sched_setaffinity of a process")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_kept_and_set_free() {
        let before = sched_getaffinity(None).expect("affinity");
        let one = OneProcessor::enter().expect("allowed");
        assert_eq!(sched_getaffinity(None).expect("affinity").count(), 1);
        drop(one);
        assert!(sched_getaffinity(None).expect("affinity") == before);
    }
}
