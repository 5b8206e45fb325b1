//! Cold or warm: `warm_restart.cpp` of sonic-swss-common, as portsyncd uses it.

use redis::aio::MultiplexedConnection;
use tracing::warn;

use super::{DbError, keys};

/// How this process starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartKind {
    /// The configuration is pushed and PortConfigDone sent.
    Cold,
    /// APPL_DB is in place: neither.
    Warm,
}

impl StartKind {
    /// The word for it in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
        }
    }
}

/// What STATE_DB says of this start, and what has to be written there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) start: StartKind,
    restore_count: u64,
}

/// Reads what decides how this process starts.
pub(super) async fn read_start(
    state_db: &mut MultiplexedConnection,
    separator: char,
) -> Result<Account, DbError> {
    let ours = our_row(separator);
    let (start, restore_count) = match read(state_db, separator).await? {
        (false, _) => (StartKind::Cold, 0),
        (true, None) => {
            warn!(
                row = ours,
                "warm restart is enabled, but restore_count is missing: starting cold"
            );
            (StartKind::Cold, 0)
        }
        (true, Some(count)) => (StartKind::Warm, next_count(&ours, &count)),
    };
    Ok(Account {
        start,
        restore_count,
    })
}

/// Accounts for this start in `WARM_RESTART_TABLE`.
///
/// Only `restore_count` is written: sonic-mgmt compares the row before and after
/// and expects nothing else to differ.
pub(super) async fn account(
    state_db: &mut MultiplexedConnection,
    separator: char,
    account: Account,
) -> Result<(), DbError> {
    write(state_db, separator, account.restore_count).await
}

/// Whether warm restart is enabled, and `restore_count`.
async fn read(
    state_db: &mut MultiplexedConnection,
    separator: char,
) -> Result<(bool, Option<Vec<u8>>), DbError> {
    let mut read = redis::pipe();
    for scope in ["system", "swss"] {
        read.cmd("HGET")
            .arg(keys::row(keys::WARM_ENABLE_TABLE, separator, scope))
            .arg("enable");
    }
    read.cmd("HGET")
        .arg(our_row(separator))
        .arg("restore_count");
    let [system, swss, count]: [Option<Vec<u8>>; 3] = read.query_async(state_db).await.map_err(
        DbError::redis("HGET of WARM_RESTART_ENABLE_TABLE and WARM_RESTART_TABLE|portsyncd"),
    )?;
    let enabled = [system, swss]
        .iter()
        .flatten()
        .any(|value| value == b"true");
    Ok((enabled, count))
}

async fn write(
    state_db: &mut MultiplexedConnection,
    separator: char,
    count: u64,
) -> Result<(), DbError> {
    redis::cmd("HSET")
        .arg(our_row(separator))
        .arg("restore_count")
        .arg(count)
        .exec_async(state_db)
        .await
        .map_err(DbError::redis(
            "HSET of restore_count in WARM_RESTART_TABLE|portsyncd",
        ))
}

fn our_row(separator: char) -> String {
    keys::row(keys::WARM_TABLE, separator, keys::DAEMON)
}

/// APPL_DB was emptied while we run: what follows is a cold start, and is accounted
/// for as one unless warm restart is enabled and has its count, which is of
/// processes.
pub(super) async fn account_again(
    state_db: &mut MultiplexedConnection,
    separator: char,
) -> Result<(), DbError> {
    let (enabled, count) = read(state_db, separator).await?;
    if enabled && count.is_some() {
        return Ok(());
    }
    write(state_db, separator, 0).await
}

fn next_count(row: &str, count: &[u8]) -> u64 {
    let number = std::str::from_utf8(count).ok().and_then(|n| n.parse().ok());
    if number.is_none() {
        warn!(
            row,
            restore_count = %count.escape_ascii(),
            "restore_count is not a number: counting from 1"
        );
    }
    number.unwrap_or(0_u64).saturating_add(1)
}
