//! Where the databases are, when they come, and what they do not offer.

use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::{Result, ensure};
use portsyncd_tests::redis_server::{CONFIG_DB, Keep, RedisOptions, TCP_PORT};
use portsyncd_tests::{Bed, DaemonConfig, PATIENCE, RedisServer, Source, port_names, wait_until};
use redis::Commands;
use serde_json::json;

#[test]
fn redis_absent_at_the_start_is_waited_for() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let ports = port_names(4);
        bed.configure(&ports)?;
        let _taps = bed.taps(&ports)?;
        bed.redis().save()?;
        bed.redis().kill()?;
        let mut daemon = bed.start(bed.config().set("database.retry_interval_secs", 1))?;
        // It says what it waits for, and where.
        let socket = bed.redis().socket().display().to_string();
        daemon.wait_for_log(&socket)?;
        daemon.still_runs()?;
        bed.redis().start_again(Keep::Saved)?;
        let consumer = bed.consumer()?;
        consumer.wait_for("PortInitDone")?;
        bed.converge()?;
        ensure!(consumer.times("PortConfigDone") == 1);
        daemon.stop()
    })
}

#[test]
fn an_outage_of_redis_is_told_once() -> Result<()> {
    Bed::run(Source::Netlink, |bed| {
        bed.configure(&["Ethernet0"])?;
        let tap = bed.tap("Ethernet0")?;
        let daemon = bed.start(bed.config().set("database.retry_interval_secs", 1))?;
        bed.converge()?;
        let before = daemon.log().text().lines().count();
        bed.redis().save()?;
        bed.redis().kill()?;
        for mtu in 1300..1400 {
            tap.set_mtu(mtu)?;
        }
        refuse_connections(bed.redis().socket(), 15)?;
        bed.redis().start_again(Keep::Saved)?;
        bed.converge()?;
        let log = daemon.log().clone();
        daemon.stop()?;
        let lines = log.text().lines().skip(before).count();
        // Three databases, each away once and back once, and the resynchronisation.
        ensure!(
            (1..=12).contains(&lines),
            "{lines} lines tell of one outage"
        );
        Ok(())
    })
}

#[test]
fn redis_is_found_by_host_and_port() -> Result<()> {
    let options = RedisOptions {
        tcp: true,
        ..RedisOptions::default()
    };
    Bed::with_redis(Source::Auto, options)?.check(|bed| {
        bed.configure(&["Ethernet0"])?;
        let _tap = bed.tap("Ethernet0")?;
        let config = bed
            .config()
            .set("database.redis_socket", "")
            .set("database.redis_host", "127.0.0.1")
            .set("database.redis_port", i64::from(TCP_PORT));
        let daemon = bed.start(config)?;
        bed.wait_for_field("Ethernet0", "state", "ok")?;
        daemon.stop()
    })
}

#[test]
fn redis_is_told_name_and_password() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let _tap = bed.tap("Ethernet0")?;
        let user = ["SETUSER", "port-user", "on", ">s3cret", "~*", "&*", "+@all"];
        redis::cmd("ACL").arg(&user).exec(&mut bed.appl_db()?)?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("password");
        let config = |password: &str| -> Result<DaemonConfig> {
            fs::write(&file, password)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
            Ok(bed
                .config()
                .set("database.retry_interval_secs", 1)
                .set("database.redis_username", "port-user")
                .set("database.redis_password_file", file.display().to_string()))
        };
        let daemon = bed.start(config("s3cret\n")?)?;
        bed.wait_for_field("Ethernet0", "state", "ok")?;
        let clients: String = redis::cmd("CLIENT")
            .arg("LIST")
            .query(&mut bed.appl_db()?)?;
        ensure!(clients.contains("user=port-user"), "{clients}");
        daemon.stop()?;

        let daemon = bed.start(config("wr0ng\n")?)?;
        daemon.wait_for_log(&bed.redis().socket().display().to_string())?;
        daemon.wait_for_log("WRONGPASS")?;
        ensure!(
            !daemon.log().text().contains("wr0ng"),
            "the password is in the log"
        );
        daemon.stop()
    })
}

