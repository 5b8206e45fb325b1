//! `[metrics]`: the listener and the saved metrics.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Section;
use super::scalar::choices;

choices! {
    /// What `/metrics` answers.
    pub enum ExportFormat {
        /// Prometheus text.
        Prometheus = "prometheus",
        /// JSON.
        Json = "json",
        /// JSON to clients that accept it, else text.
        Both = "both",
    }
}

/// The keys of `[metrics]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Whether metrics are served and saved at all. Default true.
    pub enabled: bool,
    /// `save_interval_secs`, 1 s to 86400 s. Default 300 s.
    pub save_interval: Duration,
    /// Days that saved metrics are kept, 1 to 3650. Default 30.
    pub retention_days: u32,
    /// Size in MB (2^20 bytes) above which the file is rotated, 1 to 10240. Default 100.
    pub max_file_size_mb: u32,
    /// Default `prometheus`.
    pub export_format: ExportFormat,
    /// Absolute path of a directory. Default `/var/lib/sonic/portsyncd/metrics`.
    pub storage_path: PathBuf,
    /// Addresses with ports (0: any free one), at most 16, none twice. Default `127.0.0.1:9090` and
    /// `[::1]:9090`. Empty: no listener.
    pub listen: Vec<SocketAddr>,
    /// Set when `tls_cert` and `tls_key` are: the listener then speaks TLS only. Default none.
    pub tls: Option<ListenerTls>,
    /// `allow_plain_remote`: without TLS, also listen where other machines can reach it. Default
    /// false.
    pub allow_plain_remote: bool,
}

/// The PEM files of a listener that speaks TLS; readable when the configuration was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// `tls_cert`: the certificate chain.
    pub cert: PathBuf,
    /// `tls_key`: its key.
    pub key: PathBuf,
    /// `tls_client_ca`: who must have signed the clients' certificates; none: clients need none.
    pub client_ca: Option<PathBuf>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            enabled: true,
            save_interval: Duration::from_mins(5),
            retention_days: 30,
            max_file_size_mb: 100,
            export_format: ExportFormat::Prometheus,
            storage_path: PathBuf::from("/var/lib/sonic/portsyncd/metrics"),
            listen: vec![
                SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, 9090)),
            ],
            tls: None,
            allow_plain_remote: false,
        }
    }
}

impl Metrics {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let metrics = Self {
            enabled: section.boolean("enabled", default.enabled),
            save_interval: section.seconds("save_interval_secs", default.save_interval, 1..=86_400),
            retention_days: section.integer("retention_days", default.retention_days, 1..=3650),
            max_file_size_mb: section.integer(
                "max_file_size_mb",
                default.max_file_size_mb,
                1..=10_240,
            ),
            export_format: section.choice("export_format", default.export_format),
            storage_path: section.directory("storage_path", default.storage_path),
            listen: section.socket_addresses("listen", default.listen),
            tls: tls(section),
            allow_plain_remote: section.boolean("allow_plain_remote", default.allow_plain_remote),
        };
        let mut exposed = metrics.listen.iter().filter(|at| !at.ip().is_loopback());
        if let Some(exposed) = exposed.next()
            && metrics.tls.is_none()
            && !metrics.allow_plain_remote
        {
            section.refuse(
                "listen",
                &format!(
                    "{exposed} can be reached by other machines: set tls_cert and tls_key, or say \
                     allow_plain_remote = true"
                ),
            );
        }
        metrics
    }
}

fn tls(section: &mut Section<'_, '_>) -> Option<ListenerTls> {
    let cert = section.file("tls_cert");
    let key = section.file("tls_key");
    let client_ca = section.file("tls_client_ca");
    section.set_together("tls_cert", "tls_key");
    if section.is_set("tls_client_ca") && !section.is_set("tls_cert") {
        section.refuse("tls_client_ca", "needs tls_cert and tls_key");
    }
    let (cert, key) = cert.zip(key)?;
    Some(ListenerTls {
        cert,
        key,
        client_ca,
    })
}
