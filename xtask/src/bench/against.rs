//! Another daemon with the same contract, started by a command of the user's.
//!
//! It is given what SONiC gives: CONFIG_DB and the other databases in one Redis, and the
//! ports, in the network namespace that it is started in. Nothing of portsyncd's own is
//! asked of it: that it is ready is seen from PortInitDone and its rows, what it costs
//! from `/proc`, and SIGTERM ends it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use portsyncd_tests::child::Running;
use serde_json::json;

use super::world::World;

/// Starts it; it is the process that the shell turns into.
pub(super) fn start(world: &World) -> Result<Running> {
    let command = world.against.as_deref().context("no --against")?;
    let socket = world.bed.redis().socket();
    let database_config = database_config(world)?;
    let (socket, config) = (
        socket.display().to_string(),
        database_config.display().to_string(),
    );
    let line = command
        .replace("{redis_socket}", &socket)
        .replace("{database_config}", &config);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec {line}")])
        .env("REDIS_SOCKET", &socket)
        .env("DATABASE_CONFIG", &config);
    Running::start(world.bed.namespace(), "the other daemon", shell)
}

/// A `database_config.json` as sonic-swss-common reads it.
fn database_config(world: &World) -> Result<PathBuf> {
    let database =
        |id: u32, separator: &str| json!({"id": id, "separator": separator, "instance": "redis"});
    let document = json!({
        "INSTANCES": {"redis": {
            "hostname": "127.0.0.1",
            "port": 6379,
            "unix_socket_path": world.bed.redis().socket(),
            "persistence_for_warm_boot": "yes",
        }},
        "DATABASES": {
            "APPL_DB": database(0, ":"),
            "ASIC_DB": database(1, ":"),
            "COUNTERS_DB": database(2, ":"),
            "LOGLEVEL_DB": database(3, ":"),
            "CONFIG_DB": database(4, "|"),
            "FLEX_COUNTER_DB": database(5, ":"),
            "STATE_DB": database(6, "|"),
        },
        "VERSION": "1.0",
    });
    let file = world.directory.path().join("database_config.json");
    fs::write(&file, format!("{document:#}"))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}
