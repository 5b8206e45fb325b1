//! What the daemon has to bear meanwhile, each kind on a thread of its own.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::config_db::{port_fields, remove_port};
use portsyncd_tests::http::{EventReader, connect, get};
use portsyncd_tests::redis_server::Keep;
use portsyncd_tests::{Bed, Daemon, Tap};
use redis::Commands;

/// The world, and what was done to it.
pub(super) struct Strain<'a> {
    pub(super) bed: &'a Bed,
    pub(super) daemon: &'a Daemon,
    pub(super) taps: &'a [Tap],
    pub(super) names: &'a [String],
    pub(super) over: AtomicBool,
    /// Held by whoever needs Redis to stay, and by whoever takes it away.
    redis: Mutex<()>,
    pub(super) done: Done,
}

/// One kind of strain: goes on until it is over.
pub(super) type Kind<'a> = fn(&Strain<'a>) -> Result<()>;

/// How often each thing was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    changes: AtomicU64,
    scrapes: AtomicU64,
    viewers: AtomicU64,
    events: AtomicU64,
    reloads: AtomicU64,
    redis_restarts: AtomicU64,
    new_names: AtomicU64,
}

/// Changes of a burst.
const BURST: usize = 400;
const BETWEEN_BURSTS: Duration = Duration::from_millis(150);
const BETWEEN_SCRAPES: Duration = Duration::from_millis(100);
const BETWEEN_RELOADS: Duration = Duration::from_secs(2);
const BETWEEN_RESTARTS: Duration = Duration::from_secs(8);
/// What a viewer reads before it goes and another one comes.
const EVENTS_OF_A_VIEWER: usize = 500;

impl<'a> Strain<'a> {
    pub(super) fn new(
        bed: &'a Bed,
        daemon: &'a Daemon,
        taps: &'a [Tap],
        names: &'a [String],
    ) -> Self {
        Self {
            bed,
            daemon,
            taps,
            names,
            over: AtomicBool::new(false),
            redis: Mutex::default(),
            done: Done::default(),
        }
    }

    /// All kinds, by name.
    pub(super) fn kinds() -> [(&'static str, Kind<'a>); 7] {
        [
            ("storms", Self::storms),
            ("scrapes", Self::scrapes),
            ("viewers that read", Self::viewers),
            ("viewers that do not read", Self::deaf_viewers),
            ("reloads", Self::reloads),
            ("restarts of Redis", Self::redis_restarts),
            ("new names", Self::new_names),
        ]
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Lets time pass; false once it is over.
    fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while !self.is_over() && Instant::now() < until {
            thread::sleep(Duration::from_millis(20).min(pause));
        }
        !self.is_over()
    }

