//! Against type information cut from real kernels by `cargo xtask btf-fixtures`;
//! what it should give was read by pahole(1) from the kernels' own.

use proptest::prelude::*;

use super::*;

const OFF: &str = "netif_carrier_off";
const ON: &str = "netif_carrier_on";

struct Fixture {
    kernel: &'static str,
    bytes: &'static [u8],
    layout: NetdevLayout,
}

static FIXTURES: [Fixture; 4] = [
    Fixture {
        kernel: "5.10.0-32-cloud-amd64",
        bytes: include_bytes!("fixtures/5.10.btf"),
        layout: NetdevLayout {
            ifindex: 256,
            name: 0,
            flags: 528,
            mtu: 544,
            operstate: 540,
            state: 64,
            reg_state: 1240,
            carrier_up_count: 472,
            carrier_down_count: 476,
            nd_net: 1264,
            net_inum: 120 + 16,
        },
    },
    Fixture {
        kernel: "6.1.0-56-cloud-amd64",
        bytes: include_bytes!("fixtures/6.1.btf"),
        layout: NetdevLayout {
            ifindex: 216,
            name: 0,
            flags: 192,
            mtu: 224,
            operstate: 552,
            state: 56,
            reg_state: 1256,
            carrier_up_count: 496,
            carrier_down_count: 500,
            nd_net: 1280,
            net_inum: 128 + 16,
        },
    },
    Fixture {
        kernel: "6.12.117+deb12-cloud-amd64",
        bytes: include_bytes!("fixtures/6.12.btf"),
        layout: NetdevLayout {
            ifindex: 224,
            name: 304,
            flags: 176,
            mtu: 56,
            operstate: 808,
            state: 168,
            reg_state: 1368,
            carrier_up_count: 760,
            carrier_down_count: 764,
            nd_net: 280,
            net_inum: 120 + 16,
        },
    },
    Fixture {
        kernel: "6.18",
        bytes: include_bytes!("fixtures/6.18.btf"),
        layout: NetdevLayout {
            ifindex: 224,
            name: 280,
            flags: 176,
            mtu: 56,
            operstate: 768,
            state: 168,
            reg_state: 1312,
            carrier_up_count: 736,
            carrier_down_count: 740,
            nd_net: 264,
            net_inum: 152 + 24,
        },
    },
];

impl KernelTypes<'_> {
    /// Where a type begins, in the bytes of a fixture, whose types follow its header.
    fn blob_start(&self, id: u32) -> usize {
        24 + self.blob.start(id).unwrap()
    }
}

fn layout(bytes: &[u8]) -> Result<NetdevLayout, BtfError> {
    KernelTypes::read(bytes, &[OFF, ON])?.netdev_layout()
}

/// A fixture in which a string of the string section is another of that length.
fn renamed(fixture: &Fixture, from: &str, to: &str) -> Vec<u8> {
    let (from, to) = (format!("\0{from}\0"), format!("\0{to}\0"));
    assert_eq!(from.len(), to.len());
    let mut bytes = fixture.bytes.to_vec();
    let at = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[test]
fn every_kernel_gives_its_offsets() {
    for fixture in &FIXTURES {
        let types = KernelTypes::read(fixture.bytes, &[OFF, ON]).unwrap();
        let found = types.netdev_layout().unwrap();
        assert_eq!(found, fixture.layout, "{}", fixture.kernel);
        let (off, on) = (types.function(OFF).unwrap(), types.function(ON).unwrap());
        assert_ne!(off, on);
    }
}

#[test]
fn the_running_kernel_gives_offsets_or_a_reason() {
    let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
        eprintln!("this kernel has no BTF");
        return;
    };
    let types = KernelTypes::read(&bytes, &[OFF, ON]).unwrap();
    types.netdev_layout().unwrap();
    types.function(OFF).unwrap();
    assert_eq!(
        types.function("netif_carrier_of").unwrap_err(),
        BtfError::Missing("netif_carrier_of"),
    );
}

#[test]
fn a_field_that_is_not_there_is_named() {
    for fixture in &FIXTURES {
        for (from, to, field) in [
            ("ifindex", "ifhndex", "net_device.ifindex"),
            ("operstate", "operstatf", "net_device.operstate"),
            ("reg_state", "reg_stat2", "net_device.reg_state"),
            ("nd_net", "nd_nft", "net_device.nd_net"),
            (
                "carrier_down_count",
                "carrier_down_coun2",
                "net_device.carrier_down_count",
            ),
            ("inum", "inun", "ns_common.inum"),
        ] {
            let found = layout(&renamed(fixture, from, to));
            assert_eq!(found, Err(BtfError::NoField(field)), "{}", fixture.kernel);
        }
        let found = layout(&renamed(fixture, NETDEV, "net_devicf"));
        assert_eq!(found, Err(BtfError::Missing(NETDEV)));
    }
}

/// Where the fixture's only member of that name stands, in its bytes.
fn member(fixture: &Fixture, name: &str) -> usize {
    let word = |at: usize| u32::from_ne_bytes(*fixture.bytes[at..].first_chunk().unwrap());
    let strings = 24 + word(16) as usize;
    let wanted = format!("\0{name}\0");
    let offset = fixture.bytes[strings..]
        .windows(wanted.len())
        .position(|window| window == wanted.as_bytes())
        .unwrap()
        + 1;
    let mut at = (24..strings)
        .step_by(4)
        .filter(|at| word(*at) as usize == offset);
    match (at.next(), at.next()) {
        (Some(at), None) => at,
        found => panic!("{} in {}: {found:?}", name, fixture.kernel),
    }
}

