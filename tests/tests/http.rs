//! The listener: what is answered, what is refused, and that no client holds up the road.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use portsyncd_tests::http::{
    EventReader, LISTENER, ask, connect, get, read_answer, wait_for_answer,
};
use portsyncd_tests::{Bed, Daemon, PATIENCE, Source, port_names};
use serde_json::Value;

fn ready(bed: &Bed) -> Result<Daemon> {
    bed.ready(bed.listening())
}

#[test]
fn every_path_is_answered_on_both_families() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(3))?;
        let _taps = bed.taps(&port_names(2))?;
        let daemon = ready(bed)?;
        for address in [LISTENER, "[::1]:9090"] {
            for (path, kind) in [
                ("/metrics", "text/plain"),
                ("/metrics.json", "application/json"),
                ("/healthz", "text/plain"),
                ("/readyz", "text/plain"),
                ("/status", "application/json"),
                ("/ports", "application/json"),
                ("/ports/Ethernet4", "application/json"),
                ("/ports/%45thernet4", "application/json"),
                ("/", "text/html"),
            ] {
                let answer = ask(bed.namespace(), address, &format!("GET {path}"))?;
                ensure!(answer.status == 200, "{path}: {}", answer.status);
                let head = format!("content-type: {kind}");
                ensure!(answer.head.contains(&head), "{path}: {}", answer.head);
                ensure!(!answer.body.is_empty(), "{path} is empty");
                let bare = ask(bed.namespace(), address, &format!("HEAD {path}"))?;
                ensure!(bare.status == 200 && bare.body.is_empty(), "HEAD {path}");
            }
        }
        for (request, status) in [
            ("GET /nothing", 404),
            ("GET /ports/Ethernet999", 404),
            ("GET /ports/%zz", 404),
            ("POST /metrics", 405),
            ("DELETE /", 405),
        ] {
            let answer = ask(bed.namespace(), LISTENER, request)?;
            ensure!(answer.status == status, "{request}: {}", answer.status);
        }
        let ports: Value = serde_json::from_str(&get(bed.namespace(), "/ports")?.body)?;
        let port = |index: usize, key: &str| ports["ports"][index][key].clone();
        ensure!(
            port(0, "port") == "Ethernet0" && port(0, "oper") == "up",
            "{ports}"
        );
        ensure!(
            port(2, "oper") == "missing" && port(2, "mtu").is_null(),
            "{ports}"
        );
        let page = get(bed.namespace(), "/")?.body;
        ensure!(
            page.contains(">Ethernet4</a>") && !page.contains("{rows}"),
            "{page}"
        );
        ensure!(
            !page.contains("http://") && !page.contains("https://"),
            "it asks elsewhere"
        );
        daemon.stop()
    })
}

#[test]
fn events_tell_what_is_published() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(2))?;
        let taps = bed.taps(&port_names(2))?;
        let daemon = ready(bed)?;
        let mut reader = EventReader::join(bed.namespace())?;
        taps[1].set_mtu(1400)?;
        bed.wait_for_field("Ethernet4", "mtu", "1400")?;
        taps[1].down()?;
        let mut seen = Vec::new();
        while seen.len() < 2 {
            let (kind, data) = reader.next_event()?;
            let event: Value = serde_json::from_str(&data)?;
            ensure!(
                kind == "port" && event["port"] == "Ethernet4",
                "{kind} {data}"
            );
            seen.push(event);
        }
        ensure!(
            seen[0]["was"]["mtu"] == 1500 && seen[0]["is"]["mtu"] == 1400,
            "{seen:?}"
        );
        ensure!(seen[1]["is"]["admin"] == "down", "{seen:?}");
        ensure!(
            seen[1]["latency_us"]
                .as_u64()
                .is_some_and(|us| us < 10_000_000)
        );
        // The stream ends with the daemon, and does not keep it.
        daemon.stop()?;
        ensure!(reader.next_event().is_err(), "it goes on");
        Ok(())
    })
}

#[test]
fn a_viewer_that_does_not_read_misses_events_and_is_told() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let names = port_names(256);
        bed.configure(&names)?;
        let taps = bed.taps(&names)?;
        // By default they hold megabytes: more than a loaded machine publishes in this time.
        bed.namespace().run(|| -> Result<()> {
            fs::write("/proc/sys/net/ipv4/tcp_wmem", "4096 16384 65536")?;
            fs::write("/proc/sys/net/ipv4/tcp_rmem", "4096 65536 65536")?;
            Ok(())
        })??;
        let daemon = ready(bed)?;
        let mut reader = EventReader::join(bed.namespace())?;
        // More than the kernel's buffers of the connection and the ring hold.
        let deadline = Instant::now() + PATIENCE;
        let mut missed = false;
        // Each round has an MTU of its own: the last one's event ends the reading.
        let mut round = 0_u16;
        while !missed {
            ensure!(
                Instant::now() < deadline,
                "nothing was missed in {round} rounds"
            );
            // More than the ring's length in gulps.
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(4) {
                round = (round + 1) % 60_000;
                for tap in &taps {
                    tap.set_mtu(1000 + round)?;
                }
            }
            bed.converge()?;
            missed = drained(&mut reader, 1000 + u64::from(round))?;
        }
        daemon.stop()
    })
}