    /// Flags that mean nothing, carriers, MTUs: as fast as it goes, in bursts.
    fn storms(&self) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(1);
        while self.pause(BETWEEN_BURSTS) {
            for _ in 0..BURST {
                let tap = &self.taps[random.usize(..self.taps.len())];
                match random.u8(..8) {
                    0 => tap.carrier(random.bool())?,
                    1 => tap.set_mtu(random.u16(1500..9200))?,
                    _ => tap.promiscuous(random.bool())?,
                }
            }
            count(&self.done.changes, BURST);
        }
        Ok(())
    }

    fn scrapes(&self) -> Result<()> {
        let paths = [
            "/metrics",
            "/status",
            "/ports",
            "/metrics.json",
            "/",
            "/readyz",
        ];
        for path in paths.into_iter().cycle() {
            if !self.pause(BETWEEN_SCRAPES) {
                break;
            }
            let answer = get(self.bed.namespace(), path)?;
            ensure!(
                matches!(answer.status, 200 | 503),
                "{path}: {}",
                answer.status
            );
            count(&self.done.scrapes, 1);
        }
        Ok(())
    }

    fn viewers(&self) -> Result<()> {
        while !self.is_over() {
            let mut viewer = EventReader::join(self.bed.namespace())?;
            count(&self.done.viewers, 1);
            for _ in 0..EVENTS_OF_A_VIEWER {
                if self.is_over() {
                    break;
                }
                viewer.next_event()?;
                count(&self.done.events, 1);
            }
        }
        Ok(())
    }

    /// They ask for everything and read nothing, and go after a while.
    fn deaf_viewers(&self) -> Result<()> {
        use std::io::Write;
        while !self.is_over() {
            let mut deaf = Vec::new();
            for _ in 0..4 {
                let address = portsyncd_tests::http::LISTENER;
                let mut stream = connect(self.bed.namespace(), address)?;
                write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
                count(&self.done.viewers, 1);
                deaf.push(stream);
            }
            self.pause(Duration::from_secs(3));
        }
        Ok(())
    }

    fn reloads(&self) -> Result<()> {
        let file = self.daemon.directory().join("portsyncd.conf");
        let text = fs::read_to_string(&file)?;
        let (usual, other) = ("batch_timeout_ms = 100", "batch_timeout_ms = 20");
        ensure!(text.contains(usual), "the configuration has no {usual}");
        for round in 0_u32.. {
            if !self.pause(BETWEEN_RELOADS) {
                break;
            }
            let value = if round.is_multiple_of(2) {
                other
            } else {
                usual
            };
            fs::write(&file, text.replace(usual, value))?;
            self.daemon.signal(Signal::SIGHUP)?;
            count(&self.done.reloads, 1);
        }
        Ok(())
    }

    /// Killed; comes back empty, or as it was saved, in turn.
    fn redis_restarts(&self) -> Result<()> {
        for round in 0_u32.. {
            if !self.pause(BETWEEN_RESTARTS) {
                break;
            }
            let _held = self.redis.lock().unwrap_or_else(PoisonError::into_inner);
            let server = self.bed.redis();
            let keep = if round.is_multiple_of(2) {
                Keep::Nothing
            } else {
                server.save()?;
                Keep::Saved
            };
            server.kill()?;
            server.start_again(keep)?;
            self.bed.configure(self.names)?;
            self.bed.wait_for_field(&self.names[0], "state", "ok")?;
            count(&self.done.redis_restarts, 1);
        }
        Ok(())
    }

    /// A port that was never there before comes, is published, and goes for good.
    fn new_names(&self) -> Result<()> {
        for number in 1000_usize.. {
            if !self.pause(Duration::from_millis(10)) {
                break;
            }
            let _held = self.redis.lock().unwrap_or_else(PoisonError::into_inner);
            let name = format!("Ethernet{number}");
            let mut config_db = self.bed.config_db()?;
            let row = format!("PORT|{name}");
            config_db.hset_multiple::<_, _, _, ()>(row, &port_fields(number))?;
            let tap = Tap::create(self.bed.namespace(), &name)?;
            tap.up()?;
            self.bed.wait_for_field(&name, "state", "ok")?;
            remove_port(&mut config_db, &name)?;
            tap.delete()?;
            self.bed.wait_for_no_row(&name)?;
            // In orchagent's place, which would have taken it.
            let mut appl_db = self.bed.appl_db()?;
            appl_db.del::<_, ()>(format!("_PORT_TABLE:{name}"))?;
            appl_db.srem::<_, _, ()>("PORT_TABLE_KEY_SET", &name)?;
            count(&self.done.new_names, 1);
        }
        Ok(())
    }
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}

impl Done {
    /// In words; an error where something was never done.
    pub(super) fn summary(&self) -> Result<String> {
        let mut words = Vec::new();
        for (what, counter) in [
            ("changes of ports", &self.changes),
            ("scrapes", &self.scrapes),
            ("viewers", &self.viewers),
            ("events read", &self.events),
            ("reloads", &self.reloads),
            ("restarts of Redis", &self.redis_restarts),
            ("ports of new names", &self.new_names),
        ] {
            let times = counter.load(Ordering::Relaxed);
            ensure!(times > 0, "there were no {what}: nothing was proven");
            words.push(format!("{times} {what}"));
        }
        Ok(words.join(", "))
    }
}

/// Runs `kind`, and says which it was that failed.
pub(super) fn named<'a>(strain: &Strain<'a>, (name, kind): (&'static str, Kind<'a>)) -> Result<()> {
    let result = kind(strain);
    if result.is_err() {
        strain.over.store(true, Ordering::Relaxed);
    }
    result.with_context(|| format!("{name} ended early"))
}
