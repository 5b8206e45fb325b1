//! What it costs to be looked at. The figures are ignored by default, for they need a quiet machine:
//! `cargo test -p portsyncd-tests --test viewers -- --ignored --nocapture --test-threads 1`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use portsyncd_tests::browser::Browser;
use portsyncd_tests::daemon::binary;
use portsyncd_tests::http::{EventReader, LISTENER, connect, get};
use portsyncd_tests::terminal::Terminal;
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, Namespace, PATIENCE, Source, Tap, port_names};
use serde_json::Value;

/// Viewers that read all they are told, as an open page does.
struct Readers {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<u64>>,
}

impl Readers {
    fn join(namespace: &Namespace, readers: usize) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for _ in 0..readers {
            // What a page asks for when it is opened.
            get(namespace, "/")?;
            let mut reader = EventReader::join(namespace)?;
            let over = Arc::clone(&over);
            threads.push(thread::spawn(move || {
                let mut told = 0;
                // The last one ends when the daemon does.
                while !over.load(Ordering::Relaxed) && reader.next_event().is_ok() {
                    told += 1;
                }
                told
            }));
        }
        Ok(Self { over, threads })
    }

    /// How many events each was told; `wake` makes one more.
    fn end(self, wake: impl FnOnce() -> Result<()>) -> Result<Vec<u64>> {
        self.over.store(true, Ordering::Relaxed);
        wake()?;
        let threads = self.threads.into_iter();
        Ok(threads.map(|thread| thread.join().unwrap_or(0)).collect())
    }
}

/// Changes every port's MTU in turn for `time`, with a pause after each; how many changes.
fn storm(taps: &[Tap], time: Duration, pause: Duration) -> Result<u64> {
    let begin = Instant::now();
    let mut changes = 0;
    for mtu in (1400..1500).cycle() {
        for tap in taps {
            tap.set_mtu(mtu)?;
            changes += 1;
            if !pause.is_zero() {
                thread::sleep(pause);
            }
            if begin.elapsed() > time {
                return Ok(changes);
            }
        }
    }
    Ok(changes)
}

#[test]
fn a_storm_with_viewers_leaves_memory_as_it_was() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let names = port_names(514);
        bed.configure(&names)?;
        let taps = bed.taps(&names)?;
        let daemon = bed.ready(bed.listening())?;
        let watch = format!("{} watch", binary()?.display());
        let terminal = Terminal::run(bed.namespace(), (80, 24), &watch)?;
        terminal.wait_for("up 514  down 0")?;
        let readers = Readers::join(bed.namespace(), 1)?;
        // One that never reads.
        let mut deaf = connect(bed.namespace(), LISTENER)?;
        std::io::Write::write_all(&mut deaf, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")?;
        storm(&taps, Duration::from_secs(3), Duration::ZERO)?;
        let warm = daemon.resident_kib()?;
        let mut most = 0;
        for _ in 0..4 {
            storm(&taps, Duration::from_secs(2), Duration::ZERO)?;
            most = most.max(daemon.resident_kib()?);
        }
        println!("resident: {warm} KiB after 3 s of storm, at most {most} KiB in the next 8 s");
        ensure!(most < warm + 2048, "{warm} KiB grew to {most} KiB");
        // Both viewers are told how it ends.
        taps[3].carrier(false)?;
        terminal.wait_for("up 513  down 1")?;
        let told = readers.end(|| taps[4].carrier(false))?;
        ensure!(told[0] > 514, "{told:?}");
        daemon.stop()
    })
}

#[test]
#[ignore = "a figure: it needs a quiet machine"]
fn an_open_page_costs_next_to_nothing_while_nothing_happens() -> Result<()> {
    const TIME: Duration = Duration::from_secs(30);
    Bed::run(Source::Auto, |bed| {
        let names = port_names(514);
        bed.configure(&names)?;
        let taps = bed.taps(&names)?;
        let daemon = bed.ready(bed.listening())?;
        let cost = || -> Result<f64> {
            let before = daemon.cpu_time()?;
            thread::sleep(TIME);
            let used = daemon.cpu_time()?.saturating_sub(before);
            Ok(used.as_secs_f64() / TIME.as_secs_f64() * 100.0)
        };
        let alone = cost()?;
        let readers = Readers::join(bed.namespace(), 1)?;
        let watch = format!("{} watch", binary()?.display());
        let terminal = Terminal::run(bed.namespace(), (80, 24), &watch)?;
        terminal.wait_for("up 514  down 0")?;
        let looked_at = cost()?;
        println!("of a core at rest: {alone:.2} % alone, {looked_at:.2} % with a page and a watch");
        ensure!(looked_at <= 0.5, "{looked_at:.2} %");
        readers.end(|| taps[0].carrier(false))?;
        daemon.stop()
    })
}

/// The mean from the kernel's timestamp to Redis' acknowledgement of what comes meanwhile, in µs.
fn mean_latency(namespace: &Namespace, meanwhile: impl FnOnce() -> Result<u64>) -> Result<f64> {
    let read = || -> Result<(f64, f64)> {
        let metrics = get(namespace, "/metrics")?;
        let name =
            |part| format!("portsyncd_publish_latency_seconds_{part}{{origin=\"link_message\"}}");
        Ok((
            metrics.sample(&name("sum"))?,
            metrics.sample(&name("count"))?,
        ))
    };
    let before = read()?;
    meanwhile()?;
    let after = read()?;
    Ok((after.0 - before.0) / (after.1 - before.1) * 1e6)
}