/// Reads until the last port has this MTU; whether the reader was told of misses.
fn drained(reader: &mut EventReader, mtu: u64) -> Result<bool> {
    let (mut missed, mut last) = (false, 0);
    loop {
        let (kind, data) = reader.next_event()?;
        let event: Value = serde_json::from_str(&data)?;
        if kind == "missed" {
            ensure!(
                event["missed"].as_u64().is_some_and(|missed| missed > 0),
                "{data}"
            );
            missed = true;
            continue;
        }
        let seq = event["seq"].as_u64().context("no seq")?;
        ensure!(seq > last, "events go backwards");
        last = seq;
        let newest = event["is"]["mtu"].as_u64().unwrap_or(0);
        if event["port"] == "Ethernet1020" && newest == mtu {
            return Ok(missed);
        }
    }
}

#[test]
fn bad_clients_get_what_they_deserve_and_the_road_does_not_notice() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let tap = bed.tap("Ethernet0")?;
        let daemon = ready(bed)?;
        for (request, status) in [
            (
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
                400,
            ),
            (b"\xff\xfe\xfd\xfc\r\n\r\n", 400),
            (b"GET\r\n\r\n", 400),
            (b"GET / HTTP/9.9\r\n\r\n", 400),
        ] {
            let mut stream = connect(bed.namespace(), LISTENER)?;
            stream.write_all(request)?;
            stream.shutdown(Shutdown::Write)?;
            let mut text = Vec::new();
            let _ = stream.read_to_end(&mut text);
            let text = String::from_utf8_lossy(&text);
            ensure!(
                text.is_empty() || text.contains(&format!(" {status} ")),
                "{request:?}: {text}"
            );
        }
        let mut stream = connect(bed.namespace(), LISTENER)?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
            "a".repeat(9000)
        )?;
        let answer = read_answer(stream)?;
        ensure!(answer.status == 431, "{}", answer.status);
        tap.set_mtu(1400)?;
        bed.wait_for_field("Ethernet0", "mtu", "1400")?;
        ensure!(get(bed.namespace(), "/healthz")?.status == 200);
        daemon.stop()
    })
}

#[test]
fn a_slow_head_is_given_ten_seconds() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let tap = bed.tap("Ethernet0")?;
        let daemon = ready(bed)?;
        let mut slow = connect(bed.namespace(), LISTENER)?;
        let begun = Instant::now();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n")?;
        tap.set_mtu(1400)?;
        bed.wait_for_field("Ethernet0", "mtu", "1400")?;
        let mut rest = Vec::new();
        let _ = slow.read_to_end(&mut rest);
        let took = begun.elapsed();
        ensure!(
            (Duration::from_secs(9)..Duration::from_secs(20)).contains(&took),
            "it was cut off after {took:?}"
        );
        daemon.stop()
    })
}

/// A client that keeps its connection and sends nothing.
fn idle(bed: &Bed) -> Result<TcpStream> {
    connect(bed.namespace(), LISTENER)
}

#[test]
fn a_thousand_clients_at_once_do_not_hold_the_road_up() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let tap = bed.tap("Ethernet0")?;
        let mut daemon = ready(bed)?;
        let descriptors = fs::read_dir(format!("/proc/{}/fd", daemon.pid()))?.count();
        let mut clients = Vec::new();
        // The kernel takes what the daemon has no room for, and then no more.
        let address: std::net::SocketAddr = LISTENER.parse()?;
        for _ in 0..1000 {
            let stream = bed.namespace().run(move || {
                let socket = TcpStream::connect_timeout(&address, Duration::from_millis(20));
                socket.and_then(|mut socket| {
                    socket.write_all(b"GET /metrics HTTP/1.1\r\nX: y\r\n")?;
                    Ok(socket)
                })
            })?;
            match stream {
                Ok(stream) => clients.push(stream),
                Err(_) if clients.len() >= 64 => break,
                Err(error) => return Err(error).context("before the bound was reached"),
            }
        }
        let opened = fs::read_dir(format!("/proc/{}/fd", daemon.pid()))?.count();
        ensure!(
            opened <= descriptors + 66,
            "{opened} descriptors, {descriptors} before"
        );
        for mtu in 1400..1420_u16 {
            tap.set_mtu(mtu)?;
            bed.wait_for_field("Ethernet0", "mtu", &mtu.to_string())?;
        }
        daemon.still_runs()?;
        drop(clients);
        wait_for_answer(bed.namespace(), "/healthz", "it answers again", |a| {
            a.status == 200
        })?;
        daemon.stop()
    })
}

#[test]
fn a_taken_port_is_named_and_the_others_work() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&["Ethernet0"])?;
        let _tap = bed.tap("Ethernet0")?;
        let taken = bed.namespace().run(|| TcpListener::bind("[::1]:9090"))??;
        let daemon = ready(bed)?;
        daemon.wait_for_log("cannot listen on [::1]:9090")?;
        let status: Value = serde_json::from_str(&get(bed.namespace(), "/status")?.body)?;
        ensure!(status["health"]["score"] == 98, "{}", status["health"]);
        ensure!(
            status["health"]["lost"][0]["reason"]
                .as_str()
                .is_some_and(|why| why.contains("[::1]:9090"))
        );
        daemon.stop()?;
        // Without any listener it does its work all the same.
        let both = bed.namespace().run(|| TcpListener::bind(LISTENER))??;
        let daemon = bed.start(bed.listening())?;
        daemon.wait_for_log("cannot listen on 127.0.0.1:9090")?;
        bed.converge()?;
        drop((taken, both));
        daemon.stop()
    })
}

#[test]
fn the_end_does_not_wait_for_clients() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        let mut daemon = ready(bed)?;
        let _idle = [idle(bed)?, idle(bed)?];
        let begun = Instant::now();
        daemon.signal(Signal::SIGTERM)?;
        let status = daemon.wait(PATIENCE)?;
        ensure!(status.code() == Some(0) && begun.elapsed() < Duration::from_secs(5));
        Ok(())
    })
}
