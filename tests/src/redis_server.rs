//! A private redis-server with SONiC's settings, on a unix socket in a directory
//! of its own.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use redis::Connection;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::child::{Output, Running};
use crate::namespace::Namespace;
use crate::wait::{PATIENCE, wait_until};

/// `APPL_DB`'s number in SONiC's `database_config.json`.
pub const APPL_DB: u32 = 0;
/// `CONFIG_DB`'s number.
pub const CONFIG_DB: u32 = 4;
/// `STATE_DB`'s number.
pub const STATE_DB: u32 = 6;

/// The port that a server with [`RedisOptions::tcp`] listens on, at 127.0.0.1
/// of its namespace, where every port is free.
pub const TCP_PORT: u16 = 6379;

/// The port of [`RedisServer::speak_tls`].
pub const TLS_PORT: u16 = 6390;

/// What differs from SONiC's own settings.
#[derive(Clone, Copy, Debug)]
pub struct RedisOptions {
    /// `notify-keyspace-events AKE`, as SONiC has it.
    pub keyspace_events: bool,
    /// Listen on 127.0.0.1:6379 of the namespace, too.
    pub tcp: bool,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            keyspace_events: true,
            tcp: false,
        }
    }
}

/// What a restarted server still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// What [`RedisServer::save`] wrote last.
    Saved,
}

/// A redis-server; killed, and its files removed, when dropped.
pub struct RedisServer {
    // Dropped first: the server must be gone before its directory.
    running: Mutex<Option<Running>>,
    namespace: Namespace,
    options: RedisOptions,
    socket: PathBuf,
    directory: TempDir,
}

