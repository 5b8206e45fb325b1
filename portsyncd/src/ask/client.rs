//! One GET, by hyper's client, over TCP or TLS: an answer as a whole, or one that goes on.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::endpoint::{self, Endpoint};
use super::pinned::Pinned;
use super::{AskError, Asking};
use crate::config::Config;

/// For connecting, asking and reading together.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest answer; 514 ports are a tenth of a megabyte.
const MOST_BYTES: usize = 32 << 20;

/// Whom to ask.
pub(super) struct Client {
    endpoints: Vec<Endpoint>,
    tls: Option<Arc<ClientConfig>>,
}

impl Client {
    pub(super) fn new(asking: &Asking, config: &Config) -> Result<Self, AskError> {
        let endpoints = match &asking.endpoint {
            Some(text) => vec![endpoint::parse(text)?],
            None => endpoint::configured(&config.metrics)?,
        };
        let own = config.metrics.tls.as_ref().map(|tls| tls.cert.as_path());
        let own = own.filter(|_| asking.endpoint.is_none());
        let needs_tls = endpoints.iter().any(|endpoint| endpoint.tls);
        let tls = needs_tls.then(|| tls(asking, own)).transpose()?;
        Ok(Self { endpoints, tls })
    }

    /// The answer's text; the first address that can be connected to gives it.
    pub(super) fn get(&self, path: &str) -> Result<String, AskError> {
        runtime()?.block_on(self.fetch(path))
    }

    /// The same, on a runtime that is there.
    pub(super) async fn fetch(&self, path: &str) -> Result<String, AskError> {
        let (stream, endpoint) = self.reach().await?;
        timeout(WITHIN, ask(stream, endpoint, path))
            .await
            .unwrap_or_else(|_| Err(no_answer(endpoint)))
    }

    /// An answer that goes on and on.
    pub(super) async fn follow(&self, path: &str) -> Result<Following, AskError> {
        let (stream, endpoint) = self.reach().await?;
        let begun = timeout(WITHIN, begin(stream, endpoint, path)).await;
        let (response, talking) = begun.unwrap_or_else(|_| Err(no_answer(endpoint)))?;
        Ok(Following {
            body: response.into_body(),
            _talking: talking,
        })
    }

    async fn reach(&self) -> Result<(Box<dyn Stream>, &Endpoint), AskError> {
        let mut refusals = String::new();
        for endpoint in &self.endpoints {
            let refused = match timeout(WITHIN, self.connect(endpoint)).await {
                Ok(Ok(stream)) => return Ok((stream, endpoint)),
                Ok(Err(refused)) => refused,
                Err(_) => format!("no answer within {} s", WITHIN.as_secs()),
            };
            let _ = write!(refusals, "\n  {endpoint}: {refused}");
        }
        Err(AskError::Unreachable(format!(
            "the daemon cannot be reached; is it running? (systemctl status portsyncd){refusals}"
        )))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Box<dyn Stream>, String> {
        let address = (endpoint.host.as_str(), endpoint.port);
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let Some(tls) = self.tls.as_ref().filter(|_| endpoint.tls) else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(endpoint.host.clone()).map_err(|e| e.to_string())?;
        let connected = TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await;
        connected
            .map(|stream| Box::new(stream) as Box<dyn Stream>)
            .map_err(|error| format!("TLS: {error}"))
    }
}

/// TCP or TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A runtime on this thread.
pub(super) fn runtime() -> Result<Runtime, AskError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| AskError::Unreachable(error.to_string()))
}

fn no_answer(endpoint: &Endpoint) -> AskError {
    AskError::Unreachable(format!("{endpoint}: no answer"))
}

/// An answer that goes on and on; its end, and its drop, close the connection.
pub(super) struct Following {
    body: Incoming,
    _talking: Talking,
}

impl Following {
    /// What comes next; `None` at its end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                return Some(data);
            }
        }
    }
}

/// The task that moves a connection's bytes; dropped, it ends.
struct Talking(JoinHandle<hyper::Result<()>>);

impl Drop for Talking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks, and reads the head of the answer, which is 200.
async fn begin(
    stream: Box<dyn Stream>,
    endpoint: &Endpoint,
    path: &str,
) -> Result<(Response<Incoming>, Talking), AskError> {
    let failed =
        |error: &dyn std::fmt::Display| AskError::Unreachable(format!("{endpoint}{path}: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    let talking = Talking(tokio::spawn(connection));
    let request = Request::get(path)
        .header("host", format!("{}:{}", endpoint.host, endpoint.port))
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    match response.status() {
        StatusCode::OK => Ok((response, talking)),
        status => {
            let text = text(response, &failed).await?;
            let text = text.trim_end();
            if status == StatusCode::NOT_FOUND && path.starts_with("/ports/") {
                return Err(AskError::Usage(text.to_owned()));
            }
            Err(failed(&format!("{status}: {text}")))
        }
    }
}

async fn ask(stream: Box<dyn Stream>, endpoint: &Endpoint, path: &str) -> Result<String, AskError> {
    let (response, _talking) = begin(stream, endpoint, path).await?;
    text(response, &|error| {
        AskError::Unreachable(format!("{endpoint}{path}: {error}"))
    })
    .await
}

async fn text(
    response: Response<Incoming>,
    failed: &(dyn Fn(&dyn std::fmt::Display) -> AskError + Sync),
) -> Result<String, AskError> {
    let body = Limited::new(response.into_body(), MOST_BYTES);
    let body = body.collect().await.map_err(|error| failed(&error))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

fn tls(asking: &Asking, own: Option<&Path>) -> Result<Arc<ClientConfig>, AskError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| AskError::Usage(error.to_string()))?;
    let builder = match (&asking.ca, own) {
        (None, Some(own)) => {
            let expected = certificates(own)?.into_iter().next();
            let expected = expected.ok_or_else(|| bad(own, &"it holds no certificate"))?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pinned::new(expected, &provider)))
        }
        (ca, _) => builder.with_root_certificates(roots(ca.as_deref())?),
    };
    let config = match asking.cert.as_deref().zip(asking.key.as_deref()) {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
            builder
                .with_client_auth_cert(certificates(cert)?, secret)
                .map_err(|error| bad(cert, &error))?
        }
    };
    Ok(Arc::new(config))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, AskError> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => {
            let native = rustls_native_certs::load_native_certs().certs;
            roots.add_parsable_certificates(native);
        }
        Some(ca) => {
            for certificate in certificates(ca)? {
                roots.add(certificate).map_err(|error| bad(ca, &error))?;
            }
        }
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, AskError> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| bad(file, &error))
}

fn bad(file: &Path, error: &dyn std::fmt::Display) -> AskError {
    AskError::Usage(format!("{}: {error}", file.display()))
}

/// A name as one segment of a path.
pub(super) fn escape(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}
