//! A user of its own in Redis: what it must be allowed, by `README_DEPLOYMENT.md`'s own
//! words, and in which words anything less is refused. Nothing of it takes a restart.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use portsyncd_tests::redis_server::APPL_DB;
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, Daemon, DaemonConfig, PATIENCE, Source, on_each_source, port_names};
use redis::Commands;
use tempfile::TempDir;

on_each_source!(the_guide_lists_all_that_it_takes);

const USER: &str = "portsyncd";
const PASSWORD: &str = "n0t-to-be-seen";
/// The guide's words before the rules of `ACL SETUSER`.
const COMMAND: &str = "ACL SETUSER portsyncd ";

/// The rules of `README_DEPLOYMENT.md`, word by word, without the password's.
fn rules() -> Result<Vec<String>> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README_DEPLOYMENT.md");
    let text = fs::read_to_string(guide)?;
    let (_, rest) = text
        .split_once(COMMAND)
        .context("the guide has no ACL SETUSER")?;
    let (rules, _) = rest.split_once("\n```").context("no end of it")?;
    let words = rules.replace("\\\n", " ");
    let words = words.split_whitespace().map(|word| word.trim_matches('\''));
    let rules: Vec<String> = words
        .filter(|word| !word.starts_with('>') && !word.starts_with('"'))
        .map(str::to_owned)
        .collect();
    ensure!(rules.len() > 20, "{rules:?}");
    Ok(rules)
}

/// `ACL SETUSER` with these rules and the password.
fn set_user<S: AsRef<str>>(bed: &Bed, rules: &[S]) -> Result<()> {
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg(USER).arg("reset");
    command.arg(format!(">{PASSWORD}"));
    for rule in rules {
        command.arg(rule.as_ref());
    }
    Ok(command.exec(&mut bed.redis().connect(APPL_DB)?)?)
}

/// What Redis refused so far.
fn refused(bed: &Bed) -> Result<Vec<String>> {
    let mut redis = bed.redis().connect(APPL_DB)?;
    let log: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query(&mut redis)?;
    Ok(log.iter().map(|entry| format!("{entry:?}")).collect())
}

/// A daemon that is this user; the file of its password goes with the directory.
fn as_user(bed: &Bed) -> Result<(DaemonConfig, TempDir)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n"))?;
    let config = bed
        .config()
        .set("database.retry_interval_secs", 1)
        .set("database.redis_username", USER)
        .set("database.redis_password_file", file.display().to_string());
    Ok((config, folder))
}

/// A life with everything in it that asks Redis for something.
fn the_guide_lists_all_that_it_takes(bed: &Bed) -> Result<()> {
    set_user(bed, &rules()?)?;
    let ports = port_names(8);
    bed.configure(&ports)?;
    let mut taps = bed.taps(&ports)?;
    // A row of an earlier daemon's, to be searched for and deleted.
    bed.state_db()?
        .hset::<_, _, _, ()>("PORT_TABLE|Ethernet400", "netdev_oper_status", "up")?;
    let consumer = bed.consumer()?;
    let (config, _folder) = as_user(bed)?;
    let daemon = bed.start(config)?;
    consumer.wait_for("PortInitDone")?;
    bed.converge()?;
    bed.wait_for_no_row("Ethernet400")?;
    // Live: a port that comes, one that is asked about, the log level, one that goes.
    bed.configure(&["Ethernet100"])?;
    taps.push(bed.tap("Ethernet100")?);
    taps.push(bed.tap("Ethernet200")?);
    bed.wait_for_field("Ethernet100", "state", "ok")?;
    bed.config_db()?
        .hset::<_, _, _, ()>("LOGGER|portsyncd", "LOGLEVEL", "DEBUG")?;
    daemon.wait_for_log("DEBUG")?;
    if let Some(tap) = taps.pop() {
        tap.delete()?;
    }
    // Deleted rows, then a restart of swss.
    bed.state_db()?.del::<_, ()>("PORT_TABLE|Ethernet0")?;
    bed.converge()?;
    redis::cmd("FLUSHDB").exec(&mut bed.appl_db()?)?;
    daemon.wait_for_log("starting cold again")?;
    wait_for("everything is pushed again", PATIENCE, || {
        Ok(daemon.log().text().matches("PortInitDone").count() >= 2)
    })?;
    bed.converge()?;
    let log = daemon.log().text();
    for part in ["does not tell", "NOPERM", "looking twice a second"] {
        ensure!(!log.contains(part), "{part:?} is in the log");
    }
    daemon.stop()?;
    let refused = refused(bed)?;
    ensure!(refused.is_empty(), "refused: {refused:#?}");
    Ok(())
}

