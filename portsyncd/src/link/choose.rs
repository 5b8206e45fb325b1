//! Which link source this host allows (`link.source`).

use super::ebpf::EbpfSource;
use super::netlink::NetlinkSource;
use super::{LinkError, LinkSource};
use crate::config;

/// The source and why it was chosen, for the log and for metrics.
#[derive(Debug)]
pub struct Choice {
    /// The open source.
    pub source: LinkSource,
    /// Why this one.
    pub reason: String,
}

/// Opens the source that the configuration asks for, in the calling thread's network
/// namespace; `auto` takes eBPF where the host allows it and says why where it does not.
///
/// # Errors
/// When the source asked for, or with `auto` the last one left, cannot be opened.
pub fn choose(link: &config::Link) -> Result<Choice, LinkError> {
    let ebpf = || {
        EbpfSource::open(link.ring_buffer_bytes()).map(|source| LinkSource::Ebpf(Box::new(source)))
    };
    let netlink = || NetlinkSource::open(link.netlink_rcvbuf_bytes()).map(LinkSource::Netlink);
    match link.source {
        config::Source::Ebpf => Ok(Choice {
            source: ebpf().map_err(insisted)?,
            reason: "configured".to_owned(),
        }),
        config::Source::Netlink => Ok(Choice {
            source: netlink()?,
            reason: "configured".to_owned(),
        }),
        config::Source::Auto => match ebpf() {
            Ok(source) => Ok(Choice {
                source,
                reason: "auto: the host allows it".to_owned(),
            }),
            Err(refused) => Ok(Choice {
                source: netlink()?,
                reason: format!("auto: {refused}"),
            }),
        },
    }
}

/// Opens the plain source, which takes no time: `auto` begins with it.
///
/// # Errors
/// When it cannot be opened.
pub fn plain(link: &config::Link) -> Result<Choice, LinkError> {
    let source = NetlinkSource::open(link.netlink_rcvbuf_bytes())?;
    Ok(Choice {
        source: LinkSource::Netlink(source),
        reason: "auto: until the eBPF program is loaded".to_owned(),
    })
}

/// The configuration insists on what the host refuses: say what would help.
fn insisted(refused: LinkError) -> LinkError {
    match refused {
        LinkError::Ebpf {
            step,
            reason,
            forbidden,
        } => LinkError::Ebpf {
            step,
            reason: format!(
                "{reason}; link.source = \"ebpf\" needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, \
                 link.source = \"auto\" takes what the host allows"
            ),
            forbidden,
        },
        other => other,
    }
}
