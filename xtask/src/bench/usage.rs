//! What a process has used: processor time, memory, context switches.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use super::PATIENCE;

/// A process' processor time, to the nanosecond, of all its threads, those that
/// have ended too (`clock_getcpuclockid(3)`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuClock(ClockId);

impl CpuClock {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).context("a process id")?);
        let clock = clock_getcpuclockid(pid).context("clock_getcpuclockid")?;
        Ok(Self(clock))
    }

    pub(crate) fn read(self) -> Result<Duration> {
        Ok(self.0.now().context("clock_gettime of a process")?.into())
    }

    /// What was used since an earlier reading.
    pub(super) fn since(self, earlier: Duration) -> Result<Duration> {
        Ok(self.read()?.saturating_sub(earlier))
    }
}

/// This thread's processor time.
pub(super) fn own_cpu() -> Result<Duration> {
    let now = ClockId::CLOCK_THREAD_CPUTIME_ID
        .now()
        .context("clock_gettime(CLOCK_THREAD_CPUTIME_ID)")?;
    Ok(now.into())
}

/// Waits until none of the processes has done any work for a while.
pub(super) fn wait_until_quiet(clocks: &[CpuClock]) -> Result<()> {
    // Longer than the pause between two dumps of our daemon (100 ms).
    const QUIET: Duration = Duration::from_millis(300);
    const LOOK: Duration = Duration::from_millis(50);
    // What housekeeping may use between two looks: redis' cron, a timer.
    const NEXT_TO_NOTHING: Duration = Duration::from_millis(1);
    let deadline = Instant::now() + PATIENCE;
    let mut quiet_since = Instant::now();
    let mut last = Vec::new();
    loop {
        let now = clocks
            .iter()
            .map(|c| c.read())
            .collect::<Result<Vec<_>>>()?;
        let worked = last
            .iter()
            .zip(&now)
            .any(|(before, after): (&Duration, &Duration)| {
                after.saturating_sub(*before) > NEXT_TO_NOTHING
            });
        if worked || last.is_empty() {
            quiet_since = Instant::now();
        }
        last = now;
        if quiet_since.elapsed() >= QUIET {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("a process is still busy {PATIENCE:?} after the storm");
        }
        thread::sleep(LOOK);
    }
}

/// Resident memory, in KiB (`/proc/PID/status` and `smaps`, proc(5)).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// All of it (`VmRSS`).
    pub(crate) resident: u64,
    /// Heap, stacks, written data (`RssAnon`).
    pub(crate) anonymous: u64,
    /// Of `RssFile`, the executable and its libraries.
    pub(crate) program: u64,
    /// Of `RssFile`, the ring, whose pages are the kernel's (`kernel/bpf/ringbuf.c`).
    pub(crate) ring: u64,
    /// The most that was ever resident (`VmHWM`).
    pub(crate) peak: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = read(&format!("/proc/{pid}/status"))?;
        let ring = ring(&read(&format!("/proc/{pid}/smaps"))?)?;
        let file = field(&status, "RssFile")?;
        Ok(Self {
            resident: field(&status, "VmRSS")?,
            anonymous: field(&status, "RssAnon")?,
            program: file.saturating_sub(ring),
            ring,
            peak: field(&status, "VmHWM")?,
        })
    }
}

/// How often a thread of a process began to wait, and so was woken: wanted context
/// switches.
#[derive(Debug)]
pub(super) struct WakeUps {
    pid: u32,
    /// Of each thread at the last look.
    last: HashMap<OsString, u64>,
    sum: u64,
}

impl WakeUps {
    /// From now on.
    pub(super) fn begin(pid: u32) -> Result<Self> {
        let last = of_threads(pid)?;
        Ok(Self { pid, last, sum: 0 })
    }

    /// Adds what came since the last look; so far. A thread that ends takes what it did
    /// since then with it, so looks should not be far apart.
    pub(super) fn look(&mut self) -> Result<u64> {
        let now = of_threads(self.pid)?;
        for (thread, count) in &now {
            let before = self.last.get(thread).copied().unwrap_or_default();
            self.sum += count.saturating_sub(before);
        }
        self.last = now;
        Ok(self.sum)
    }
}

fn of_threads(pid: u32) -> Result<HashMap<OsString, u64>> {
    let tasks = format!("/proc/{pid}/task");
    let mut threads = HashMap::new();
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        let task = task?;
        // It may end between the two.
        let Ok(status) = fs::read_to_string(task.path().join("status")) else {
            continue;
        };
        let count = field(&status, "voluntary_ctxt_switches")?;
        threads.insert(task.file_name(), count);
    }
    Ok(threads)
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {file}"))
}

/// How much of the eBPF ring is resident.
fn ring(smaps: &str) -> Result<u64> {
    let mut of_ring = false;
    let mut sum = 0;
    for line in smaps.lines() {
        // A mapping's header is its addresses; every other line is "Name: value".
        if line
            .split(' ')
            .next()
            .is_some_and(|word| word.contains('-'))
        {
            of_ring = line.ends_with("anon_inode:bpf-map");
        } else if of_ring && line.starts_with("Rss:") {
            sum += field(line, "Rss")?;
        }
    }
    Ok(sum)
}

fn field(status: &str, name: &str) -> Result<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("/proc/PID/status has no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let pid = std::process::id();
        let memory = Memory::of(pid).expect("status");
        assert_eq!(memory.ring, 0);
        assert!(memory.peak >= memory.resident && memory.resident > memory.anonymous);
        let mut wake_ups = WakeUps::begin(pid).expect("threads");
        let naps = thread::spawn(|| {
            for _ in 0..5 {
                thread::sleep(Duration::from_millis(1));
            }
        });
        while !naps.is_finished() {
            wake_ups.look().expect("threads");
        }
        assert!(wake_ups.look().expect("threads") > 0);
        let clock = CpuClock::of(pid).expect("clock");
        let (before, own_before) = (clock.read().expect("time"), own_cpu().expect("time"));
        let mut sum = 0u64;
        while own_cpu().expect("time") < own_before + Duration::from_millis(2) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(clock.since(before).expect("time") >= Duration::from_millis(2));
    }

    #[test]
    fn only_the_mappings_of_the_ring_count() {
        let smaps = "\
7f00-7f01 rw-s 00000000 00:0e 9   anon_inode:bpf-map
Rss:                   4 kB
Pss:                   4 kB
7f01-7f03 r--s 00001000 00:0e 9   anon_inode:bpf-map
Rss:                2052 kB
7f04-7f05 r-xp 00000000 08:01 77  /usr/sbin/portsyncd
Rss:                 900 kB
";
        assert_eq!(ring(smaps).expect("valid"), 2056);
    }
}
