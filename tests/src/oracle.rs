//! Whether `STATE_DB` says what the kernel says, port by port.
//!
//! The expectation is derived from an rtnetlink dump and from `CONFIG_DB` alone;
//! nothing of the daemon is used.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::{Commands, Connection};

use crate::namespace::Namespace;
use crate::redis_server::{CONFIG_DB, RedisServer, STATE_DB};
use crate::rtnl::{Netdev, Rtnl};
use crate::wait::wait_until;

/// A row of a table: field → value.
pub type Row = BTreeMap<String, String>;

/// How many differing ports a report names.
const REPORTED: usize = 12;

/// The judge.
pub struct Oracle<'a> {
    rtnl: Rtnl,
    redis: &'a RedisServer,
    table: String,
    also: BTreeSet<String>,
}

impl<'a> Oracle<'a> {
    /// Compares the netdevs of `namespace` with the databases of `redis`.
    pub fn new(namespace: &Namespace, redis: &'a RedisServer) -> Result<Self> {
        Ok(Self {
            rtnl: namespace.rtnl()?,
            redis,
            table: "PORT_TABLE".to_owned(),
            also: BTreeSet::new(),
        })
    }

    /// Expects rows of these netdevs, too, though `CONFIG_DB` does not list them.
    #[must_use]
    pub fn also<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        self.also
            .extend(names.iter().map(|name| name.as_ref().to_owned()));
        self
    }

    /// Looks at another table of `STATE_DB` than `PORT_TABLE`.
    #[must_use]
    pub fn table(mut self, table: &str) -> Self {
        table.clone_into(&mut self.table);
        self
    }

    /// Every difference between `STATE_DB` and the kernel, one line each.
    pub fn differences(&mut self) -> Result<Vec<String>> {
        let mut published = rows(&mut self.redis.connect(STATE_DB)?, &self.table)?;
        let mut ports = configured(&mut self.redis.connect(CONFIG_DB)?)?;
        ports.extend(self.also.iter().cloned());
        let netdevs = self.rtnl.dump()?;
        let mut differences = Vec::new();
        for port in ports {
            let row = published.remove(&port).unwrap_or_default();
            if let Some(difference) = difference(netdevs.get(&port), &row) {
                differences.push(format!("{port}: {difference}"));
            }
        }
        for (name, row) in published {
            if row.contains_key("netdev_oper_status") {
                differences.push(format!("{name}: {row:?}, but it is no configured port"));
            }
        }
        Ok(differences)
    }

    /// Waits until there is no difference.
    pub fn converge(&mut self, timeout: Duration) -> Result<()> {
        wait_until("STATE_DB equals the kernel", timeout, || {
            // While Redis is away there is nothing to compare.
            Ok(match self.differences() {
                Ok(found) if found.is_empty() => ControlFlow::Break(()),
                Ok(found) => ControlFlow::Continue(report(&found)),
                Err(error) => ControlFlow::Continue(format!("{error:#}")),
            })
        })
    }
}

/// The fields that the netdev asks for (SONIC.md's contract: `portsyncd` writes
/// these four with every link message of a port).
#[must_use]
pub fn expected(netdev: &Netdev) -> [(&'static str, String); 4] {
    let up_or_down = |up: bool| if up { "up" } else { "down" }.to_owned();
    [
        ("state", "ok".to_owned()),
        ("netdev_oper_status", up_or_down(netdev.oper_up())),
        ("admin_status", up_or_down(netdev.admin_up())),
        ("mtu", netdev.mtu.to_string()),
    ]
}

fn difference(netdev: Option<&Netdev>, row: &Row) -> Option<String> {
    let Some(netdev) = netdev else {
        return row
            .contains_key("netdev_oper_status")
            .then(|| format!("{row:?}, but there is no such netdev"));
    };
    let wrong: Vec<String> = expected(netdev)
        .iter()
        .filter(|(field, value)| row.get(*field) != Some(value))
        .map(|(field, value)| match row.get(*field) {
            Some(has) => format!("{field} is {has}, kernel says {value}"),
            None => format!("{field} is missing, kernel says {value}"),
        })
        .collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

fn report(differences: &[String]) -> String {
    let mut text = format!("{} ports differ", differences.len());
    for line in differences.iter().take(REPORTED) {
        text.push_str("\n  ");
        text.push_str(line);
    }
    if differences.len() > REPORTED {
        text.push_str("\n  …");
    }
    text
}

/// All rows of a table, by key.
pub fn rows(db: &mut Connection, table: &str) -> Result<BTreeMap<String, Row>> {
    let prefix = format!("{table}|");
    let keys: Vec<String> = db.keys(format!("{prefix}*")).context("KEYS")?;
    // Redis has no empty pipeline.
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut pipeline = redis::pipe();
    for key in &keys {
        pipeline.hgetall(key);
    }
    let rows: Vec<Row> = pipeline.query(db).context("HGETALL")?;
    Ok(keys
        .iter()
        .map(|key| key[prefix.len()..].to_owned())
        .zip(rows)
        .collect())
}

fn configured(config_db: &mut Connection) -> Result<BTreeSet<String>> {
    let keys: Vec<Vec<u8>> = config_db.keys("PORT|*").context("KEYS PORT|*")?;
    Ok(keys
        .iter()
        .map(|key| String::from_utf8_lossy(&key["PORT|".len()..]).into_owned())
        .collect())
}
