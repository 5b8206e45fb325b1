//! The baseline: a daemon that does per link message what the C++ portsyncd does
//! (sonic-swss `portsyncd/linksync.cpp`, `LinkSync::onMsg`), and no more: one
//! recv, one blocking HGETALL of `APPL_DB`, one blocking HSET of four fields into
//! `STATE_DB`, two formatted lines to syslog's datagram socket. It never folds.
//!
//! It runs as a process of its own, so that its processor time can be told. It is
//! leaner than the original: one system call per message instead of poll, peek and
//! read, a parser that reads eight attributes and allocates nothing.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use portsyncd_common::{IfName, LinkRecord, flag, malformed};
use portsyncd_tests::redis_server::{APPL_DB, STATE_DB};
use rustix::time::{ClockId, clock_gettime};

use super::netlink::{Received, Route};
use super::resp::{Redis, Reply, command};
use crate::interrupt::blocked;

/// What it prints when it listens and every port is published.
pub(super) const READY: &str = "blocking baseline ready";
/// What it prints when it is asked to stop, before its counters.
pub(super) const STOPPED: &str = "blocking baseline stopped";

/// SONiC's receive buffer (`linksync.cpp`).
const RECEIVE_BUFFER: usize = 16 << 20;

/// Multicast link messages that were published.
static PUBLISHED: AtomicU64 = AtomicU64::new(0);
/// Times the kernel said that it had dropped messages.
static OVERRUNS: AtomicU64 = AtomicU64::new(0);

/// Runs until SIGTERM.
pub(super) fn run(redis: &Path, log: &Path) -> Result<()> {
    let stop = blocked([Signal::SIGTERM])?;
    thread::spawn(move || {
        if stop.wait().is_ok() {
            println!(
                "{STOPPED} link_messages={} overruns={}",
                PUBLISHED.load(Ordering::Relaxed),
                OVERRUNS.load(Ordering::Relaxed)
            );
            std::process::exit(0);
        }
    });
    let mut publisher = Publisher::connect(redis, log)?;
    let mut route = Route::listen(RECEIVE_BUFFER)?;
    // As the original: the dump's answers come through the same socket.
    route.request_dump(true)?;
    loop {
        let length = match route.receive()? {
            Received::Bytes(length) => length,
            Received::Overrun => {
                // The original logs it and goes on.
                OVERRUNS.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Received::Nothing => continue,
        };
        for message in route.messages(length) {
            if message.is_done() {
                println!("{READY}");
            } else if let Some(record) = message.link()
                && publisher.publish(&record)?
                && !message.is_answer()
            {
                PUBLISHED.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

struct Publisher {
    appl_db: Redis,
    state_db: Redis,
    log: UnixDatagram,
    line: Vec<u8>,
    request: Vec<u8>,
}

impl Publisher {
    fn connect(redis: &Path, log: &Path) -> Result<Self> {
        let socket = UnixDatagram::unbound().context("socket(AF_UNIX, SOCK_DGRAM)")?;
        socket
            .connect(log)
            .with_context(|| format!("cannot connect to {}", log.display()))?;
        Ok(Self {
            appl_db: Redis::connect(redis, APPL_DB)?,
            state_db: Redis::connect(redis, STATE_DB)?,
            log: socket,
            line: Vec::new(),
            request: Vec::new(),
        })
    }

    /// True if it was a port's message.
    fn publish(&mut self, record: &LinkRecord) -> Result<bool> {
        if record.malformed != malformed::NOT {
            return Ok(false);
        }
        let Ok(name) = IfName::from_buffer(&record.name) else {
            return Ok(false);
        };
        if !name.as_bytes().starts_with(b"Ethernet") {
            return Ok(false);
        }
        let admin = record.flags & flag::UP != 0;
        let up = flag::UP | flag::RUNNING | flag::LOWER_UP;
        let oper = record.flags & up == up;
        self.log(format_args!(
            ":- onMsg: nlmsg type:{} key:{name} admin:{} oper:{} addr:00:00:00:00:00:00 ifindex:{} master:{}",
            record.msg_type,
            u8::from(admin),
            u8::from(oper),
            record.ifindex,
            record.master
        ))?;
        let row = self
            .appl_db
            .call(&[b"HGETALL", &[b"PORT_TABLE:", name.as_bytes()].concat()])?;
        if matches!(&row, Reply::List(fields) if fields.is_empty()) {
            return Ok(false);
        }
        let word = |is: bool| if is { &b"up"[..] } else { b"down" };
        self.request.clear();
        command(
            &mut self.request,
            &[
                b"HSET",
                &[b"PORT_TABLE|", name.as_bytes()].concat(),
                b"state",
                b"ok",
                b"netdev_oper_status",
                word(oper),
                b"admin_status",
                word(admin),
                b"mtu",
                record.mtu.to_string().as_bytes(),
            ],
        );
        self.state_db.send(&self.request)?;
        self.state_db.reply()?;
        self.log(format_args!(
            ":- onMsg: Publish {name}(ok:{}) to state db",
            if oper { "up" } else { "down" }
        ))?;
        Ok(true)
    }

    /// A line as syslog(3) sends it.
    fn log(&mut self, text: std::fmt::Arguments<'_>) -> Result<()> {
        let now = clock_gettime(ClockId::Realtime);
        self.line.clear();
        write!(
            self.line,
            "<29>{}.{:06} portsyncd: {text}",
            now.tv_sec,
            now.tv_nsec / 1000
        )?;
        self.log
            .send(&self.line)
            .context("send to the log socket")?;
        Ok(())
    }
}