#[test]
fn a_field_of_another_type_is_not_taken_for_it() {
    for fixture in &FIXTURES {
        for (field, like, named) in [
            ("operstate", "max_mtu", None),
            (
                "operstate",
                "carrier_up_count",
                Some("net_device.operstate"),
            ),
            ("reg_state", "ip_ptr", Some("net_device.reg_state")),
            (
                "carrier_up_count",
                "max_mtu",
                Some("net_device.carrier_up_count"),
            ),
            ("nd_net", "carrier_up_count", Some("possible_net_t.net")),
            ("nd_net", "ip_ptr", Some("net_device.nd_net")),
            ("inum", "uevent_sock", Some("ns_common.inum")),
            ("inum", "min_mtu", None),
        ] {
            let mut bytes = fixture.bytes.to_vec();
            let (to, from) = (member(fixture, field) + 4, member(fixture, like) + 4);
            bytes.copy_within(from..from + 4, to);
            match (layout(&bytes), named) {
                // A field that is as good as the right one.
                (Ok(found), None) => assert_eq!(found, fixture.layout),
                (Err(BtfError::Unlike { field, .. } | BtfError::NoField(field)), Some(named)) => {
                    assert_eq!(field, named);
                }
                // Its size says it first, whatever is looked for.
                (Err(BtfError::Place { .. }), _) => {}
                (found, _) => panic!("{}, {field} like {like}: {found:?}", fixture.kernel),
            }
        }
    }
}

#[test]
fn a_field_out_of_place_is_refused() {
    for fixture in &FIXTURES {
        for (field, bit) in [
            ("operstate", 1),
            ("reg_state", 3),
            ("nd_net", 8 * 4),
            ("carrier_down_count", 0),
            ("inum", 8 * 4096),
            ("operstate", 0x00ff_ffff),
        ] {
            let mut bytes = fixture.bytes.to_vec();
            let at = member(fixture, field) + 8;
            let bits = u32::from_ne_bytes(*bytes[at..].first_chunk().unwrap());
            let moved = if bit < 64 && bit > 0 {
                bits ^ bit
            } else {
                bits & 0xff00_0000 | bit
            };
            bytes[at..at + 4].copy_from_slice(&moved.to_ne_bytes());
            let found = layout(&bytes);
            assert!(
                matches!(found, Err(BtfError::Place { .. })),
                "{}, {field}: {found:?}",
                fixture.kernel
            );
        }
    }
}

#[test]
fn a_function_that_takes_no_netdev_is_refused() {
    for fixture in &FIXTURES {
        let types = KernelTypes::read(fixture.bytes, &[OFF]).unwrap();
        let function = types.blob.get(types.function(OFF).unwrap()).unwrap();
        let start = types.blob_start(function.target());
        let mut bytes = fixture.bytes.to_vec();
        // The parameter's type, after the prototype's three words and its name.
        bytes[start + 16..start + 20].copy_from_slice(&1_u32.to_ne_bytes());
        let types = KernelTypes::read(&bytes, &[OFF]).unwrap();
        let found = types.function(OFF);
        assert!(
            matches!(found, Err(BtfError::Unlike { field: OFF, .. })),
            "{}: {found:?}",
            fixture.kernel
        );
        assert_eq!(types.function("other"), Err(BtfError::Missing("other")));
    }
}

#[test]
fn cut_short_at_any_byte_it_is_refused() {
    for fixture in &FIXTURES {
        for end in 0..fixture.bytes.len() {
            let found = layout(&fixture.bytes[..end]);
            assert!(
                matches!(found, Err(BtfError::CutShort(_))),
                "{} at {end}: {found:?}",
                fixture.kernel
            );
        }
    }
}

/// How many of the offsets differ.
fn differences(one: &NetdevLayout, other: &NetdevLayout) -> usize {
    let offsets = |layout: &NetdevLayout| {
        [
            layout.ifindex,
            layout.name,
            layout.flags,
            layout.mtu,
            layout.operstate,
            layout.state,
            layout.reg_state,
            layout.carrier_up_count,
            layout.carrier_down_count,
            layout.nd_net,
            layout.net_inum,
        ]
    };
    let pairs = offsets(one).into_iter().zip(offsets(other));
    pairs.filter(|(one, other)| one != other).count()
}

proptest! {
    /// BTF has no checksum: all that one wrong byte can do unseen is to move one
    /// field within the padding beside it. In these fixtures 2 of 365000 flipped
    /// bits do.
    #[test]
    fn a_wrong_byte_is_refused_or_makes_no_difference(
        which in 0..FIXTURES.len(),
        at in any::<prop::sample::Index>(),
        mask in 1..=u8::MAX,
    ) {
        let fixture = &FIXTURES[which];
        let mut bytes = fixture.bytes.to_vec();
        bytes[at.index(fixture.bytes.len())] ^= mask;
        if let Ok(found) = layout(&bytes) {
            prop_assert!(differences(&found, &fixture.layout) <= 1, "{found:?}");
        }
    }

    #[test]
    fn wrong_bytes_do_no_harm(
        which in 0..FIXTURES.len(),
        wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..64),
    ) {
        let fixture = &FIXTURES[which];
        let mut bytes = fixture.bytes.to_vec();
        for (at, byte) in wrong {
            bytes[at.index(fixture.bytes.len())] = byte;
        }
        if let Ok(types) = KernelTypes::read(&bytes, &[OFF, ON]) {
            let _ = types.netdev_layout();
            let _ = types.function(OFF);
        }
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut whole = FIXTURES[0].bytes[..24].to_vec();
        whole.extend_from_slice(&bytes);
        prop_assert!(layout(&bytes).is_err());
        prop_assert!(layout(&whole).is_err());
    }
}
