//! Everything a test needs, in one place: a namespace, a Redis, the daemon's
//! configuration, and a report when the test fails.

use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Result;
use redis::{Commands, Connection};

use crate::child::Output;
use crate::config_db;
use crate::consumer::Consumer;
use crate::daemon::{Daemon, DaemonConfig, Source};
use crate::events::Events;
use crate::http::wait_for_answer;
use crate::namespace::Namespace;
use crate::oracle::{Oracle, Row};
use crate::redis_server::{APPL_DB, CONFIG_DB, RedisOptions, RedisServer, STATE_DB};
use crate::tap::Tap;
use crate::wait::{PATIENCE, wait_for, wait_until};

/// How many lines of each log a failure shows.
const LOG_LINES: usize = 60;

/// One test's world.
pub struct Bed {
    source: Source,
    // The server ends before its namespace does.
    redis: RedisServer,
    namespace: Namespace,
    logs: Mutex<Vec<Output>>,
}

impl Bed {
    /// An empty namespace and an empty Redis.
    pub fn new(source: Source) -> Result<Self> {
        Self::with_redis(source, RedisOptions::default())
    }

    /// As [`new`](Self::new), with other settings of Redis.
    pub fn with_redis(source: Source, options: RedisOptions) -> Result<Self> {
        let namespace = Namespace::new()?;
        let redis = RedisServer::start(&namespace, options)?;
        Ok(Self {
            source,
            redis,
            namespace,
            logs: Mutex::default(),
        })
    }

    /// Runs a test in a world of its own; a failure shows the daemon's log.
    pub fn run(source: Source, test: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        Self::new(source)?.check(test)
    }

    /// Runs a test in this world; a failure shows the daemon's log.
    pub fn check(self, test: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let result = test(&self);
        if result.is_err() {
            self.show_logs();
        }
        result
    }

    fn show_logs(&self) {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, log) in logs.iter().enumerate() {
            eprintln!(
                "--- log of daemon {} (its end):\n{}",
                number + 1,
                log.tail(LOG_LINES)
            );
        }
        // What a server that works has to say is no help.
        if self.redis.connect(APPL_DB).is_err() {
            eprintln!(
                "--- log of Redis (its end):\n{}",
                self.redis.output().tail(5)
            );
        }
        eprintln!("---");
    }

    /// The link source that this run is about.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The Redis server.
    #[must_use]
    pub fn redis(&self) -> &RedisServer {
        &self.redis
    }

    /// A connection to `CONFIG_DB`.
    pub fn config_db(&self) -> Result<Connection> {
        self.redis.connect(CONFIG_DB)
    }

    /// A connection to `STATE_DB`.
    pub fn state_db(&self) -> Result<Connection> {
        self.redis.connect(STATE_DB)
    }

    /// A connection to `APPL_DB`.
    pub fn appl_db(&self) -> Result<Connection> {
        self.redis.connect(APPL_DB)
    }

    /// Writes `PORT` rows for these names.
    pub fn configure<S: AsRef<str>>(&self, names: &[S]) -> Result<()> {
        config_db::configure(&mut self.config_db()?, names)
    }

    /// Makes taps of these names, administratively up.
    pub fn taps<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<Tap>> {
        let taps = Tap::create_all(&self.namespace, names)?;
        taps.iter().try_for_each(Tap::up)?;
        Ok(taps)
    }

    /// Makes one tap, administratively up.
    pub fn tap(&self, name: &str) -> Result<Tap> {
        let tap = Tap::create(&self.namespace, name)?;
        tap.up()?;
        Ok(tap)
    }

    /// The configuration of a daemon on this bed's source and Redis.
    #[must_use]
    pub fn config(&self) -> DaemonConfig {
        DaemonConfig::new(self.source, self.redis.socket())
    }

    /// Starts a daemon; its log is shown if the test fails.
    pub fn start(&self, config: DaemonConfig) -> Result<Daemon> {
        let daemon = config.start(&self.namespace)?;
        self.logs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(daemon.log().clone());
        Ok(daemon)
    }

    /// Starts a daemon with the plain configuration.
    pub fn daemon(&self) -> Result<Daemon> {
        self.start(self.config())
    }

    /// As [`config`](Self::config), with metrics and the listener. A busy machine is no
    /// fault of the daemon's: no latency costs health.
    #[must_use]
    pub fn listening(&self) -> DaemonConfig {
        self.config()
            .set("metrics.enabled", true)
            .set("performance.max_latency_us", 60_000_000)
    }

    /// Starts a daemon that listens, and waits until it says that it is ready.
    pub fn ready(&self, config: DaemonConfig) -> Result<Daemon> {
        let daemon = self.start(config)?;
        wait_for_answer(self.namespace(), "/readyz", "it is ready", |answer| {
            answer.status == 200
        })?;
        Ok(daemon)
    }

    /// A consumer in orchagent's place.
    pub fn consumer(&self) -> Result<Consumer> {
        Consumer::start(&self.redis)
    }

    /// Subscribes to keyspace events by database and glob.
    pub fn events(&self, keys: &[(u32, &str)]) -> Result<Events> {
        Events::subscribe(&self.redis, keys)
    }

    /// A judge of this bed.
    pub fn oracle(&self) -> Result<Oracle<'_>> {
        Oracle::new(&self.namespace, &self.redis)
    }

    /// Waits until `STATE_DB` equals the kernel.
    pub fn converge(&self) -> Result<()> {
        self.oracle()?.converge(PATIENCE)
    }

    /// The row `PORT_TABLE|<name>` of `STATE_DB`; empty when there is none.
    pub fn row(&self, name: &str) -> Result<Row> {
        Ok(self.state_db()?.hgetall(format!("PORT_TABLE|{name}"))?)
    }

    /// Waits until a field of `PORT_TABLE|<name>` has this value.
    pub fn wait_for_field(&self, name: &str, field: &str, value: &str) -> Result<()> {
        let what = format!("{field} of PORT_TABLE|{name} is {value}");
        wait_until(&what, PATIENCE, || {
            let row = self.row(name)?;
            Ok(if row.get(field).is_some_and(|has| has == value) {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(format!("the row is {row:?}"))
            })
        })
    }

    /// Waits until there is no row `PORT_TABLE|<name>`.
    pub fn wait_for_no_row(&self, name: &str) -> Result<()> {
        wait_for(
            &format!("there is no row PORT_TABLE|{name}"),
            PATIENCE,
            || Ok(self.row(name)?.is_empty()),
        )
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if thread::panicking() {
            self.show_logs();
        }
    }
}

/// Makes two tests of each scenario, a function `fn(&Bed) -> Result<()>`: one on
/// the eBPF source, one on plain netlink. Both must behave the same.
#[macro_export]
macro_rules! on_each_source {
    ($($scenario:ident),+ $(,)?) => {
        mod ebpf {
            $(#[test]
            fn $scenario() -> anyhow::Result<()> {
                $crate::Bed::run($crate::Source::Ebpf, super::$scenario)
            })+
        }
        mod netlink {
            $(#[test]
            fn $scenario() -> anyhow::Result<()> {
                $crate::Bed::run($crate::Source::Netlink, super::$scenario)
            })+
        }
    };
}
