//! `[link]`: where link events come from and which netdevs count.

use std::num::NonZeroU32;
use std::time::Duration;

use super::PortGlobs;
use super::reader::Section;
use super::scalar::choices;

choices! {
    /// Which of the two link sources runs.
    pub enum Source {
        /// eBPF where the host allows it, else netlink.
        Auto = "auto",
        /// The socket-filter program and its ring buffer, or nothing.
        Ebpf = "ebpf",
        /// A plain `NETLINK_ROUTE` socket.
        Netlink = "netlink",
    }
}

choices! {
    /// How `netif_carrier_on` and `netif_carrier_off` are hooked.
    pub enum CarrierHook {
        /// fentry where it attaches, else a kprobe, else not at all.
        Auto = "auto",
        /// fentry or not at all.
        Fentry = "fentry",
        /// A kprobe or not at all.
        Kprobe = "kprobe",
        /// Not at all.
        Off = "off",
    }
}

choices! {
    /// A feature that is used where the kernel has it, or never.
    pub enum AutoOff {
        /// Used where it works.
        Auto = "auto",
        /// Never used.
        Off = "off",
    }
}

choices! {
    /// What a cold start makes of netdevs that are there already.
    pub enum ExistingNetdevs {
        /// They are published like any other.
        Adopt = "adopt",
        /// They are set down and their ifindexes ignored, as the C++ daemon does: they are about to
        /// be destroyed and created again.
        Replace = "replace",
    }
}

/// The keys of `[link]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Default `auto`.
    pub source: Source,
    /// Default `auto`.
    pub carrier_hook: CarrierHook,
    /// Whether the kernel (6.5 and later) is asked to settle a lost carrier at once. Default
    /// `auto`.
    pub linkwatch_sync: AutoOff,
    /// Whether dumps are made in linkwatch's hold-off where no hook can attach. Default `auto`.
    pub carrier_sampling: AutoOff,
    /// The network namespace to work in, by its name under `/run/netns`. Default none: the one the
    /// daemon was started in.
    pub netns: Option<String>,
    /// Default `adopt`.
    pub existing_netdevs: ExistingNetdevs,
    /// Netdevs to publish though `CONFIG_DB` does not list them; at most 64 globs. Default none.
    pub extra_ports: PortGlobs,
    /// Size of the ring buffer in KiB: a power of two from 4 to 65536. Default 1024.
    pub ring_buffer_kb: NonZeroU32,
    /// Receive buffer of the netlink source in KiB, 0 to 65536; 0 is SONiC's own 16 MiB. Default 0.
    pub netlink_rcvbuf_kb: u32,
    /// `resync_interval_secs`: how often a dump proves agreement, 1 s to 86400 s, or none (0): only
    /// after a loss. Default 300 s.
    pub resync_interval: Option<Duration>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            source: Source::Auto,
            carrier_hook: CarrierHook::Auto,
            linkwatch_sync: AutoOff::Auto,
            carrier_sampling: AutoOff::Auto,
            netns: None,
            existing_netdevs: ExistingNetdevs::Adopt,
            extra_ports: PortGlobs::default(),
            ring_buffer_kb: const { NonZeroU32::new(1024).unwrap() },
            netlink_rcvbuf_kb: 0,
            resync_interval: Some(Duration::from_mins(5)),
        }
    }
}

impl Link {
    /// Size of the ring buffer in bytes: a power of two, as `BPF_MAP_TYPE_RINGBUF` needs.
    #[must_use]
    pub fn ring_buffer_bytes(&self) -> u32 {
        self.ring_buffer_kb.get() * 1024
    }

    /// Receive buffer of the netlink source in bytes; 0 leaves it to the source.
    #[must_use]
    pub fn netlink_rcvbuf_bytes(&self) -> usize {
        self.netlink_rcvbuf_kb as usize * 1024
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let resync = section.seconds(
            "resync_interval_secs",
            default.resync_interval.unwrap_or_default(),
            0..=86_400,
        );
        let ring = section.power_of_two("ring_buffer_kb", default.ring_buffer_kb.get(), 4..=65_536);
        Self {
            source: section.choice("source", default.source),
            carrier_hook: section.choice("carrier_hook", default.carrier_hook),
            linkwatch_sync: section.choice("linkwatch_sync", default.linkwatch_sync),
            carrier_sampling: section.choice("carrier_sampling", default.carrier_sampling),
            netns: section.optional_text("netns", netns_name),
            existing_netdevs: section.choice("existing_netdevs", default.existing_netdevs),
            extra_ports: section.port_globs("extra_ports"),
            ring_buffer_kb: NonZeroU32::new(ring).unwrap_or(default.ring_buffer_kb),
            netlink_rcvbuf_kb: section.integer(
                "netlink_rcvbuf_kb",
                default.netlink_rcvbuf_kb,
                0..=65_536,
            ),
            resync_interval: (!resync.is_zero()).then_some(resync),
        }
    }
}

/// `ip netns` makes a file of the name in `/run/netns`, so a name is one path component.
fn netns_name(value: &str) -> Result<(), &'static str> {
    let good = value.len() <= 255
        && value != "."
        && value != ".."
        && !value.contains(|c: char| c == '/' || c.is_control());
    good.then_some(())
        .ok_or("must be the name of a network namespace (a file in /run/netns), not a path")
}
