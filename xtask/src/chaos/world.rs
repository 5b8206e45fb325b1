//! A namespace, a Redis behind a proxy, a panel of ports, and the daemon.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use nix::sys::signal::Signal;
use portsyncd_tests::child::Output;
use portsyncd_tests::events::Event;
use portsyncd_tests::redis_server::{APPL_DB, STATE_DB};
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, Daemon, Events, PATIENCE, Proxy, Source};
use redis::{Commands, Connection};

use super::faults::{OURS_BEGIN, OURS_END};
use super::files::Files;
use super::judge::Account;
use super::lives::{Due, Lives, MARK};
use super::panel::Panel;
use super::schedule::{Fault, Schedule, Step};

/// The longest pause between two attempts of the daemon to reach Redis.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// The ring, or the socket's receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Buffers {
    /// As they are by default.
    Usual,
    /// Full after a few dozen messages.
    Smallest,
}

/// One world, for some rounds.
pub(crate) struct World {
    pub(crate) bed: Bed,
    pub(crate) proxy: Proxy,
    pub(crate) panel: Panel,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) files: Files,
    binary: PathBuf,
    buffers: Buffers,
    /// Trusted before anybody asked for a password.
    admin: Connection,
    events: Events,
    /// Where in `events` the round began.
    from: usize,
    /// Events of servers that are gone.
    earlier: Vec<Event>,
    pub(crate) lives: Lives,
    pub(crate) marks_owed: Vec<String>,
    /// What the running daemon has to say of itself when it stops.
    pub(crate) account: Account,
    pub(crate) redis_answers: bool,
    /// The daemon has not met a Redis that answers.
    pub(crate) started_in_outage: bool,
    /// Fields of other writers have to be there at the round's end.
    pub(crate) theirs: bool,
    pub(crate) round: u32,
    logs: Vec<Output>,
}

impl World {
    /// A world in step.
    pub(crate) fn new(seed: u64, number: u32, binary: &Path) -> Result<Self> {
        let sources = [Source::Auto, Source::Ebpf, Source::Netlink];
        let source = sources[usize::try_from((u64::from(number) + seed) % 3)?];
        let bed = Bed::new(source)?;
        let proxy = Proxy::start(bed.redis().socket())?;
        let panel = Panel::new(&bed)?;
        let events = watch(&bed)?;
        let admin = bed.redis().connect(APPL_DB)?;
        let mut world = Self {
            proxy,
            panel,
            daemon: None,
            files: Files::new()?,
            binary: binary.to_owned(),
            buffers: if number % 4 >= 2 {
                Buffers::Smallest
            } else {
                Buffers::Usual
            },
            admin,
            from: 0,
            events,
            earlier: Vec::new(),
            lives: Lives::new(),
            marks_owed: Vec::new(),
            account: Account::default(),
            redis_answers: true,
            started_in_outage: false,
            theirs: true,
            round: 0,
            logs: Vec::new(),
            bed,
        };
        world.start_in_step()?;
        Ok(world)
    }

    /// What distinguishes it.
    pub(crate) fn what(&self) -> String {
        format!(
            "link source {}, {:?} buffers",
            self.bed.source(),
            self.buffers
        )
    }

    /// Ends it; how often SIGKILL met a write of the state file.
    pub(crate) fn stop(mut self) -> Result<u32> {
        self.stop_daemon()?;
        Ok(self.files.saves_met())
    }

    /// From here on everything is seen.
    pub(crate) fn begin_round(&mut self, schedule: &Schedule, number: u32) -> Result<()> {
        self.round = number;
        self.theirs = true;
        self.started_in_outage = false;
        self.lives = Lives::new();
        self.panel.begin_round();
        let warm = schedule
            .faults()
            .any(|fault| matches!(fault, Fault::DaemonKilledWarm | Fault::DaemonRestartedWarm));
        self.enable_warm_restart(warm)?;
        let mut state_db = self.bed.state_db()?;
        for name in &self.panel.names {
            let row = format!("PORT_TABLE|{name}");
            state_db.hset::<_, _, _, ()>(row, "host_tx_ready", number)?;
        }
        if number.is_multiple_of(2) {
            // An orchagent that takes what is there.
            drop(self.bed.consumer()?.all());
        }
        self.bed.redis().save()?;
        self.earlier.clear();
        self.from = self.events.count();
        Ok(())
    }

    fn enable_warm_restart(&self, warm: bool) -> Result<()> {
        let enable = if warm { "true" } else { "false" };
        let row = "WARM_RESTART_ENABLE_TABLE|swss";
        Ok(self.bed.state_db()?.hset(row, "enable", enable)?)
    }

    /// One step of the schedule.
    pub(crate) fn play(&mut self, step: &Step) -> Result<()> {
        match *step {
            Step::Links(count, seed) => {
                let mut random = Rng::with_seed(seed);
                let answers = self.redis_answers;
                self.panel.changes(&self.bed, count, answers, &mut random)
            }
            Step::Storm(rounds) => self.panel.storm(rounds),
            // Time is what passes here, not what is waited for.
            Step::Pause(ms) => {
                thread::sleep(Duration::from_millis(ms.into()));
                Ok(())
            }
            Step::Begin(fault) => self.begin(fault),
            Step::End(fault) => self.end(fault),
        }
    }

