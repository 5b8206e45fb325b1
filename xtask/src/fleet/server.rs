//! Serves every daemon's page on loopback.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, ensure};
use portsyncd_tests::Namespace;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::page::Page;

/// A server; its threads end with the process.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    page: Page,
    /// How often each daemon was scraped.
    scrapes: Mutex<HashMap<u32, u32>>,
    all: AtomicU64,
}

impl Server {
    /// Listens inside `namespace`, with a connection for each of `daemons`.
    pub(super) fn start(namespace: &Namespace, page: Page, daemons: u32) -> Result<Self> {
        allow_open_files(u64::from(daemons) + 256)?;
        let listener = namespace.run(|| TcpListener::bind("127.0.0.1:0"))?;
        let listener = listener.context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            page,
            scrapes: Mutex::default(),
            all: AtomicU64::new(0),
        });
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming().flatten() {
                    let shared = Arc::clone(&shared);
                    // Prometheus keeps one connection for each target.
                    thread::Builder::new()
                        .stack_size(128 << 10)
                        .spawn(move || drop(shared.serve(&stream)))
                        .ok();
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many scrapes were served.
    pub(super) fn scrapes(&self) -> u64 {
        self.shared.all.load(Ordering::Relaxed)
    }
}

/// Raises the limit that this process starts with, and Prometheus inherits.
fn allow_open_files(needed: u64) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    ensure!(
        most >= needed,
        "{needed} open files are needed and at most {most} are allowed: ulimit -H -n"
    );
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("setrlimit(RLIMIT_NOFILE)")
}

impl Shared {
    /// Answers the requests of one connection until it is closed.
    fn serve(&self, stream: &TcpStream) -> Result<()> {
        let mut lines = BufReader::new(stream);
        loop {
            let mut first = String::new();
            if lines.read_line(&mut first)? == 0 {
                return Ok(());
            }
            let mut header = String::from("-");
            while !header.trim().is_empty() {
                header.clear();
                lines.read_line(&mut header)?;
            }
            let number = first
                .strip_prefix("GET /daemon/")
                .and_then(|rest| rest.split(' ').next())
                .and_then(|number| number.parse().ok());
            let mut writer = stream;
            let Some(number) = number else {
                writer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
                continue;
            };
            let body = self.page.render(number, self.count(number));
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            writer.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
            self.all.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count(&self, number: u32) -> u32 {
        let mut scrapes = self.scrapes.lock().unwrap_or_else(PoisonError::into_inner);
        let count = scrapes.entry(number).or_default();
        *count += 1;
        *count
    }
}
