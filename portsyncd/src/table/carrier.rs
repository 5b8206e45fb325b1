//! Carrier events: what the driver reports, before linkwatch has acted on it.
//!
//! ```text
//!            CARRIER_OFF                      RTM_NEWLINK without IFF_RUNNING
//!   up ────────────────────▶ down (held back) ────────────────────▶ down
//!   ▲                         │                                      │
//!   │ CARRIER_ON, operstate   │                                      │ CARRIER_ON
//!   │ still up: at once       │                                      ▼
//!   ├─────────────────────────┘                             down (awaits linkwatch)
//!   │                          RTM_NEWLINK with IFF_RUNNING           │
//!   └─────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A carrier record brings the three bits of "oper up": `IFF_LOWER_UP` as it is now,
//! and `IFF_RUNNING` as linkwatch left it. So a loss is down at once, and a gain is
//! up at once only while the operstate is still up: transmission never stopped. Else
//! the `RTM_NEWLINK` tells, which is urgent. It brings everything else of a port's
//! state, too: where a link message was lost before it, half a state of before and
//! half of now would be one that never was.
//!
//! A link message is filled in before it is sent, and a driver may report its
//! carrier in between, from another CPU: then the message comes after the carrier
//! record and says what was before it. The kernel counts each loss and each gain
//! (`IFLA_CARRIER_DOWN_COUNT`, `IFLA_CARRIER_UP_COUNT`), so their sum numbers the
//! states of the carrier. A message that contradicts a carrier record and is of no
//! later state is the older one, or was filled in while the state changed: its
//! `IFF_LOWER_UP` is not believed.

use portsyncd_common::{IfName, LinkRecord, flag, msg, present};

use super::{Origin, PortTable, Verdict};

/// What is known of one netdev's carrier.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carrier {
    /// Losses counted by the kernel.
    downs: u32,
    /// The last carrier record's word, while no message has said a later one.
    told: Option<Told>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    up: bool,
    /// Losses and gains up to this one.
    changes: u32,
}

/// Losses and gains that the kernel had counted when it made the record.
fn changes(record: &LinkRecord) -> u32 {
    record
        .carrier_up_count
        .wrapping_add(record.carrier_down_count)
}

impl Carrier {
    /// The flags of a link message or a dump entry, with the carrier as it is now.
    pub(super) fn correct(&mut self, record: &LinkRecord) -> u32 {
        const COUNTS: u32 = present::CARRIER_UP_COUNT | present::CARRIER_DOWN_COUNT;
        let counted = record.present & COUNTS == COUNTS;
        if counted {
            self.downs = self.downs.max(record.carrier_down_count);
        }
        let Some(told) = self.told else {
            return record.flags;
        };
        // Bridges' messages count nothing: the carrier record stands.
        let later = counted && changes(record).wrapping_sub(told.changes).cast_signed() > 0;
        if later {
            self.told = None;
            return record.flags;
        }
        if told.up {
            record.flags | flag::LOWER_UP
        } else {
            record.flags & !flag::LOWER_UP
        }
    }

    fn tell(&mut self, record: &LinkRecord) {
        self.downs = self.downs.max(record.carrier_down_count);
        self.told = Some(Told {
            up: record.msg_type == msg::CARRIER_ON,
            changes: changes(record),
        });
    }

    /// Losses of the carrier, as `IFLA_CARRIER_DOWN_COUNT` has them.
    pub(super) fn downs(&self) -> u32 {
        self.downs
    }
}

impl PortTable {
    /// Takes one carrier record.
    pub(super) fn carrier_changed(&mut self, record: &LinkRecord) -> Verdict {
        const BITS: u32 = flag::UP | flag::RUNNING | flag::LOWER_UP;
        let Some(netdev) = self.netdevs.get_mut(&record.ifindex) else {
            // Not a port's, or its first link message is still to come and tells all.
            return Verdict::Filtered;
        };
        let said = IfName::from_buffer(&record.name).ok();
        if netdev.name.is_some() && said != netdev.name {
            // The message that renamed it was lost, and the next dump tells.
            return Verdict::Filtered;
        }
        let was_up = netdev.is_oper_up();
        netdev.carrier.tell(record);
        netdev.flags = netdev.flags & !BITS | record.flags & BITS;
        if record.present & present::MTU != 0 {
            netdev.mtu = record.mtu;
        }
        netdev.as_of_ns = netdev.as_of_ns.max(record.timestamp_ns);
        let name = match netdev.name {
            Some(name) if !netdev.team && !netdev.old => name,
            _ => return Verdict::Filtered,
        };
        let Some(port) = self.ports.get(&name) else {
            return Verdict::Filtered;
        };
        let stands = !port.owed.delete && port.handed == self.state_of(port);
        if port.is_member() && !port.owed.set && !stands {
            self.owe_set(name, record.timestamp_ns, Origin::Carrier);
        }
        self.note_carrier(name, was_up);
        Verdict::Accepted
    }

    /// Notes what others may have to do about the carrier of a port.
    pub(super) fn note_carrier(&mut self, name: IfName, was_up: bool) {
        let Some(port) = self.ports.get(&name).filter(|port| port.is_member()) else {
            return;
        };
        let Some(ifindex) = port.netdev else { return };
        let Some(netdev) = self.netdevs.get(&ifindex) else {
            return;
        };
        if netdev.is_held_back() {
            self.held_back.push(ifindex);
        }
        let lost = netdev.flags & (flag::UP | flag::LOWER_UP) == flag::UP;
        self.losses += u64::from(was_up && lost);
    }

    /// The ifindexes of ports whose lost carrier linkwatch had not looked at when
    /// they were last told of; one may be named more than once.
    pub fn take_held_back(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.held_back)
    }

    /// How many ports have gone down for want of a carrier since the last call.
    pub fn take_losses(&mut self) -> u64 {
        std::mem::take(&mut self.losses)
    }
}
