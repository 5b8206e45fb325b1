//! `CONFIG_DB` as SONiC's configuration fills it.

use anyhow::Result;
use redis::{Commands, Connection, Pipeline};

/// The fields of one row, in the order in which they are written.
pub type Fields = Vec<(String, String)>;

/// The names of `count` front-panel ports of four lanes: Ethernet0, Ethernet4, …
#[must_use]
pub fn port_names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("Ethernet{}", 4 * n)).collect()
}

/// The fields of the `number`th port, as a platform's `port_config.ini` and the
/// operator's configuration give them.
#[must_use]
pub fn port_fields(number: usize) -> Fields {
    let lanes: Vec<String> = (1..=4)
        .map(|lane| (4 * number + lane).to_string())
        .collect();
    [
        ("alias", format!("etp{}", number + 1)),
        ("lanes", lanes.join(",")),
        ("speed", "100000".to_owned()),
        ("index", (number + 1).to_string()),
        ("mtu", "9100".to_owned()),
        ("fec", "rs".to_owned()),
        ("admin_status", "up".to_owned()),
        // A list, as sonic-cfggen stores lists.
        ("adv_speeds@", "100000,50000".to_owned()),
    ]
    .map(|(field, value)| (field.to_owned(), value))
    .to_vec()
}

/// Writes `DEVICE_METADATA|localhost` and a `PORT` row for each name.
pub fn configure<S: AsRef<str>>(config_db: &mut Connection, names: &[S]) -> Result<()> {
    let mut pipeline = redis::pipe();
    pipeline
        .hset("DEVICE_METADATA|localhost", "switch_type", "switch")
        .ignore()
        .hset("DEVICE_METADATA|localhost", "hwsku", "Force10-S6000")
        .ignore();
    for (number, name) in names.iter().enumerate() {
        add_port(&mut pipeline, name.as_ref(), number);
    }
    Ok(pipeline.query(config_db)?)
}

fn add_port(pipeline: &mut Pipeline, name: &str, number: usize) {
    pipeline
        .hset_multiple(format!("PORT|{name}"), &port_fields(number))
        .ignore();
}

/// Removes a port's row, as the first half of a breakout does.
pub fn remove_port(config_db: &mut Connection, name: &str) -> Result<()> {
    Ok(config_db.del(format!("PORT|{name}"))?)
}
