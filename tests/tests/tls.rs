//! The listener's TLS: certificates shown, asked for, and read again.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::certificates::Certificates;
use portsyncd_tests::daemon::binary;
use portsyncd_tests::http::LISTENER;
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Bed, PATIENCE, Source};

/// Runs `portsyncd status` in the bed's namespace; its exit code and what it said.
fn status(bed: &Bed, words: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = Command::new(binary()?);
    command.arg("status").args(words);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let output = bed.namespace().spawn(command)?.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

#[test]
fn tls_is_spoken_asked_for_and_reloaded() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let certificates = Certificates::make()?;
        let config = bed
            .config()
            .set("metrics.enabled", true)
            .set("metrics.listen", vec![LISTENER])
            .set("metrics.tls_cert", certificates.path("server.pem"))
            .set("metrics.tls_key", certificates.path("server.key"))
            .set("metrics.tls_client_ca", certificates.path("ca.pem"));
        let daemon = bed.start(config)?;
        daemon.wait_for_log("listening on https://127.0.0.1:9090")?;
        let (ca, cert, key) = (
            certificates.path("ca.pem"),
            certificates.path("client.pem"),
            certificates.path("client.key"),
        );
        let endpoint = ["--endpoint", "https://127.0.0.1:9090"];
        let known = [
            &endpoint[..],
            &["--ca", &ca, "--cert", &cert, "--key", &key],
        ]
        .concat();
        wait_for("a client with a certificate is answered", PATIENCE, || {
            Ok(status(bed, &known)?.0 == Some(0))
        })?;
        let conf = daemon
            .directory()
            .join("portsyncd.conf")
            .display()
            .to_string();
        let by_configuration = ["--config", &conf, "--cert", &cert, "--key", &key];
        let (code, said) = status(bed, &by_configuration)?;
        ensure!(
            code == Some(0),
            "the configuration's own certificate: {said}"
        );
        for stranger in [
            [&endpoint[..], &["--ca", &ca]].concat(),
            [&endpoint[..], &["--cert", &cert, "--key", &key]].concat(),
            vec!["--endpoint", "http://127.0.0.1:9090"],
        ] {
            let (code, said) = status(bed, &stranger)?;
            ensure!(code == Some(69), "{stranger:?}: {said}");
        }
        // A new certificate, and after that a bad one, which changes nothing.
        certificates.sign("server")?;
        daemon.signal(Signal::SIGHUP)?;
        daemon.wait_for_log("certificates were read again")?;
        ensure!(
            status(bed, &by_configuration)?.0 == Some(0),
            "the new one is not shown"
        );
        fs::write(certificates.path("server.key"), "nonsense")?;
        daemon.signal(Signal::SIGHUP)?;
        daemon.wait_for_log("the old certificates stay in force")?;
        ensure!(status(bed, &known)?.0 == Some(0));
        daemon.stop()
    })
}
