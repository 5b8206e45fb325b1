//! One connection, from the first byte to the last, within its limits.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::patient::Patient;
use super::routes;
use super::tls::Tls;
use crate::observe::Observer;

/// For the head of a request, for a TLS handshake, and for a reader that does not read.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Of a request's head; hyper refuses more with 431.
const MOST_HEAD_BYTES: usize = 8 << 10;

/// Serves requests until the client is done, or too slow, or the daemon ends.
pub(super) async fn serve(stream: TcpStream, tls: Option<&Tls>, observer: Rc<Observer>) {
    // Answers are small, and nobody shall wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return speak(stream, observer).await;
    };
    // Without certificates the connection is closed: never in plain text.
    if let Some(acceptor) = tls.acceptor()
        && let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await
    {
        speak(stream, observer).await;
    }
}

/// Speaks HTTP/1 over `stream` until one side ends it.
pub(in crate::observe) async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    observer: Rc<Observer>,
) {
    let (stream, watching) = Patient::new(stream);
    let mut closing = observer.closing.subscribe();
    let service = service_fn(move |request| {
        let response = routes::answer(&request, &observer, &watching);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(MOST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // A client's faults are its own.
        _ = &mut connection => {}
        _ = closing.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
