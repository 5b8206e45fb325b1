//! TLS for the hot path's own stream; the redis library sets its own up alike.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::DbError;
use crate::config::TlsFiles;

/// Reads the PEM files of `database.redis_tls_*` and builds a client from them.
pub(super) fn client(files: &TlsFiles) -> Result<Arc<ClientConfig>, DbError> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &files.ca {
        for certificate in certificates(ca)? {
            roots
                .add(certificate)
                .map_err(|error| DbError::Tls(format!("{}: {error}", ca.display())))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| DbError::Tls(error.to_string()))?
        .with_root_certificates(roots);
    let config = match &files.client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let key = PrivateKeyDer::from_pem_slice(&read(&client.key)?)
                .map_err(|error| DbError::Tls(format!("{}: {error}", client.key.display())))?;
            builder
                .with_client_auth_cert(certificates(&client.cert)?, key)
                .map_err(|error| DbError::Tls(format!("{}: {error}", client.cert.display())))?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, DbError> {
    CertificateDer::pem_slice_iter(&read(file)?)
        .collect::<Result<_, _>>()
        .map_err(|error| DbError::Tls(format!("{}: {error}", file.display())))
}

fn read(file: &Path) -> Result<Vec<u8>, DbError> {
    fs::read(file).map_err(|error| DbError::Tls(format!("{}: {error}", file.display())))
}
