//! A proxy in front of Redis' unix socket that is slow, silent, or hangs up in
//! the middle of a pipeline.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// What the proxy does with what passes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Passes it on.
    Open,
    /// Holds every piece of an answer back for so long.
    Slow(Duration),
    /// Lets so many more bytes of requests through, then hangs up on everybody,
    /// and is [`Open`](Self::Open) again.
    CutAfter(usize),
    /// Hangs up on whoever is connected or connects.
    Refuse,
}

/// The proxy; it ends when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
    socket: PathBuf,
    _directory: TempDir,
}

struct Shared {
    upstream: PathBuf,
    state: Mutex<State>,
}

struct State {
    way: Way,
    /// One end of each connection that passes through.
    open: Vec<UnixStream>,
    ended: bool,
}

impl Proxy {
    /// A proxy that passes everything on to `upstream`.
    pub fn start(upstream: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("portsyncd-proxy-")
            .tempdir()
            .context("cannot make a directory for the proxy")?;
        let socket = directory.path().join("redis.sock");
        let listener = UnixListener::bind(&socket).context("cannot bind the proxy's socket")?;
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            state: Mutex::new(State {
                way: Way::Open,
                open: Vec::new(),
                ended: false,
            }),
        });
        let listening = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.listen(&listener)
        });
        Ok(Self {
            shared,
            listening: Some(listening),
            socket,
            _directory: directory,
        })
    }

    /// The socket that the daemon is to use.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What happens from now on.
    pub fn set(&self, way: Way) {
        let mut state = self.shared.lock();
        state.way = way;
        if way == Way::Refuse {
            hang_up(&mut state);
        }
    }

    /// What happens now: a cut that was made is over.
    #[must_use]
    pub fn way(&self) -> Way {
        self.shared.lock().way
    }

    /// Hangs up on everybody who is connected.
    pub fn drop_all(&self) {
        hang_up(&mut self.shared.lock());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.ended = true;
            hang_up(&mut state);
        }
        // Wakes the listener, which then ends.
        drop(UnixStream::connect(&self.socket));
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
    }
}

fn hang_up(state: &mut State) {
    for stream in state.open.drain(..) {
        // It may have been closed from the other side.
        drop(stream.shutdown(Shutdown::Both));
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: &Arc<Self>, listener: &UnixListener) {
        for client in listener.incoming() {
            let mut state = self.lock();
            if state.ended {
                return;
            }
            let (Ok(client), true) = (client, state.way != Way::Refuse) else {
                continue;
            };
            // Redis may be away: then the client is hung up on, as it falls.
            let Ok(server) = UnixStream::connect(&self.upstream) else {
                continue;
            };
            let ends = [&client, &server, &client, &server].map(UnixStream::try_clone);
            let [
                Ok(from_client),
                Ok(to_server),
                Ok(to_client),
                Ok(from_server),
            ] = ends
            else {
                continue;
            };
            state.open.extend([client, server]);
            let shared = Arc::clone(self);
            thread::spawn(move || shared.requests(from_client, to_server));
            let shared = Arc::clone(self);
            thread::spawn(move || shared.answers(from_server, to_client));
        }
    }

    fn requests(&self, mut from: UnixStream, mut to: UnixStream) {
        let mut chunk = [0; 16 << 10];
        while let Some(length) = read(&mut from, &mut chunk) {
            let mut passes = length;
            let mut cut = false;
            {
                let mut state = self.lock();
                if let Way::CutAfter(left) = &mut state.way {
                    passes = length.min(*left);
                    *left -= passes;
                    cut = passes < length || *left == 0;
                }
            }
            if to.write_all(&chunk[..passes]).is_err() {
                break;
            }
            if cut {
                let mut state = self.lock();
                state.way = Way::Open;
                hang_up(&mut state);
            }
        }
        close(&from, &to);
    }

    fn answers(&self, mut from: UnixStream, mut to: UnixStream) {
        let mut chunk = [0; 16 << 10];
        while let Some(length) = read(&mut from, &mut chunk) {
            let way = self.lock().way;
            if let Way::Slow(delay) = way {
                // This is no waiting for something: the delay is the fault.
                thread::sleep(delay);
            }
            if to.write_all(&chunk[..length]).is_err() {
                break;
            }
        }
        close(&from, &to);
    }
}

fn read(from: &mut UnixStream, chunk: &mut [u8]) -> Option<usize> {
    loop {
        match from.read(chunk) {
            Ok(0) => return None,
            Ok(length) => return Some(length),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

fn close(one: &UnixStream, other: &UnixStream) {
    for stream in [one, other] {
        drop(stream.shutdown(Shutdown::Both));
    }
}
