//! Where the daemon listens: as the command line says, else as the configuration does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::Uri;

use super::AskError;
use crate::config::Metrics;

/// One address to ask at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let Self { host, port, .. } = self;
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

/// Reads `--endpoint`.
pub(super) fn parse(text: &str) -> Result<Endpoint, AskError> {
    let refused = |why: &str| {
        AskError::Usage(format!(
            "--endpoint {text:?}: {why}; such as http://127.0.0.1:9090"
        ))
    };
    let uri: Uri = text.parse().map_err(|_| refused("not a URL"))?;
    let tls = match uri.scheme_str() {
        None | Some("http") => false,
        Some("https") => true,
        Some(_) => return Err(refused("neither http nor https")),
    };
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(refused("only scheme, host and port"));
    }
    let host = uri.host().ok_or_else(|| refused("no host"))?;
    Ok(Endpoint {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(if tls { 443 } else { 9090 }),
        tls,
    })
}

/// The listener of the configuration.
pub(super) fn configured(metrics: &Metrics) -> Result<Vec<Endpoint>, AskError> {
    let none = |why: &str| {
        AskError::Unreachable(format!(
            "{why}: the daemon has no listener to ask; name another one by --endpoint"
        ))
    };
    if !metrics.enabled {
        return Err(none("metrics.enabled is false"));
    }
    let known = metrics.listen.iter().filter(|address| address.port() != 0);
    let endpoints: Vec<_> = known
        .map(|address| Endpoint {
            host: reachable(*address).to_string(),
            port: address.port(),
            tls: metrics.tls.is_some(),
        })
        .collect();
    match (endpoints.is_empty(), metrics.listen.is_empty()) {
        (false, _) => Ok(endpoints),
        (true, true) => Err(none("metrics.listen is empty")),
        (true, false) => Err(AskError::Unreachable(
            "metrics.listen leaves the port to the kernel: the daemon's log says which it is; name \
             it by --endpoint"
                .into(),
        )),
    }
}

/// An address that can be connected to: where all are listened on, this machine's own.
fn reachable(address: SocketAddr) -> IpAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_shown() {
        for (text, shown) in [
            ("http://127.0.0.1:9090", "http://127.0.0.1:9090"),
            ("http://[::1]:9091/", "http://[::1]:9091"),
            ("https://switch1:443", "https://switch1:443"),
            ("switch1:9090", "http://switch1:9090"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "ftp://x:1", "http://", "http://x:1/metrics", "x y"] {
            assert!(matches!(parse(text), Err(AskError::Usage(_))), "{text:?}");
        }
    }

    #[test]
    fn the_configurations_listener_is_asked_where_it_can_be() {
        let mut metrics = Metrics::default();
        let shown = |metrics: &Metrics| {
            let endpoints = configured(metrics).unwrap();
            endpoints
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&metrics),
            ["http://127.0.0.1:9090", "http://[::1]:9090"]
        );
        metrics.listen = vec!["0.0.0.0:1".parse().unwrap(), "[::]:0".parse().unwrap()];
        assert_eq!(shown(&metrics), ["http://127.0.0.1:1"]);
        metrics.listen.remove(0);
        assert!(configured(&metrics).is_err());
        metrics.enabled = false;
        assert!(configured(&metrics).is_err());
    }
}