/// Without this, these words stand in the log; with it, everything is published.
fn lacking(bed: &Bed, rules: &[String], without: &str, words: &[&str]) -> Result<()> {
    let less: Vec<_> = rules.iter().filter(|rule| *rule != without).collect();
    ensure!(
        less.len() + 1 == rules.len(),
        "{without} is none of the rules"
    );
    let _taps = bed.taps(&["Ethernet0", "Ethernet4"])?;
    let fields: Vec<String> = less.iter().map(|rule| (*rule).clone()).collect();
    set_user(bed, &fields)?;
    bed.configure(&["Ethernet0", "Ethernet4"])?;
    let consumer = bed.consumer()?;
    let (config, _folder) = as_user(bed)?;
    let mut daemon: Daemon = bed.start(config)?;
    for word in words {
        let line = daemon.wait_for_log(word)?;
        ensure!(line.contains("README_DEPLOYMENT.md"), "{line}");
    }
    daemon.still_runs()?;
    ensure!(
        consumer.times("PortInitDone") == 0,
        "PortInitDone came without {without}"
    );
    set_user(bed, rules)?;
    consumer.wait_for("PortInitDone")?;
    bed.converge()?;
    daemon.stop()
}

#[test]
fn what_it_lacks_is_named_and_mended_without_a_restart() -> Result<()> {
    let rules = rules()?;
    for (without, words) in [
        // A command, by either way, or within a script.
        ("+hset", &["lacks +hset:"][..]),
        ("+hgetall", &["+hgetall", "CONFIG_DB's PORT"]),
        ("+eval", &["+eval", "_PORT_TABLE of APPL_DB"]),
        ("+publish", &["lacks +hset, +sadd or +publish"]),
        ("+psubscribe", &["+psubscribe"]),
        ("+select", &["+select"]),
        // A key, by both ways; a channel.
        ("~PORT_TABLE|*", &["lacks the keys", "port Ethernet"]),
        ("%R~PORT|*", &["lacks the keys", "CONFIG_DB's PORT"]),
        (
            "~WARM_RESTART_TABLE|portsyncd",
            &["WARM_RESTART_TABLE|portsyncd"],
        ),
        ("&__keyspace@4__:PORT|*", &["lacks the channels"]),
    ] {
        Bed::run(Source::Auto, |bed| lacking(bed, &rules, without, words))
            .with_context(|| format!("without {without}"))?;
    }
    Ok(())
}

#[test]
fn a_wrong_password_is_told_and_mended_without_a_restart() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let _tap = bed.tap("Ethernet0")?;
        let rules = rules()?;
        set_user(bed, &rules)?;
        let mut redis = bed.redis().connect(APPL_DB)?;
        let change = |redis: &mut redis::Connection, words: [&str; 2]| -> Result<()> {
            let mut set = redis::cmd("ACL");
            Ok(set.arg("SETUSER").arg(USER).arg(&words).exec(redis)?)
        };
        change(&mut redis, ["resetpass", ">another"])?;
        let (config, _folder) = as_user(bed)?;
        let mut daemon = bed.start(config)?;
        for who in [
            "STATE_DB unreachable",
            "configuration databases unreachable",
        ] {
            let line = daemon.wait_for_log(who)?;
            ensure!(
                line.contains("WRONGPASS") || line.contains("AuthenticationFailed"),
                "{line}"
            );
            ensure!(line.contains("database.redis_password_file"), "{line}");
        }
        daemon.still_runs()?;
        change(&mut redis, ["resetpass", &format!(">{PASSWORD}")])?;
        bed.wait_for_field("Ethernet0", "state", "ok")?;
        daemon.stop()
    })
}
