//! What the port table gives to the database writer.

use portsyncd_common::{IfName, flag};

/// The state of one port as STATE_DB shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortState {
    /// `netdev_oper_status`.
    pub oper_up: bool,
    /// `admin_status`: `IFF_UP`.
    pub admin_up: bool,
    /// `mtu` in bytes.
    pub mtu: u32,
}

impl PortState {
    /// Derives the state from `ifi_flags` and the MTU.
    ///
    /// Operationally up is `IFF_UP` and `IFF_RUNNING` and `IFF_LOWER_UP`: in the
    /// second in which linkwatch (`net/core/link_watch.c`) holds a lost carrier
    /// back, `IFF_RUNNING` is still set and only `IFF_LOWER_UP` tells the truth.
    #[must_use]
    pub fn new(flags: u32, mtu: u32) -> Self {
        const OPER: u32 = flag::UP | flag::RUNNING | flag::LOWER_UP;
        Self {
            oper_up: flags & OPER == OPER,
            admin_up: flags & flag::UP != 0,
            mtu,
        }
    }
}

/// What made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An `RTM_NEWLINK` or `RTM_DELLINK`.
    LinkMessage,
    /// A carrier record, before linkwatch.
    Carrier,
    /// A reconciliation dump.
    Dump,
    /// A change of the configuration, or a republication of what was known.
    Republish,
}

/// One port's change: what has to happen to its row in STATE_DB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The port.
    pub name: IfName,
    /// Delete the row, before `set` where both are asked for.
    pub delete: bool,
    /// Then write this state.
    pub set: Option<PortState>,
    /// What the row said before, as far as this daemon wrote it.
    pub was: Option<PortState>,
    /// What made the first of the events folded into this change.
    pub origin: Origin,
    /// When that event was seen in the kernel: `CLOCK_MONOTONIC`, nanoseconds.
    pub since_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oper_up_needs_all_three_flags() {
        for flags in 0..8_u32 {
            let bits = [flag::UP, flag::RUNNING, flag::LOWER_UP];
            let set = (0..3).filter(|bit| flags >> bit & 1 == 1);
            let value = set.map(|bit: usize| bits[bit]).sum();
            let state = PortState::new(value, 9100);
            assert_eq!(state.oper_up, flags == 7, "{value:#x}");
            assert_eq!(state.admin_up, flags & 1 == 1);
        }
    }
}