    /// All that was seen since the round began.
    pub(crate) fn seen(&self) -> Vec<Event> {
        let mut events = self.earlier.clone();
        events.extend(self.events.all().into_iter().skip(self.from));
        events
    }

    /// Deletions of rows by the daemon since the round began.
    pub(crate) fn deletions(&self) -> Vec<String> {
        let mut ours = false;
        let mut deleted = Vec::new();
        for event in self.seen().into_iter().filter(|event| event.db == STATE_DB) {
            match event.key.as_str() {
                OURS_BEGIN => ours = true,
                OURS_END => ours = false,
                _ if event.command == "del" && !ours => deleted.push(event.key),
                _ => {}
            }
        }
        deleted
    }

    /// Before Redis is killed: what it has told is kept.
    pub(crate) fn collect(&mut self) -> Result<()> {
        let end = format!("end-{}", self.earlier.len());
        self.mark(&end)?;
        let key = MARK.to_owned();
        self.events.wait_for(self.from, &key, &end, PATIENCE)?;
        let events = self.events.all();
        self.earlier.extend(events.into_iter().skip(self.from));
        self.from = usize::MAX;
        Ok(())
    }

    /// Redis is another one: connections and subscriptions are made anew.
    pub(crate) fn watch_again(&mut self) -> Result<()> {
        self.events = watch(&self.bed)?;
        self.from = 0;
        self.admin = self.bed.redis().connect(APPL_DB)?;
        self.redis_answers = true;
        for number in std::mem::take(&mut self.marks_owed) {
            self.mark(&number)?;
        }
        Ok(())
    }

    /// A command of ours.
    pub(crate) fn admin(&mut self, words: &[&str]) -> Result<()> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let answer: redis::RedisResult<redis::Value> = command.query(&mut self.admin);
        answer.with_context(|| words.join(" "))?;
        Ok(())
    }

    /// SIGKILL, at whatever instant this is.
    pub(crate) fn kill_daemon(&mut self) -> Result<()> {
        let daemon = self.daemon.take().context("no daemon to kill")?;
        daemon.kill()?;
        self.proxy.drop_all();
        Ok(())
    }

    /// SIGTERM. In an outage it gives up what it cannot write.
    pub(crate) fn stop_daemon(&mut self) -> Result<()> {
        let daemon = self.daemon.take().context("no daemon to stop")?;
        daemon.stop()?;
        self.proxy.drop_all();
        Ok(())
    }

    /// A new process.
    pub(crate) fn start_daemon(&mut self, due: Due) -> Result<()> {
        self.new_life(due)?;
        self.started_in_outage = !self.redis_answers;
        self.account = Account {
            cold: u64::from(due == Due::Cold),
            warm: u64::from(due == Due::Warm),
        };
        let mut config = self
            .bed
            .config()
            .binary(&self.binary)
            .set(
                "database.redis_socket",
                self.proxy.socket().display().to_string(),
            )
            .set(
                "database.retry_interval_secs",
                i64::try_from(RETRY.as_secs())?,
            )
            .set("warm_restart.state_path", self.files.state())
            .set("metrics.storage_path", self.files.metrics())
            .set("metrics.enabled", true)
            .set("metrics.listen", Vec::<String>::new())
            .set("metrics.save_interval_secs", 1)
            .set("database.connection_timeout_secs", 1)
            .set("performance.batch_timeout_ms", 100);
        if self.buffers == Buffers::Smallest {
            let key = match self.bed.source() {
                Source::Netlink => "link.netlink_rcvbuf_kb",
                _ => "link.ring_buffer_kb",
            };
            config = config.set(key, 4);
        }
        let daemon = self.bed.start(config)?;
        self.logs.push(daemon.log().clone());
        self.daemon = Some(daemon);
        Ok(())
    }

    /// A new process, waited for.
    pub(crate) fn start_in_step(&mut self) -> Result<()> {
        self.lives = Lives::new();
        self.earlier.clear();
        self.from = self.events.count();
        self.enable_warm_restart(false)?;
        self.start_daemon(Due::Cold)?;
        self.bed.converge()?;
        wait_for("the first signals", PATIENCE, || {
            Ok(self.lives.are_served(&self.seen()))
        })
    }

    /// Sends the daemon a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let daemon = self.daemon.as_ref().context("no daemon")?;
        daemon.signal(signal)
    }

    /// The last lines of the last two daemons' logs.
    pub(crate) fn log_tail(&self) -> String {
        let tails: Vec<String> = self
            .logs
            .iter()
            .rev()
            .take(2)
            .map(|log| log.tail(40))
            .collect();
        tails
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("\n--- the next one\n")
    }

    /// Fails if the daemon has ended by itself, or holds too much memory.
    pub(crate) fn check_daemon(&mut self) -> Result<()> {
        const MOST_KIB: u64 = 32 << 10;
        let daemon = self.daemon.as_mut().context("no daemon")?;
        daemon.still_runs()?;
        let resident = daemon.resident_kib()?;
        ensure!(resident < MOST_KIB, "the daemon holds {resident} KiB");
        self.files.check()
    }
}

fn watch(bed: &Bed) -> Result<Events> {
    bed.events(&[
        (APPL_DB, "_PORT_TABLE:Port*Done"),
        (APPL_DB, MARK),
        (STATE_DB, "PORT_TABLE|*"),
        (STATE_DB, "chaos:*"),
    ])
}
