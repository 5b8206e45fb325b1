//! The HTTP listener: addresses, connections and their limits.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | Prometheus text 0.0.4 |
//! | `/metrics.json` | what `metrics.json` says, live |
//! | `/healthz` | 200: alive |
//! | `/readyz` | 200 once the initial synchronisation is in Redis and STATE_DB takes writes, else 503 and why |
//! | `/status`, `/ports`, `/ports/NAME` | JSON, what the command line shows |
//! | `/events` | server-sent events, one per published change |
//! | `/` | a page for a browser |
//!
//! At most [`MOST_CONNECTIONS`] connections are served at a time, the others wait in the kernel; a
//! request's head has 8 KiB and 10 s, and so has the reader of an answer.

mod connection;
mod events;
#[cfg(feature = "internals")]
pub(super) mod internals;
mod patient;
mod routes;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::{set_ipv6_v6only, set_socket_keepalive, set_socket_send_buffer_size};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_local;
use tokio::time::sleep;
use tracing::{error, info, warn};

pub(super) use events::Viewers;

use super::Observer;
use super::picture::ListenerStatus;
use crate::config::Metrics;
use tls::Tls;

/// Connections served at a time.
const MOST_CONNECTIONS: u32 = 64;
/// Connections that wait in the kernel.
const BACKLOG: u32 = 128;
/// Bytes of answers that the kernel keeps for a client that does not read.
const SEND_BUFFER: usize = 128 << 10;
/// After an accept that failed, as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(500);

/// The listeners at work.
pub(super) struct Serving {
    connections: Arc<Semaphore>,
}

/// Opens every address of `metrics.listen` that can be had, and serves on it.
pub(super) fn serve(config: &Metrics, observer: &Rc<Observer>) -> Serving {
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS as usize));
    let serving = Serving {
        connections: Arc::clone(&connections),
    };
    if !config.enabled {
        return serving;
    }
    let tls = config.tls.as_ref().map(|files| Rc::new(Tls::new(files)));
    let mut listeners = Vec::new();
    for address in &config.listen {
        let status = match listen(*address) {
            Ok((listener, bound)) => {
                let scheme = if tls.is_some() { "https" } else { "http" };
                info!("listening on {scheme}://{bound}");
                let serving = accept(
                    listener,
                    Arc::clone(&connections),
                    tls.clone(),
                    Rc::clone(observer),
                );
                spawn_local(serving);
                ListenerStatus {
                    address: bound.to_string(),
                    trouble: None,
                }
            }
            Err(error) => {
                let trouble = format!("cannot listen on {address}: {error}");
                error!(
                    "{trouble}; metrics.listen says where, and whether another daemon is there `ss -ltnp`"
                );
                ListenerStatus {
                    address: address.to_string(),
                    trouble: Some(trouble),
                }
            }
        };
        listeners.push(status);
    }
    observer.picture().listeners = listeners;
    if let Some(tls) = tls {
        note(observer, &tls);
        let observer = Rc::clone(observer);
        spawn_local(async move {
            loop {
                observer.reload_due.notified().await;
                tls.read();
                note(&observer, &tls);
            }
        });
    }
    serving
}

/// Without certificates nobody is served: every listener is in trouble.
fn note(observer: &Observer, tls: &Tls) {
    let trouble = tls.trouble();
    let mut picture = observer.picture();
    for listener in &mut picture.listeners {
        let is_tls = listener
            .trouble
            .as_ref()
            .is_none_or(|t| t.starts_with(tls::TROUBLE));
        if is_tls {
            listener.trouble.clone_from(&trouble);
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if address.is_ipv6() {
        // Both `0.0.0.0` and `[::]` can be listened on.
        set_ipv6_v6only(&socket, true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

async fn accept(
    listener: TcpListener,
    connections: Arc<Semaphore>,
    tls: Option<Rc<Tls>>,
    observer: Rc<Observer>,
) {
    let mut closing = observer.closing.subscribe();
    let mut said = false;
    while let Ok(permit) = Arc::clone(&connections).acquire_owned().await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                said = false;
                // A viewer whose machine is gone is noticed, and one that does not read costs no more
                // than this of the kernel's memory.
                let _ = set_socket_keepalive(&stream, true);
                let _ = set_socket_send_buffer_size(&stream, SEND_BUFFER);
                let (tls, observer) = (tls.clone(), Rc::clone(&observer));
                spawn_local(async move {
                    connection::serve(stream, tls.as_deref(), observer).await;
                    drop::<OwnedSemaphorePermit>(permit);
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut said, true) {
                    warn!(%error, "a connection could not be accepted");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

impl Serving {
    /// Takes no further connection, and waits until those that there are have ended.
    pub(super) async fn closed(self) {
        let _ = self.connections.acquire_many(MOST_CONNECTIONS).await;
    }
}
