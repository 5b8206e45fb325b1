use super::*;
use crate::clock::monotonic_ns;
use crate::table::PortState;

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "a row that is there")]
fn state(oper_up: bool) -> Option<PortState> {
    Some(PortState {
        oper_up,
        admin_up: true,
        mtu: 9100,
    })
}

fn change(port: &str, state: Option<PortState>, downs: u32) -> Published {
    let now_ns = monotonic_ns();
    Published {
        name: name(port),
        since_ns: now_ns,
        acked_ns: now_ns + 70_000,
        state,
        downs,
        deleted: state.is_none(),
        origin: Origin::Carrier,
    }
}

fn apply(ports: &mut Ports, changes: &[Published]) -> Vec<Transition> {
    let mut told = Vec::new();
    ports.published(changes, 10_000, |transition| told.push(transition));
    told
}

#[test]
fn a_transition_is_told_and_a_repeated_row_is_not() {
    let mut ports = Ports::new();
    ports.configured(&[name("Ethernet0"), name("Ethernet4")]);
    assert_eq!(ports.totals().missing, 2);
    let told = apply(&mut ports, &[change("Ethernet0", state(true), 1)]);
    assert_eq!(told.len(), 1);
    assert!(apply(&mut ports, &[change("Ethernet0", state(true), 1)]).is_empty());
    let told = apply(&mut ports, &[change("Ethernet0", state(false), 2)]);
    assert_eq!((told[0].flaps, told[0].entry.latency_us), (1, Some(70)));
    let totals = Totals {
        up: 0,
        down: 1,
        missing: 1,
    };
    assert_eq!(ports.totals(), totals);
    apply(&mut ports, &[change("Ethernet0", state(true), 2)]);
    assert_eq!(ports.outages.longest().len(), 1);
    assert_eq!(ports.published, 4);
}

#[test]
fn a_removed_port_is_forgotten_and_a_missing_one_is_not() {
    let mut ports = Ports::new();
    ports.configured(&[name("Ethernet0")]);
    apply(
        &mut ports,
        &[
            change("Ethernet0", state(true), 0),
            change("eth9", state(true), 0),
        ],
    );
    apply(
        &mut ports,
        &[change("Ethernet0", None, 0), change("eth9", None, 0)],
    );
    assert!(ports.get(&name("eth9")).is_none());
    assert_eq!(ports.get(&name("Ethernet0")).unwrap().oper(), "missing");
    ports.listed(name("Ethernet0"), false);
    assert_eq!(ports.all().count(), 0);
}

#[test]
fn what_was_missed_comes_with_the_whole() {
    let mut ports = Ports::new();
    ports.configured(&[name("Ethernet0"), name("Ethernet8")]);
    let first = [
        change("Ethernet0", state(true), 1),
        change("Ethernet4", state(true), 0),
    ];
    apply(&mut ports, &first);
    let standing = [
        Standing {
            name: name("Ethernet0"),
            state: state(true),
            configured: true,
            downs: 7,
        },
        Standing {
            name: name("Ethernet8"),
            state: state(false),
            configured: true,
            downs: 0,
        },
    ];
    let mut told = Vec::new();
    ports.whole(&standing, |transition| told.push(transition.name));
    told.sort_unstable();
    assert_eq!(told, [name("Ethernet4"), name("Ethernet8")]);
    assert_eq!(ports.get(&name("Ethernet0")).unwrap().flaps, 6);
    assert!(ports.get(&name("Ethernet4")).is_none());
}

#[test]
fn a_restored_state_is_a_hint_and_history_stays() {
    let mut ports = Ports::new();
    let old = |flaps, hint| Port {
        flaps,
        hint,
        downs: Some(3),
        since_ns: 5,
        ..Port::default()
    };
    let restored = [
        (name("Ethernet0"), old(10, state(true))),
        (name("Ethernet4"), old(20, state(true))),
        (name("Ethernet8"), old(30, state(true))),
    ];
    ports.restore(restored.into_iter().collect(), Outages::default());
    assert!(
        ports.sorted().is_empty(),
        "nothing is shown that was not published"
    );
    ports.configured(&[]);
    let told = apply(
        &mut ports,
        &[
            change("Ethernet0", state(true), 3),
            change("Ethernet4", state(false), 5),
        ],
    );
    assert_eq!(told.len(), 1, "Ethernet0 is as it was");
    assert_eq!(ports.get(&name("Ethernet0")).unwrap().since_ns, 5);
    assert_eq!(
        ports.get(&name("Ethernet4")).unwrap().flaps,
        22,
        "two while we were away"
    );
    ports.forget_unseen();
    assert_eq!(ports.all().count(), 2);
}

#[test]
fn ports_are_sorted_as_people_count() {
    let mut ports = Ports::new();
    let names = [
        "PortChannel1",
        "Ethernet100",
        "Ethernet4",
        "Ethernet4x",
        "Ethernet0",
    ];
    ports.configured(&names.map(name));
    let sorted: Vec<_> = ports
        .sorted()
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(
        sorted,
        [
            "Ethernet0",
            "Ethernet4",
            "Ethernet4x",
            "Ethernet100",
            "PortChannel1"
        ]
    );
}
