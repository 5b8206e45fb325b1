//! The table against a reference model, with random interleavings.
//!
//! [`world::World`] plays the kernel (netdevs, link messages in order, dumps in
//! parts that other things happen between), CONFIG_DB and STATE_DB, and a writer
//! whose batches are acknowledged late, fail before or after they took effect, or
//! vanish with all of Redis. It knows the truth; the table only sees what the
//! daemon would see. What must hold:
//!
//! - once everything is delivered, STATE_DB says what the kernel says, for every
//!   configured port, and has no row of ours without a netdev;
//! - nothing is invented: each row written is a state that the kernel really had
//!   under that name, and a row is deleted only if its netdev really went;
//! - PortInitDone comes exactly once, and not before every awaited port's row; and
//!   once more, in the same way, when swss starts anew;
//! - a row that is said to stand is there.

mod kernel;
mod world;

use proptest::prelude::*;

use world::{Op, World};

fn op() -> impl Strategy<Value = Op> {
    let name = 0..kernel::NAMES.len();
    prop_oneof![
        4 => name.clone().prop_map(Op::Create),
        2 => any::<u8>().prop_map(Op::Delete),
        2 => (any::<u8>(), name.clone()).prop_map(|(which, name)| Op::Rename(which, name)),
        8 => (any::<u8>(), 0..8_u8).prop_map(|(which, bits)| Op::Flags(which, bits)),
        3 => (any::<u8>(), 0..4_u8).prop_map(|(which, step)| Op::Mtu(which, step)),
        2 => any::<u8>().prop_map(Op::Enslave),
        2 => any::<u8>().prop_map(Op::Release),
        3 => any::<u8>().prop_map(Op::HeldBackCarrier),
        6 => (any::<u8>(), any::<bool>()).prop_map(|(which, on)| Op::Carrier(which, on)),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(which, on)| Op::Race(which, on)),
        3 => Just(Op::Linkwatch),
        2 => name.clone().prop_map(Op::Configure),
        1 => name.prop_map(Op::Unconfigure),
        6 => any::<u8>().prop_map(Op::Deliver),
        3 => Just(Op::DeliverConfig),
        2 => Just(Op::ReadConfig),
        1 => Just(Op::Lose),
        4 => Just(Op::DumpStep),
        4 => Just(Op::DumpApply),
        4 => Just(Op::Submit),
        4 => Just(Op::Ack),
        1 => any::<bool>().prop_map(Op::Break),
        1 => Just(Op::FlushAll),
        1 => Just(Op::Overflow),
        1 => Just(Op::Restart),
        1 => any::<u8>().prop_map(Op::RowsGone),
        3 => Just(Op::Look),
    ]
}

/// Found by the test below: a carrier record after a lost message was mixed with the
/// flags from before it, and the port was up although it had been set down.
#[test]
fn a_carrier_record_after_a_loss_is_a_whole_state() {
    let mut world = World::new(false, true);
    for op in [
        Op::Flags(0, 1),
        Op::Flags(0, 5),
        Op::Deliver(3),
        Op::Flags(0, 2),
        Op::Lose,
        Op::Carrier(0, true),
        Op::Deliver(1),
        Op::Submit,
        Op::Ack,
    ] {
        world.apply(op);
    }
    world.settle();
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn state_db_ends_up_as_the_kernel(
        ops in prop::collection::vec(op(), 0..120),
        warm in any::<bool>(),
        hook in any::<bool>(),
    ) {
        let mut world = World::new(warm, hook);
        for op in ops {
            world.apply(op);
        }
        world.settle();
        world.check();
    }

    /// Without a loss no dump is needed beyond the first: events alone suffice.
    #[test]
    fn events_alone_are_enough_when_none_is_lost(
        ops in prop::collection::vec(op(), 0..120),
        hook in any::<bool>(),
    ) {
        let mut world = World::new(false, hook);
        for op in ops {
            if !matches!(op, Op::Lose | Op::Break(_) | Op::FlushAll | Op::Overflow | Op::RowsGone(_)) {
                world.apply(op);
            }
        }
        world.settle_without_dump();
        world.check();
        world.check_deletions();
    }
}
