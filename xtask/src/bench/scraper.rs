//! A Prometheus at its barest: GET /metrics on a connection that is kept, at a steady
//! pace, thrown away.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use portsyncd_tests::Namespace;
use portsyncd_tests::http::{LISTENER, connect};

use super::samples::Samples;

/// One connection to the daemon's listener.
pub(super) struct Scraper {
    stream: TcpStream,
    /// In one piece: the second of two would wait for the other side's delayed ACK.
    request: String,
    buffer: Vec<u8>,
}

impl Scraper {
    /// Connects inside `namespace`.
    pub(super) fn connect(namespace: &Namespace) -> Result<Self> {
        Ok(Self {
            stream: connect(namespace, LISTENER)?,
            request: format!("GET /metrics HTTP/1.1\r\nHost: {LISTENER}\r\n\r\n"),
            buffer: vec![0; 64 << 10],
        })
    }

    /// One scrape; the body's length.
    pub(super) fn scrape(&mut self) -> Result<usize> {
        self.stream.write_all(self.request.as_bytes())?;
        let mut read = 0;
        let mut whole = None;
        while whole.is_none_or(|whole| read < whole) {
            let room = &mut self.buffer[read..];
            let length = self.stream.read(room).context("read /metrics")?;
            ensure!(length > 0, "/metrics ended after {read} bytes");
            read += length;
            if whole.is_none()
                && let Some(head) = find(&self.buffer[..read], b"\r\n\r\n")
            {
                whole = Some(head + 4 + body_length(&self.buffer[..head])?);
            }
            let wanted = whole.unwrap_or(0).max(read + 1);
            if wanted > self.buffer.len() {
                self.buffer.resize(wanted * 2, 0);
            }
        }
        Ok(read)
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn body_length(head: &[u8]) -> Result<usize> {
    let head = str::from_utf8(head).context("an HTTP head")?;
    let Some(status) = head.strip_prefix("HTTP/1.1 ") else {
        bail!("no HTTP answer: {head:?}");
    };
    ensure!(status.starts_with("200 "), "/metrics answers {status:?}");
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .with_context(|| format!("no Content-Length in {head:?}"))?
        .1
        .trim()
        .parse()
        .context("Content-Length")
}

/// Scrapes at a steady pace on a thread of its own.
pub(super) struct Scraping {
    thread: JoinHandle<Result<Samples>>,
    wanted: Arc<AtomicBool>,
}

impl Scraping {
    /// Begins, with one scrape each `pace`.
    pub(super) fn start(namespace: &Namespace, pace: Duration) -> Result<Self> {
        let mut scraper = Scraper::connect(namespace)?;
        let wanted = Arc::new(AtomicBool::new(true));
        let thread = thread::Builder::new().name("scraper".into()).spawn({
            let wanted = Arc::clone(&wanted);
            move || {
                let mut took = Vec::new();
                let mut due = Instant::now();
                while wanted.load(Ordering::Relaxed) {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let begun = Instant::now();
                    scraper.scrape()?;
                    took.push(begun.elapsed());
                    due += pace;
                }
                Ok(Samples::of(took))
            }
        });
        Ok(Self {
            thread: thread.context("cannot start a thread")?,
            wanted,
        })
    }

    /// Ends; how long each scrape took.
    pub(super) fn stop(self) -> Result<Samples> {
        self.wanted.store(false, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow!("the scraper's thread panicked"))?
    }
}
