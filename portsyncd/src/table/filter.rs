//! Which netdev names can be ports at all.

use portsyncd_common::IfName;

use crate::config::PortGlobs;

/// The first of SONiC's filters: the name's prefix (`linksync.cpp`,
/// `INTFS_PREFIX` and `LAG_PREFIX`), widened by `link.extra_ports`.
#[derive(Debug, Default)]
pub struct NameFilter {
    extra: PortGlobs,
}

impl NameFilter {
    /// A filter that also lets netdevs through that match one of `extra`.
    #[must_use]
    pub fn new(extra: PortGlobs) -> Self {
        Self { extra }
    }

    /// Whether a netdev of this name can be a port.
    #[must_use]
    pub fn accepts(&self, name: &IfName) -> bool {
        let bytes = name.as_bytes();
        bytes.starts_with(b"Ethernet") || bytes.starts_with(b"PortChannel") || self.is_extra(name)
    }

    /// Whether a netdev of this name is a port though no database lists it.
    #[must_use]
    pub fn is_extra(&self, name: &IfName) -> bool {
        self.extra.matches(name.as_bytes())
    }
}
