//! How each fault begins and ends.

use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use portsyncd_tests::redis_server::{APPL_DB, Keep, STATE_DB};
use portsyncd_tests::{Tap, Way};

use super::lives::{Due, MARK};
use super::schedule::Fault;
use super::world::World;

/// The marks around deletions of our own.
pub(crate) const OURS_BEGIN: &str = "chaos:ours";
pub(crate) const OURS_END: &str = "chaos:theirs";

/// How long a Redis that loads can be reached: less than it takes.
const LOADING: Duration = Duration::from_millis(200);

/// What a restart of swss does to STATE_DB. ARGV: the two marks' channels.
const DELETE_ROWS: &str = "\
redis.call('SELECT', 6)
redis.call('PUBLISH', ARGV[1], '1')
for _, key in ipairs(redis.call('KEYS', 'PORT_TABLE|*')) do redis.call('DEL', key) end
redis.call('PUBLISH', ARGV[2], '1')";

impl World {
    /// A fault begins.
    pub(crate) fn begin(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::DaemonKilled | Fault::DaemonKilledWarm => self.kill_daemon(),
            Fault::KilledWhileSaving => {
                self.files.await_a_save();
                self.kill_daemon()
            }
            Fault::StateFileCut => {
                self.kill_daemon()?;
                self.files.cut()
            }
            Fault::DirectoryGone => self.files.hide(),
            Fault::DaemonRestarted | Fault::DaemonRestartedWarm => self.stop_daemon(),
            Fault::DaemonPaused => self.signal(Signal::SIGSTOP),
            Fault::Reload => self.reload(),
            Fault::RedisKilled | Fault::RedisEmptied | Fault::Loading => self.kill_redis(),
            Fault::RedisPaused => {
                self.redis_answers = false;
                self.lives.may_repeat = true;
                self.bed.redis().pause()
            }
            Fault::OutOfMemory => self.admin(&["CONFIG", "SET", "maxmemory", "1"]),
            Fault::Replica => self.admin(&["REPLICAOF", "127.0.0.1", "1"]),
            Fault::Password => {
                self.admin(&["CONFIG", "SET", "requirepass", "s3cret"])?;
                self.lives.may_repeat = true;
                self.proxy.drop_all();
                Ok(())
            }
            Fault::Refused => {
                self.lives.may_repeat = true;
                self.proxy.set(Way::Refuse);
                Ok(())
            }
            Fault::Slow(ms) => {
                self.proxy.set(Way::Slow(Duration::from_millis(ms.into())));
                Ok(())
            }
            Fault::Cut(bytes) => {
                self.lives.may_repeat = true;
                self.proxy.set(Way::CutAfter(bytes.into()));
                Ok(())
            }
            Fault::FlushAll => {
                self.emptied()?;
                self.admin(&["FLUSHALL"])
            }
            Fault::SwssRestart => {
                self.emptied()?;
                self.admin(&["FLUSHDB"])?;
                self.delete_rows()
            }
            Fault::RowsDeleted => {
                self.theirs = false;
                self.delete_rows()
            }
            Fault::Churn(count) => self.churn(count),
        }
    }

    /// It ends.
    pub(crate) fn end(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::DaemonKilled | Fault::DaemonRestarted | Fault::KilledWhileSaving => {
                self.start_daemon(Due::Cold)
            }
            Fault::StateFileCut => {
                self.start_daemon(Due::Cold)?;
                let daemon = self.daemon.as_ref().context("no daemon")?;
                if self.files.take_cut() {
                    daemon.wait_for_log("corrupt file")?;
                }
                Ok(())
            }
            Fault::DirectoryGone => self.files.show(),
            Fault::DaemonKilledWarm | Fault::DaemonRestartedWarm => self.start_daemon(Due::Warm),
            Fault::DaemonPaused => self.signal(Signal::SIGCONT),
            Fault::RedisKilled => {
                self.bed.redis().start_again(Keep::Saved)?;
                self.redis_is_back()
            }
            Fault::RedisEmptied => {
                self.bed.redis().start_again(Keep::Nothing)?;
                self.theirs = false;
                self.watch_again()?;
                self.wiped()?;
                self.bed.configure(&self.panel.names)?;
                self.proxy.set(Way::Open);
                Ok(())
            }
            Fault::Loading => {
                self.bed.redis().start_again_slowly()?;
                // The daemon meets it while it loads, but nothing is seen before we
                // are there to see it.
                self.proxy.set(Way::Open);
                thread::sleep(LOADING);
                self.proxy.set(Way::Refuse);
                self.bed.redis().wait_until_it_answers()?;
                self.redis_is_back()
            }
            Fault::RedisPaused => {
                self.redis_answers = true;
                self.bed.redis().resume()
            }
            Fault::OutOfMemory => self.admin(&["CONFIG", "SET", "maxmemory", "0"]),
            Fault::Replica => self.admin(&["REPLICAOF", "NO", "ONE"]),
            Fault::Password => self.admin(&["CONFIG", "SET", "requirepass", ""]),
            Fault::Refused | Fault::Slow(_) | Fault::Cut(_) => {
                self.proxy.set(Way::Open);
                Ok(())
            }
            Fault::FlushAll => self.bed.configure(&self.panel.names),
            Fault::SwssRestart | Fault::RowsDeleted | Fault::Reload | Fault::Churn(_) => Ok(()),
        }
    }

    fn kill_redis(&mut self) -> Result<()> {
        // First nobody gets through, so that the last events are all seen.
        self.proxy.set(Way::Refuse);
        self.lives.may_repeat = true;
        self.collect()?;
        self.redis_answers = false;
        self.bed.redis().kill()
    }

    fn redis_is_back(&mut self) -> Result<()> {
        self.watch_again()?;
        self.proxy.set(Way::Open);
        Ok(())
    }

    /// Everything in APPL_DB and STATE_DB goes now.
    fn emptied(&mut self) -> Result<()> {
        self.theirs = false;
        self.wiped()
    }

    /// APPL_DB is empty: a running daemon has to begin again.
    fn wiped(&mut self) -> Result<()> {
        if self.daemon.is_some() && !self.started_in_outage {
            self.account.cold += 1;
            self.new_life(Due::Cold)?;
        }
        Ok(())
    }

    fn delete_rows(&mut self) -> Result<()> {
        let channel = |key| format!("__keyspace@{STATE_DB}__:{key}");
        let (begin, end) = (channel(OURS_BEGIN), channel(OURS_END));
        self.admin(&["EVAL", DELETE_ROWS, "0", &begin, &end])
    }

    /// Begins a life and marks it.
    pub(crate) fn new_life(&mut self, due: Due) -> Result<()> {
        if !self.redis_answers && self.bed.redis().is_running() {
            self.lives.begin_unmarked(due);
            return Ok(());
        }
        let number = self.lives.begin(due).to_string();
        if self.redis_answers {
            self.mark(&number)
        } else {
            self.marks_owed.push(number);
            Ok(())
        }
    }

    /// Says in the stream of events that a life begins.
    pub(crate) fn mark(&mut self, number: &str) -> Result<()> {
        // What was sent before is carried out before.
        self.admin(&["PING"])?;
        self.admin(&["PING"])?;
        let channel = format!("__keyspace@{APPL_DB}__:{MARK}");
        self.admin(&["PUBLISH", &channel, number])
    }

    fn churn(&mut self, count: u8) -> Result<()> {
        let names: Vec<String> = (0..count)
            .map(|n| format!("Ethernet{}", 2000 + 4 * u32::from(n)))
            .collect();
        let taps = Tap::create_all(self.bed.namespace(), &names)?;
        Tap::delete_all(taps)
    }

    fn reload(&mut self) -> Result<()> {
        let daemon = self.daemon.as_ref().context("no daemon to reload")?;
        let file = daemon.directory().join("portsyncd.conf");
        let text = fs::read_to_string(&file)?;
        let (from, to) = if text.contains("batch_timeout_ms = 100") {
            ("batch_timeout_ms = 100", "batch_timeout_ms = 20")
        } else {
            ("batch_timeout_ms = 20", "batch_timeout_ms = 100")
        };
        fs::write(&file, text.replace(from, to))?;
        daemon.signal(Signal::SIGHUP)
    }
}