/// As on a switch with several Redis instances: `STATE_DB` lives in another one,
/// under another number.
#[test]
fn databases_are_found_by_database_config_json() -> Result<()> {
    const STATE_DB_THERE: u32 = 13;
    Bed::run(Source::Auto, |bed| {
        let other = RedisServer::start(bed.namespace(), RedisOptions::default())?;
        bed.configure(&["Ethernet0"])?;
        let tap = bed.tap("Ethernet0")?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("database_config.json");
        let on = |instance: &str, id: u32, separator: &str| json!({ "id": id, "separator": separator, "instance": instance });
        fs::write(
            &file,
            json!({
                "INSTANCES": {
                    "redis": {
                        "hostname": "127.0.0.1", "port": 6379,
                        "unix_socket_path": bed.redis().socket(),
                        "persistence_for_warm_boot": "yes", "database_type": "switch"
                    },
                    "redis1": {
                        "hostname": "127.0.0.1", "port": 6380,
                        "unix_socket_path": other.socket()
                    }
                },
                "DATABASES": {
                    "APPL_DB": on("redis", 0, ":"),
                    "CONFIG_DB": on("redis", CONFIG_DB, "|"),
                    "STATE_DB": on("redis1", STATE_DB_THERE, "|"),
                    "COUNTERS_DB": on("redis", 2, ":")
                },
                "VERSION": "1.0"
            })
            .to_string(),
        )?;
        let config = bed
            .config()
            .set("database.redis_socket", "")
            .set("database.sonic_db_config", file.display().to_string());
        let consumer = bed.consumer()?;
        let daemon = bed.start(config)?;
        consumer.wait_for("PortInitDone")?;
        tap.set_mtu(1400)?;
        wait_until("the row is in the other Redis", PATIENCE, || {
            let mtu: Option<String> = other
                .connect(STATE_DB_THERE)?
                .hget("PORT_TABLE|Ethernet0", "mtu")?;
            Ok(match mtu.as_deref() {
                Some("1400") => ControlFlow::Break(()),
                _ => ControlFlow::Continue(format!("mtu is {mtu:?}")),
            })
        })?;
        ensure!(
            bed.row("Ethernet0")?.is_empty(),
            "the row is in the wrong Redis, too"
        );
        daemon.stop()
    })
}

#[test]
fn without_keyspace_events_membership_is_asked() -> Result<()> {
    let options = RedisOptions {
        keyspace_events: false,
        ..RedisOptions::default()
    };
    Bed::with_redis(Source::Auto, options)?.check(|bed| {
        bed.configure(&port_names(4))?;
        let mut taps = bed.taps(&port_names(4))?;
        let daemon = bed.daemon()?;
        bed.converge()?;
        // Nobody announces these rows; the netdevs announce themselves.
        bed.configure(&["Ethernet100", "Ethernet104"])?;
        for name in ["Ethernet100", "Ethernet104"] {
            taps.push(bed.tap(name)?);
            bed.wait_for_field(name, "state", "ok")?;
        }
        bed.converge()?;
        let log = daemon.log().clone();
        daemon.stop()?;
        let told = log.text().to_lowercase();
        let told: Vec<&str> = told
            .lines()
            .filter(|line| line.contains("keyspace") && !line.contains("debug"))
            .collect();
        ensure!(
            told.len() == 1,
            "keyspace events are off, said {} times: {told:?}",
            told.len()
        );
        Ok(())
    })
}

/// Listens in the place of a dead Redis and hangs up on everybody who connects,
/// until so many have.
fn refuse_connections(socket: &Path, attempts: usize) -> Result<()> {
    fs::remove_file(socket)?;
    let listener = UnixListener::bind(socket)?;
    listener.set_nonblocking(true)?;
    let mut refused = 0;
    wait_until("the daemon has tried again and again", PATIENCE, || {
        loop {
            match listener.accept() {
                Ok(_) => refused += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(if refused >= attempts {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(format!("{refused} attempts"))
        })
    })?;
    fs::remove_file(socket)?;
    Ok(())
}
