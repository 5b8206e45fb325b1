//! Redis over TLS, both by the hot path's own stream and by the library's connections:
//! what is trusted, what is shown, and in which words anything else is refused.

use anyhow::{Context, Result, ensure};
use portsyncd_tests::certificates::Certificates;
use portsyncd_tests::redis_server::{APPL_DB, TLS_PORT};
use portsyncd_tests::{Bed, Daemon, DaemonConfig, Source, on_each_source};

on_each_source!(a_client_that_is_known_publishes);

/// A daemon that finds Redis by TLS alone.
fn by_tls(bed: &Bed, host: &str, ca: &str) -> DaemonConfig {
    bed.config()
        .set("database.redis_socket", "")
        .set("database.redis_host", host)
        .set("database.redis_port", i64::from(TLS_PORT))
        .set("database.redis_tls", true)
        .set("database.redis_tls_ca", ca)
        .set("database.retry_interval_secs", 1)
}

/// Closes every connection that speaks TLS, so that certificates are shown anew.
fn hang_up(bed: &Bed) -> Result<()> {
    let mut redis = bed.redis().connect(APPL_DB)?;
    redis::cmd("CLIENT")
        .arg(&["KILL", "LADDR", &format!("127.0.0.1:{TLS_PORT}")])
        .exec(&mut redis)
        .context("CLIENT KILL")
}

/// Both ways refuse, each in these words.
fn both_say(daemon: &Daemon, words: &[&str]) -> Result<()> {
    for who in [
        "STATE_DB unreachable",
        "configuration databases unreachable",
    ] {
        let line = portsyncd_tests::wait_until(
            &format!("{who}: {words:?} in the log"),
            portsyncd_tests::PATIENCE,
            || {
                let log = daemon.log().text();
                let mut lines = log.lines().filter(|line| line.contains(who));
                let found = lines.find(|line| words.iter().all(|word| line.contains(word)));
                Ok(match found {
                    Some(line) => std::ops::ControlFlow::Break(line.to_owned()),
                    None => std::ops::ControlFlow::Continue(daemon.log().tail(10)),
                })
            },
        )?;
        ensure!(!line.is_empty());
    }
    Ok(())
}

fn a_client_that_is_known_publishes(bed: &Bed) -> Result<()> {
    let certificates = Certificates::make()?;
    bed.redis().speak_tls(&certificates, "server", "yes")?;
    bed.configure(&["Ethernet0"])?;
    let tap = bed.tap("Ethernet0")?;
    let consumer = bed.consumer()?;
    let config = by_tls(bed, "127.0.0.1", &certificates.path("ca.pem"))
        .set("database.redis_tls_cert", certificates.path("client.pem"))
        .set("database.redis_tls_key", certificates.path("client.key"));
    let mut daemon = bed.start(config)?;
    consumer.wait_for("PortInitDone")?;
    bed.wait_for_field("Ethernet0", "state", "ok")?;
    tap.carrier(false)?;
    bed.wait_for_field("Ethernet0", "netdev_oper_status", "down")?;
    // A new certificate of the same CA's is taken with the next connection.
    certificates.sign("server")?;
    bed.redis().speak_tls(&certificates, "server", "yes")?;
    hang_up(bed)?;
    tap.carrier(true)?;
    bed.wait_for_field("Ethernet0", "netdev_oper_status", "up")?;
    bed.configure(&["Ethernet4"])?;
    let _later = bed.tap("Ethernet4")?;
    bed.wait_for_field("Ethernet4", "state", "ok")?;
    daemon.still_runs()?;
    daemon.stop()
}

/// Redis shows one wrong certificate after the other while the daemon tries, and a right one
/// in the end.
#[test]
fn what_is_not_trusted_is_named_and_mended_without_a_restart() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let (ours, theirs) = (Certificates::make()?, Certificates::make()?);
        ours.sign_expired("expired")?;
        ours.sign_for_subject("elsewhere", "DNS:elsewhere.example")?;
        bed.configure(&["Ethernet0"])?;
        let tap = bed.tap("Ethernet0")?;
        bed.redis().speak_tls(&theirs, "server", "no")?;
        let mut daemon = bed.start(by_tls(bed, "127.0.0.1", &ours.path("ca.pem")))?;
        both_say(&daemon, &["UnknownIssuer", "database.redis_tls_ca"])?;

        bed.redis().speak_tls(&ours, "expired", "no")?;
        both_say(&daemon, &["xpired", "Redis needs a new certificate"])?;

        bed.redis().speak_tls(&ours, "elsewhere", "no")?;
        both_say(&daemon, &["not valid for name", "database.redis_host"])?;
        ensure!(bed.row("Ethernet0")?.is_empty(), "it wrote to a stranger");

        bed.redis().speak_tls(&ours, "server", "no")?;
        bed.wait_for_field("Ethernet0", "state", "ok")?;
        tap.carrier(false)?;
        bed.wait_for_field("Ethernet0", "netdev_oper_status", "down")?;
        daemon.still_runs()?;
        daemon.stop()
    })
}

#[test]
fn a_redis_that_wants_a_certificate_is_told_apart() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let certificates = Certificates::make()?;
        bed.configure(&["Ethernet0"])?;
        let _tap = bed.tap("Ethernet0")?;
        bed.redis().speak_tls(&certificates, "server", "yes")?;
        let ca = certificates.path("ca.pem");
        let daemon = bed.start(by_tls(bed, "127.0.0.1", &ca))?;
        both_say(&daemon, &["CertificateRequired", "database.redis_tls_cert"])?;
        // It asks no longer.
        bed.redis().speak_tls(&certificates, "server", "no")?;
        bed.wait_for_field("Ethernet0", "state", "ok")?;
        daemon.stop()?;

        // A certificate that somebody else signed.
        let stranger = Certificates::make()?;
        bed.redis().speak_tls(&certificates, "server", "yes")?;
        let config = by_tls(bed, "127.0.0.1", &ca)
            .set("database.redis_tls_cert", stranger.path("client.pem"))
            .set("database.redis_tls_key", stranger.path("client.key"));
        let daemon = bed.start(config)?;
        both_say(&daemon, &["UnknownCA", "tls-ca-cert-file"])?;
        daemon.stop()
    })
}

#[test]
fn a_redis_that_does_not_speak_tls_is_told_apart() -> Result<()> {
    let options = portsyncd_tests::RedisOptions {
        tcp: true,
        ..portsyncd_tests::RedisOptions::default()
    };
    Bed::with_redis(Source::Auto, options)?.check(|bed| {
        let certificates = Certificates::make()?;
        let plain = i64::from(portsyncd_tests::redis_server::TCP_PORT);
        let config = by_tls(bed, "127.0.0.1", &certificates.path("ca.pem"));
        let config = config.set("database.connection_timeout_secs", 1);
        let daemon = bed.start(config.set("database.redis_port", plain))?;
        both_say(&daemon, &["tls-port"])?;
        daemon.stop()
    })
}
