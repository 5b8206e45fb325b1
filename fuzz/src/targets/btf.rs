//! The kernel's type information.

use portsyncd::link::btf::KernelTypes;

const FUNCTIONS: [&str; 2] = ["netif_carrier_off", "netif_carrier_on"];

pub(crate) fn run(bytes: &[u8]) {
    let Ok(types) = KernelTypes::read(bytes, &FUNCTIONS) else {
        return;
    };
    for function in FUNCTIONS {
        if let Ok(id) = types.function(function) {
            assert_ne!(id, 0, "type 0 is void");
        }
    }
    let Ok(layout) = types.netdev_layout() else {
        return;
    };
    // The least that each has: what the hook loads.
    let fields = [
        (layout.ifindex, 4),
        (layout.name, 16),
        (layout.flags, 4),
        (layout.operstate, 1),
        (layout.state, 8),
        (layout.reg_state, 1),
        (layout.carrier_up_count, 4),
        (layout.carrier_down_count, 4),
        (layout.nd_net, 8),
    ];
    for (number, (offset, size)) in fields.iter().enumerate() {
        assert!(offset.checked_add(*size).is_some());
        for (other, other_size) in &fields[..number] {
            let apart = offset + size <= *other || other + other_size <= *offset;
            assert!(apart, "two fields share a byte: {layout:?}");
        }
    }
}
