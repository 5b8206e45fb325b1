//! Searching STATE_DB for rows that a portsyncd wrote.

use portsyncd_common::IfName;
use redis::aio::MultiplexedConnection;

use super::{DbError, keys};

/// As errors call it.
const ASK_ROWS: &str = "HEXISTS of netdev_oper_status in STATE_DB's PORT_TABLE";

const PER_SCAN: usize = 512;

/// The ports whose row has `netdev_oper_status`. Rows without that field are
/// somebody else's (intfmgrd's `Ethernet0.10`, xcvrd's first words on a port).
pub(super) async fn search(
    state_db: &mut MultiplexedConnection,
    separator: char,
) -> Result<Vec<IfName>, DbError> {
    let prefix = keys::row(keys::PORT_TABLE, separator, "");
    let mut ours = Vec::new();
    let mut cursor = 0_u64;
    loop {
        let (next, found): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{prefix}*"))
            .arg("COUNT")
            .arg(PER_SCAN)
            .query_async(state_db)
            .await
            .map_err(DbError::redis("SCAN of STATE_DB's PORT_TABLE"))?;
        ours.extend(with_oper_status(state_db, &found, prefix.as_bytes()).await?);
        cursor = next;
        if cursor == 0 {
            return Ok(ours);
        }
    }
}

async fn with_oper_status(
    state_db: &mut MultiplexedConnection,
    found: &[Vec<u8>],
    prefix: &[u8],
) -> Result<Vec<IfName>, DbError> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut read = redis::Pipeline::with_capacity(found.len());
    read.ignore_errors();
    for key in found {
        read.cmd("HEXISTS").arg(key).arg(keys::OPER_STATUS);
    }
    let answers: Vec<redis::RedisResult<bool>> = read
        .query_async(state_db)
        .await
        .map_err(DbError::redis(ASK_ROWS))?;
    let mut ours = Vec::new();
    for (key, answer) in found.iter().zip(answers) {
        if let Ok(true) = DbError::unless_of_the_row(ASK_ROWS, answer)? {
            let name = key.strip_prefix(prefix).map(IfName::new);
            ours.extend(name.and_then(Result::ok));
        }
    }
    Ok(ours)
}