impl RedisServer {
    /// Starts a server in `namespace` and waits until it answers.
    pub fn start(namespace: &Namespace, options: RedisOptions) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("portsyncd-redis-")
            .tempdir()
            .context("cannot make a directory for Redis")?;
        let server = Self {
            running: Mutex::new(None),
            namespace: namespace.clone(),
            options,
            socket: directory.path().join("redis.sock"),
            directory,
        };
        server.launch(&[])?;
        server.wait_until_it_answers()?;
        Ok(server)
    }

    fn launch(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.args(["--port", if self.options.tcp { "6379" } else { "0" }]);
        command.args(["--bind", "127.0.0.1"]);
        command.arg("--unixsocket").arg(&self.socket);
        command.arg("--dir").arg(self.directory.path());
        command.args(["--databases", "100", "--save", "", "--appendonly", "no"]);
        command.args(["--daemonize", "no", "--loglevel", "warning"]);
        if self.options.keyspace_events {
            command.args(["--notify-keyspace-events", "AKE"]);
        }
        command.args(arguments);
        let running = Running::start(&self.namespace, "redis-server", command)
            .context("is Debian's package redis-server installed?")?;
        *self.lock() = Some(running);
        Ok(())
    }

    /// Waits until it answers, and has loaded what it had saved.
    pub fn wait_until_it_answers(&self) -> Result<()> {
        let mut slot = self.lock();
        let running = slot.as_mut().context("redis-server is not running")?;
        wait_until("redis-server answers PING", PATIENCE, || {
            if let Some(status) = running.ended()? {
                anyhow::bail!(
                    "redis-server ended: {status}\n{}",
                    running.output().tail(20)
                );
            }
            let answer = self
                .connect(APPL_DB)
                .and_then(|mut redis| Ok(redis::cmd("PING").query::<String>(&mut redis)?));
            Ok(match answer {
                Ok(_) => ControlFlow::Break(()),
                Err(error) => ControlFlow::Continue(format!("{error:#}")),
            })
        })
    }

    /// The unix socket's path.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A connection to one database.
    pub fn connect(&self, db: u32) -> Result<Connection> {
        let url = format!("redis+unix://{}?db={db}", self.socket.display());
        let connection = redis::Client::open(url)?
            .get_connection()
            .with_context(|| format!("cannot connect to {}", self.socket.display()))?;
        // A paused server must not hang the test that paused it.
        connection.set_read_timeout(Some(PATIENCE))?;
        Ok(connection)
    }

    /// A connection that may wait for ever, for subscriptions.
    pub(crate) fn connect_patiently(&self, db: u32) -> Result<Connection> {
        let connection = self.connect(db)?;
        connection.set_read_timeout(None)?;
        Ok(connection)
    }

    /// What the server printed.
    #[must_use]
    pub fn output(&self) -> Output {
        self.lock()
            .as_ref()
            .map(|running| running.output().clone())
            .unwrap_or_default()
    }

    /// Writes the databases to disk, for [`Keep::Saved`].
    pub fn save(&self) -> Result<()> {
        Ok(redis::cmd("SAVE").query(&mut self.connect(APPL_DB)?)?)
    }

    /// Kills the server as a crash would.
    pub fn kill(&self) -> Result<()> {
        let mut running = self.lock().take().context("redis-server is not running")?;
        running.kill()
    }

    /// Starts the server again after [`kill`](Self::kill).
    pub fn start_again(&self, keep: Keep) -> Result<()> {
        ensure!(self.lock().is_none(), "redis-server is still running");
        let saved = self.saved();
        match keep {
            Keep::Saved => ensure!(saved.exists(), "nothing was saved"),
            Keep::Nothing if saved.exists() => fs::remove_file(saved)?,
            Keep::Nothing => {}
        }
        self.launch(&[])?;
        self.wait_until_it_answers()
    }

    /// Starts the server again with what was saved, which takes it long to load:
    /// some ms for each key. Until then it answers `-LOADING`.
    pub fn start_again_slowly(&self) -> Result<()> {
        ensure!(self.lock().is_none(), "redis-server is still running");
        ensure!(self.saved().exists(), "nothing was saved");
        self.launch(&[
            "--key-load-delay",
            "10000",
            "--loading-process-events-interval-bytes",
            "1024",
        ])?;
        wait_until("redis-server loads", PATIENCE, || {
            let answer = self
                .connect(APPL_DB)
                .and_then(|mut redis| Ok(redis::cmd("PING").query::<String>(&mut redis)?));
            Ok(match answer {
                Err(error) if format!("{error:#}").to_uppercase().contains("LOADING") => {
                    ControlFlow::Break(())
                }
                other => ControlFlow::Continue(format!("{other:?}")),
            })
        })
    }

    /// Whether its process is there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lock().is_some()
    }

    /// `CONFIG SET`.
    pub fn configure(&self, key: &str, value: &str) -> Result<()> {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg(key)
            .arg(value)
            .exec(&mut self.connect(APPL_DB)?)
            .with_context(|| format!("CONFIG SET {key}"))
    }

    /// Speaks TLS at 127.0.0.1:[`TLS_PORT`] of its namespace with `name`'s certificate from
    /// now on; `clients` is `no`, `optional` or `yes`: whether they need one, too.
    pub fn speak_tls(&self, certificates: &Certificates, name: &str, clients: &str) -> Result<()> {
        let file = |name: String| certificates.path(&name);
        redis::cmd("CONFIG")
            .arg("SET")
            .arg(&[("tls-cert-file", file(format!("{name}.pem")))])
            .arg(&[("tls-key-file", file(format!("{name}.key")))])
            .arg(&[("tls-ca-cert-file", file("ca.pem".to_owned()))])
            .arg(&[("tls-auth-clients", clients)])
            .arg(&[("tls-port", TLS_PORT)])
            .exec(&mut self.connect(APPL_DB)?)
            .context("CONFIG SET of TLS: Redis 7 with TLS, as Debian has it")
    }

    /// How often the server has carried out a command, by its own account.
    pub fn calls(&self, command: &str) -> Result<u64> {
        let info: String = redis::cmd("INFO")
            .arg("commandstats")
            .query(&mut self.connect(APPL_DB)?)?;
        let prefix = format!("cmdstat_{command}:calls=");
        let calls = info
            .lines()
            .find_map(|line| line.strip_prefix(&prefix)?.split(',').next()?.parse().ok());
        Ok(calls.unwrap_or(0))
    }

    fn saved(&self) -> PathBuf {
        self.directory.path().join("dump.rdb")
    }

    /// Stops the server's process (SIGSTOP): connections stay, answers do not come.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets a paused server go on.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.lock()
            .as_ref()
            .context("redis-server is not running")?
            .signal(signal)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
