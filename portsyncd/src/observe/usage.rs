//! The `process_*` metrics, as Prometheus' client libraries have them: from `/proc/self` (proc(5)).
//! What cannot be read is left out.

use std::fs;
use std::sync::OnceLock;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::exposition::Text;

/// Fields of `/proc/self/stat` behind the name, counted from 0: `state` is the first.
const UTIME: usize = 11;
const STIME: usize = 12;
const THREADS: usize = 17;
const START_TIME: usize = 19;
const VSIZE: usize = 20;
const RSS: usize = 21;

/// Appends the family of each.
pub(super) fn render(text: &mut Text) {
    if let Ok(stat) = fs::read_to_string("/proc/self/stat")
        && let Some(fields) = fields(&stat)
    {
        render_stat(text, &fields);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory itself.
        let open = open.count().saturating_sub(1);
        text.single("process_open_fds", "gauge", "Open file descriptors", open);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        text.single(
            "process_max_fds",
            "gauge",
            "File descriptors that may be open",
            most,
        );
    }
}

fn render_stat(text: &mut Text, fields: &[u64]) {
    let field = |index: usize| fields.get(index).copied().unwrap_or(0);
    let ticks = clock_ticks_per_second().max(1);
    #[expect(clippy::cast_precision_loss, reason = "hundredths of a second")]
    let seconds = |at: u64| at as f64 / ticks as f64;
    let cpu = seconds(field(UTIME) + field(STIME));
    text.single(
        "process_cpu_seconds_total",
        "counter",
        "User and system CPU time spent",
        cpu,
    );
    if let Some(boot) = boot_time() {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let started = boot as f64 + seconds(field(START_TIME));
        text.single(
            "process_start_time_seconds",
            "gauge",
            "Start of the process, seconds since 1970",
            started,
        );
    }
    text.single(
        "process_virtual_memory_bytes",
        "gauge",
        "Virtual memory size",
        field(VSIZE),
    );
    let resident = field(RSS) * page_size() as u64;
    text.single(
        "process_resident_memory_bytes",
        "gauge",
        "Resident memory size",
        resident,
    );
    text.single("process_threads", "gauge", "Threads", field(THREADS));
}

/// The fields behind the name, which may hold spaces and parentheses; words are 0.
fn fields(stat: &str) -> Option<Vec<u64>> {
    let (_, fields) = stat.rsplit_once(')')?;
    let number = |field: &str| field.parse().unwrap_or(0);
    Some(fields.split_whitespace().map(number).collect())
}

/// When the machine booted, seconds since 1970: read once, the file is long.
fn boot_time() -> Option<u64> {
    static BOOT: OnceLock<Option<u64>> = OnceLock::new();
    *BOOT.get_or_init(read_boot_time)
}

fn read_boot_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let fields =
            fields("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 111 222 0 0 20 0 3 0 555 666 777\n").unwrap();
        assert_eq!(
            [UTIME, STIME, THREADS, START_TIME, VSIZE, RSS].map(|index| fields[index]),
            [111, 222, 3, 555, 666, 777]
        );
    }
}
