//! The listener's certificates: read at start and again on SIGHUP. A bad set leaves the old one in
//! force.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use crate::config::ListenerTls;

/// How a trouble of ours begins.
pub(super) const TROUBLE: &str = "no TLS: ";

/// What the listener shows to clients and asks of them.
pub(super) struct Tls {
    files: ListenerTls,
    acceptor: RefCell<Option<TlsAcceptor>>,
    trouble: RefCell<Option<String>>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn new(files: &ListenerTls) -> Self {
        let tls = Self {
            files: files.clone(),
            acceptor: RefCell::new(None),
            trouble: RefCell::new(None),
        };
        tls.read();
        tls
    }

    /// Reads the files again.
    pub(super) fn read(&self) {
        match config(&self.files) {
            Ok(config) => {
                let acceptor = TlsAcceptor::from(Arc::new(config));
                if self.acceptor.replace(Some(acceptor)).is_some() {
                    info!("the listener's certificates were read again");
                }
                self.trouble.replace(None);
            }
            Err(trouble) => {
                let stay = if self.acceptor.borrow().is_some() {
                    "the old certificates stay in force"
                } else {
                    "nobody is served until SIGHUP finds better ones"
                };
                error!("{TROUBLE}{trouble}; {stay}");
                self.trouble
                    .replace(Some(format!("{TROUBLE}{trouble}; {stay}")));
            }
        }
    }

    /// Takes connections; `None` while there are no certificates.
    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.acceptor.borrow().clone()
    }

    /// What is wrong with the files.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }
}

fn config(files: &ListenerTls) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let at = |error: &dyn std::fmt::Display| format!("{}: {error}", ca.display());
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca)? {
                roots.add(certificate).map_err(|error| at(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| at(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|error| format!("{}: {error}", files.key.display()))?;
    builder
        .with_single_cert(certificates(&files.cert)?, key)
        .map_err(|error| format!("{}: {error}", files.cert.display()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(file)?)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: {error}", file.display()))?;
    if certificates.is_empty() {
        return Err(format!("{}: it holds no certificate", file.display()));
    }
    Ok(certificates)
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}