#[test]
#[ignore = "a figure: it needs a quiet machine"]
fn ten_viewers_do_not_slow_the_road() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let names = port_names(514);
        bed.configure(&names)?;
        let taps = bed.taps(&names)?;
        let daemon = bed.ready(bed.listening())?;
        let (time, pause) = (Duration::from_secs(4), Duration::from_millis(1));
        let round = || mean_latency(bed.namespace(), || storm(&taps, time, pause));
        round()?;
        let (mut alone, mut looked_at) = (Vec::new(), Vec::new());
        // In turn, so that what else the machine does is shared out.
        for _ in 0..5 {
            alone.push(round()?);
            let readers = Readers::join(bed.namespace(), 10)?;
            looked_at.push(round()?);
            readers.end(|| taps[0].set_mtu(1300))?;
        }
        alone.sort_by(f64::total_cmp);
        looked_at.sort_by(f64::total_cmp);
        let (alone, looked_at) = (alone[2], looked_at[2]);
        let more = (looked_at / alone - 1.0) * 100.0;
        println!(
            "mean latency in a storm: {alone:.0} us, with ten viewers {looked_at:.0} us ({more:+.1} %)"
        );
        ensure!(more <= 10.0, "{more:+.1} %");
        daemon.stop()
    })
}

#[test]
#[ignore = "ten minutes, and it needs chromium"]
fn a_page_follows_a_storm_for_ten_minutes_without_growing() -> Result<()> {
    const SAMPLES: u64 = 60;
    const BETWEEN: Duration = Duration::from_secs(10);
    Bed::run(Source::Auto, |bed| {
        let names = port_names(514);
        bed.configure(&names)?;
        let taps = bed.taps(&names)?;
        let daemon = bed.ready(bed.listening())?;
        fill_the_journals(bed, &taps)?;
        let mut page = Browser::open(bed.namespace(), &format!("http://{LISTENER}/"))?;
        // The last port is kept out of the storm: it shows how far behind the page is.
        let (marker, taps) = taps.split_last().context("no taps")?;
        let over = AtomicBool::new(false);
        println!("  at s   heap KiB    nodes   renderer KiB   daemon KiB   shown after ms");
        let (samples, changes) = thread::scope(|scope| -> Result<_> {
            let storming = scope.spawn(|| storm_until(taps, &over));
            let samples = (1..=SAMPLES).map(|round| {
                let due = Instant::now() + BETWEEN;
                let mtu = 2000 + round;
                marker.set_mtu(u16::try_from(mtu)?)?;
                let sent = Instant::now();
                let shown = format!("ports.get('{}')?.is.mtu === {mtu}", names[513]);
                wait_for("the page shows the change", PATIENCE, || {
                    Ok(page.evaluate(&shown)? == true)
                })?;
                let behind = sent.elapsed().as_millis();
                let (heap, nodes) = page.held()?;
                let (drawn, daemon) = (page.resident_kib()?, daemon.resident_kib()?);
                let heap = heap / 1024;
                println!(
                    "{:6} {heap:10} {nodes:8} {drawn:14} {daemon:12} {behind:16}",
                    round * BETWEEN.as_secs()
                );
                thread::sleep(due.saturating_duration_since(Instant::now()));
                Ok([heap, nodes, drawn, daemon])
            });
            let samples = samples.collect::<Result<Vec<_>>>();
            over.store(true, Ordering::Relaxed);
            let changes = storming
                .join()
                .map_err(|_| anyhow!("the storm panicked"))??;
            Ok((samples?, changes))
        })?;
        println!("{changes} changes");
        for (at, what) in ["heap", "nodes", "renderer", "daemon"].iter().enumerate() {
            // What is being drawn comes on top now and then; a leak lifts the median.
            let median = |part: &[[u64; 4]]| {
                let mut values: Vec<_> = part.iter().map(|sample| sample[at]).collect();
                values.sort_unstable();
                values[values.len() / 2]
            };
            let quarter = samples.len() / 4;
            let early = median(&samples[quarter..2 * quarter]);
            let late = median(&samples[3 * quarter..]);
            println!("{what}: median {early} in the second quarter, {late} in the last");
            ensure!(
                late <= early + early / 20,
                "{what} grew from {early} to {late}"
            );
        }
        daemon.stop()
    })
}

/// What is bounded is filled first: the journal of each port.
fn fill_the_journals(bed: &Bed, taps: &[Tap]) -> Result<()> {
    let full = |tap: &Tap| -> Result<bool> {
        let port = get(bed.namespace(), &format!("/ports/{}", tap.name()))?;
        let port: Value = serde_json::from_str(&port.body)?;
        Ok(port["journal"]
            .as_array()
            .is_some_and(|kept| kept.len() == 64))
    };
    wait_for("the journals are full", 4 * PATIENCE, || {
        taps.iter().try_for_each(Tap::down)?;
        taps.iter().try_for_each(Tap::up)?;
        bed.converge()?;
        Ok(full(&taps[0])? && full(&taps[taps.len() - 1])?)
    })
}

/// Changes MTUs and, every hundred milliseconds, carriers; how many changes.
fn storm_until(taps: &[Tap], over: &AtomicBool) -> Result<u64> {
    let mut changes = 0;
    let mut lost = 0;
    let mut due = Instant::now();
    for mtu in (1400..1500).cycle() {
        for tap in taps {
            tap.set_mtu(mtu)?;
            thread::sleep(Duration::from_micros(100));
            changes += 1;
            if Instant::now() > due {
                taps[lost].carrier(true)?;
                lost = (lost + 1) % taps.len();
                taps[lost].carrier(false)?;
                changes += 2;
                due = Instant::now() + Duration::from_millis(100);
            }
            if over.load(Ordering::Relaxed) {
                return Ok(changes);
            }
        }
    }
    Ok(changes)
}
