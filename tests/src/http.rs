//! A client of the daemon's listener, in the namespace: plain HTTP/1.1 by hand, so that it can also
//! misbehave.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::namespace::Namespace;
use crate::wait::{PATIENCE, wait_until};

/// Where a daemon with the default configuration listens.
pub const LISTENER: &str = "127.0.0.1:9090";

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head's lines after the first, as they came.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of the sample `series` (name and labels as they stand in the text).
    pub fn sample(&self, series: &str) -> Result<f64> {
        let value = self
            .body
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.with_context(|| format!("there is no {series} in\n{}", self.body))?;
        value.parse().with_context(|| format!("{series} {value}"))
    }
}

/// Connects to `address` inside `namespace`; reads and writes there wait for at most [`PATIENCE`].
pub fn connect(namespace: &Namespace, address: &str) -> Result<TcpStream> {
    let address: SocketAddr = address.parse()?;
    let stream = namespace.run(move || TcpStream::connect_timeout(&address, PATIENCE))?;
    let stream = stream.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Asks and reads the whole answer. `request` is "GET /path".
pub fn ask(namespace: &Namespace, address: &str, request: &str) -> Result<Answer> {
    let mut stream = connect(namespace, address)?;
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    read_answer(stream)
}

/// Reads an answer up to the end of the connection.
pub fn read_answer(mut stream: impl Read) -> Result<Answer> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("no HTTP answer: {text:?}"))?;
    let (first, head) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.split(' ').nth(1).context("no status")?;
    Ok(Answer {
        status: status.parse()?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// GETs `path` of the default listener.
pub fn get(namespace: &Namespace, path: &str) -> Result<Answer> {
    ask(namespace, LISTENER, &format!("GET {path}"))
}

/// GETs `path` until `holds` says yes; a listener that is not there yet is waited for.
pub fn wait_for_answer(
    namespace: &Namespace,
    path: &str,
    what: &str,
    mut holds: impl FnMut(&Answer) -> bool,
) -> Result<Answer> {
    wait_until(what, PATIENCE, || {
        Ok(match get(namespace, path) {
            Ok(answer) if holds(&answer) => ControlFlow::Break(answer),
            Ok(answer) => ControlFlow::Continue(format!("{} {}", answer.status, answer.body)),
            Err(error) => ControlFlow::Continue(format!("{error:#}")),
        })
    })
}

/// A reader of `/events`.
pub struct EventReader {
    lines: BufReader<TcpStream>,
}

impl EventReader {
    /// Starts to look; returns once the daemon counts this viewer.
    pub fn join(namespace: &Namespace) -> Result<Self> {
        let mut stream = connect(namespace, LISTENER)?;
        write!(stream, "GET /events HTTP/1.1\r\nHost: {LISTENER}\r\n\r\n")?;
        let mut reader = Self {
            lines: BufReader::new(stream),
        };
        let (event, _) = reader.next_event()?;
        ensure!(event == "begin", "the first event is {event}");
        Ok(reader)
    }

    /// The next event: its kind and its data.
    pub fn next_event(&mut self) -> Result<(String, String)> {
        let mut event = String::new();
        let deadline = Instant::now() + PATIENCE;
        // Signs of life come for ever.
        while Instant::now() < deadline {
            let mut line = String::new();
            if self.lines.read_line(&mut line)? == 0 {
                bail!("the stream ended");
            }
            // Lines of the head and of the chunks' lengths have neither prefix.
            if let Some(kind) = line.strip_prefix("event: ") {
                kind.trim_end().clone_into(&mut event);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Ok((event, data.trim_end().to_owned()));
            }
        }
        bail!("no event within {PATIENCE:?}")
    }
}
