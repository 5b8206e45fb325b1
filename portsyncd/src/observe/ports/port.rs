//! One port as operators see it.

use super::journal::{Entry, Journal};
use crate::table::PortState;

/// One port as operators see it: what STATE_DB says, and what happened before.
#[derive(Clone, Debug, Default)]
pub(in crate::observe) struct Port {
    /// The row; `None`: there is none.
    pub(in crate::observe) state: Option<PortState>,
    /// CONFIG_DB lists the port.
    pub(in crate::observe) configured: bool,
    /// What an earlier daemon published last; a hint until the first row of this one's.
    pub(in crate::observe) hint: Option<PortState>,
    /// When the oper or admin state, or the row's being there, last changed: nanoseconds since 1970;
    /// 0: never seen.
    pub(in crate::observe) since_ns: u64,
    /// Losses of the link.
    pub(in crate::observe) flaps: u64,
    /// The kernel's own count of them when it was last told; `None`: not yet told of this netdev.
    pub(in crate::observe) downs: Option<u32>,
    /// Since when the link is down though it was up and is meant to be; 0: it is not.
    pub(in crate::observe) down_since_ns: u64,
    /// What happened.
    pub(in crate::observe) journal: Journal,
}

impl Port {
    /// Whether anybody should see it.
    pub(in crate::observe) fn is_there(&self) -> bool {
        self.state.is_some() || self.configured
    }

    /// "up", "down" or "missing".
    pub(in crate::observe) fn oper(&self) -> &'static str {
        match self.state {
            None => "missing",
            Some(state) if state.oper_up => "up",
            Some(_) => "down",
        }
    }

    /// Takes the kernel's count of carrier losses, and the count of what it does not count.
    ///
    /// The kernel's count has every loss, also those that were folded or missed. Where it counts
    /// none, the published losses are counted.
    pub(super) fn count_flaps(&mut self, downs: u32, entry: Option<&Entry>) {
        let known = self.downs.unwrap_or(downs);
        self.downs = Some(downs);
        if downs > 0 {
            // A smaller count is another netdev's.
            self.flaps += u64::from(downs.saturating_sub(known));
        } else if entry.is_some_and(Entry::is_loss) {
            self.flaps += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Origin;

    #[test]
    fn the_kernels_count_wins_where_it_counts() {
        let state = |oper_up| {
            Some(PortState {
                oper_up,
                admin_up: true,
                mtu: 9100,
            })
        };
        let loss = Entry {
            at_ns: 1,
            latency_us: None,
            was: state(true),
            is: state(false),
            origin: Origin::LinkMessage,
            times: 1,
        };
        let mut port = Port::default();
        port.count_flaps(5, None);
        assert_eq!(port.flaps, 0, "losses before the daemon's time");
        port.count_flaps(8, Some(&loss));
        assert_eq!(port.flaps, 3, "two of them were folded");
        port.count_flaps(8, Some(&loss));
        assert_eq!(port.flaps, 3, "the kernel had counted this one before");
        port.downs = None;
        port.count_flaps(2, None);
        assert_eq!(port.flaps, 3, "another netdev");

        let mut uncounted = Port::default();
        uncounted.count_flaps(0, Some(&loss));
        uncounted.count_flaps(0, None);
        assert_eq!(uncounted.flaps, 1);
    }
}
