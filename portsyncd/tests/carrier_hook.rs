//! The carrier hook on the kernel that this runs on: what its records say, and of
//! what they say nothing. The netdevs are taps, which report their carrier as a
//! NIC's driver does.
//!
//! `PORTSYNCD_CARRIER_HOOKS` names the ways that must attach here ("fentry kprobe"
//! in the virtual machines). Any other way may be refused, and then has to say why.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::num::NonZeroU32;
use std::ops::ControlFlow;

use anyhow::{Context, Result, bail, ensure};
use portsyncd::config::{self, CarrierHook};
use portsyncd::link::carrier::{Attached, attach};
use portsyncd::link::gate::Gate;
use portsyncd::link::{Accounts, LinkSource, choose};
use portsyncd_common::{IfName, LinkRecord, flag, malformed, msg, present};
use portsyncd_tests::namespace::NamedNamespace;
use portsyncd_tests::wait::wait_for;
use portsyncd_tests::{Namespace, PATIENCE, Tap, wait_until};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

const WAYS: [CarrierHook; 2] = [CarrierHook::Fentry, CarrierHook::Kprobe];
/// Enough KiB for every link message of these tests.
const ROOMY: u32 = 1024;
/// `IF_OPER_UNKNOWN`, `IF_OPER_DOWN` and `IF_OPER_UP` (RFC 2863).
const OPER_UNKNOWN: u8 = 0;
const OPER_DOWN: u8 = 2;
const OPER_UP: u8 = 6;

/// A namespace, the source that watches it, and the hook.
struct Site {
    // Dropped first: the source lives in the runtime's reactor.
    source: LinkSource,
    hook: Option<Attached>,
    namespace: Namespace,
    _named: NamedNamespace,
    _runtime: Runtime,
    records: Vec<LinkRecord>,
}

impl Site {
    /// `None` where the way is closed, and may be.
    fn open(way: CarrierHook, ring_kib: u32) -> Result<Option<Self>> {
        let namespace = Namespace::new()?;
        let named = NamedNamespace::new(&namespace)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let link = config::Link {
            source: config::Source::Ebpf,
            ring_buffer_kb: NonZeroU32::new(ring_kib).context("a ring")?,
            ..config::Link::default()
        };
        let gate = {
            let _inside = runtime.enter();
            Gate::start(named.name())?
        };
        let source = gate.run(move || choose(&link))?.source;
        let maps = source.hook_maps()?.context("the eBPF source has a ring")?;
        let must = env::var("PORTSYNCD_CARRIER_HOOKS").unwrap_or_default();
        let hook = match attach(way, &maps, gate.netns_inode()) {
            Ok(hook) => hook,
            Err(refused) => {
                let reason = refused.to_string();
                ensure!(
                    !must.split_whitespace().any(|word| word == way.as_str()),
                    "{way:?} has to attach here: {reason}"
                );
                eprintln!("not here: {reason}");
                return Ok(None);
            }
        };
        ensure!(hook.kind.as_str() == way.as_str());
        Ok(Some(Self {
            source,
            hook: Some(hook),
            namespace,
            _named: named,
            _runtime: runtime,
            records: vec![],
        }))
    }

    fn drain(&mut self) -> Result<()> {
        let records = &mut self.records;
        self.source.drain(|record| records.push(*record))?;
        Ok(())
    }

    /// Drains until `enough`.
    fn take(&mut self, what: &str, mut enough: impl FnMut(&[LinkRecord]) -> bool) -> Result<()> {
        wait_until(what, PATIENCE, || {
            self.drain()?;
            Ok(if enough(&self.records) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(format!("{} records", self.records.len()))
            })
        })
    }

    fn forget(&mut self) -> Result<()> {
        self.drain()?;
        self.records.clear();
        Ok(())
    }

    fn carrier_records(&self) -> Vec<LinkRecord> {
        let carrier = self.records.iter().filter(|record| is_carrier(record));
        carrier.copied().collect()
    }

    /// Taps that are up, and of which the kernel has said so.
    fn taps_up(&mut self, names: &[&str]) -> Result<Vec<Tap>> {
        let taps = Tap::create_all(&self.namespace, names)?;
        for tap in &taps {
            tap.up()?;
        }
        for tap in &taps {
            let ifindex = tap.ifindex()?;
            self.take("the taps are up", |records| {
                records.iter().any(|record| says_running(record, ifindex))
            })?;
        }
        self.forget()?;
        Ok(taps)
    }

    /// The carrier's account, once both accounts add up.
    fn account(&self) -> Result<Accounts> {
        let messages = self.source.accounts();
        ensure!(
            messages.seen == messages.submitted + messages.lost,
            "{messages:?}"
        );
        let carrier = self.source.carrier_accounts();
        ensure!(
            carrier.seen == carrier.submitted + carrier.lost,
            "{carrier:?}"
        );
        Ok(carrier)
    }
}

/// Runs `test` for each way that is open here.
fn on_each_way(ring_kib: u32, test: impl Fn(&mut Site) -> Result<()>) -> Result<()> {
    for way in WAYS {
        if let Some(mut site) = Site::open(way, ring_kib)? {
            test(&mut site).with_context(|| format!("by {}", way.as_str()))?;
        }
    }
    Ok(())
}

fn is_carrier(record: &LinkRecord) -> bool {
    matches!(record.msg_type, msg::CARRIER_OFF | msg::CARRIER_ON)
}

/// Whether the message says that the netdev's operstate is up.
fn says_running(record: &LinkRecord, ifindex: u32) -> bool {
    record.msg_type == msg::NEWLINK
        && record.ifindex == ifindex
        && record.flags & flag::RUNNING != 0
}

/// Whether the message says that the netdev's operstate is down.
fn says_down(record: &LinkRecord) -> bool {
    record.msg_type == msg::NEWLINK && record.flags & flag::RUNNING == 0
}

/// The bits that a port's state is made of.
fn state(record: &LinkRecord) -> u32 {
    record.flags & (flag::UP | flag::RUNNING | flag::LOWER_UP)
}

fn now_ns() -> Result<u64> {
    let now = clock_gettime(ClockId::Monotonic);
    Ok(u64::try_from(now.tv_sec)? * 1_000_000_000 + u64::try_from(now.tv_nsec)?)
}

#[test]
fn a_loss_is_told_at_once_and_before_linkwatch() -> Result<()> {
    on_each_way(ROOMY, |site| {
        let names: Vec<String> = (0..8).map(|port| format!("Ethernet{}", port * 4)).collect();
        let taps = site.taps_up(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let mut lost = BTreeMap::new();
        for tap in &taps {
            let before = now_ns()?;
            tap.carrier(false)?;
            lost.insert(tap.ifindex()?, (tap.name().to_owned(), before, now_ns()?));
            // A pass of linkwatch's: the next one is a second away.
            site.take("linkwatch has told of the first loss", |records| {
                records.iter().any(says_down)
            })?;
        }
        site.take("linkwatch has told of every loss", |records| {
            let told = records.iter().filter(|record| says_down(record));
            let told: BTreeSet<_> = told.map(|record| record.ifindex).collect();
            lost.keys().all(|ifindex| told.contains(ifindex))
        })?;

        let carrier = site.carrier_records();
        ensure!(carrier.len() == taps.len(), "{carrier:?}");
        let mut lead_us = vec![];
        for record in carrier {
            let (name, before, after) = lost.get(&record.ifindex).context("a stranger")?;
            ensure!(
                record.msg_type == msg::CARRIER_OFF && record.carrier == 0,
                "{record:?}"
            );
            ensure!(IfName::from_buffer(&record.name)? == name.parse()?);
            ensure!(
                (*before..=*after).contains(&record.timestamp_ns),
                "{record:?}"
            );
            ensure!(record.malformed == malformed::NOT, "{record:?}");
            // A tap that never had to settle is of unknown operstate, which counts as up.
            ensure!(
                [OPER_UNKNOWN, OPER_UP].contains(&record.operstate),
                "{record:?}"
            );
            ensure!(record.carrier_down_count == 1, "{record:?}");
            ensure!(
                record.present
                    == present::NAME
                        | present::MTU
                        | present::OPERSTATE
                        | present::CARRIER
                        | present::CARRIER_UP_COUNT
                        | present::CARRIER_DOWN_COUNT,
                "{record:?}"
            );
            let message = site.records.iter().filter(|told| says_down(told));
            let message = message
                .into_iter()
                .find(|told| told.ifindex == record.ifindex)
                .context("linkwatch's own message")?;
            ensure!(message.timestamp_ns > record.timestamp_ns);
            ensure!(record.mtu == message.mtu, "{record:?} and {message:?}");
            ensure!(message.carrier_down_count == 1, "{message:?}");
            ensure!(
                record.flags == message.flags | flag::RUNNING,
                "{record:?} and {message:?}"
            );
            lead_us.push((message.timestamp_ns - record.timestamp_ns) / 1000);
        }
        lead_us.sort_unstable();
        println!("told before linkwatch, by so many microseconds: {lead_us:?}");
        ensure!(
            lead_us.last() > Some(&100_000),
            "linkwatch held none back: {lead_us:?}"
        );
        let account = site.account()?;
        ensure!(account.lost == 0, "{account:?}");
        let hook = site.hook.as_ref().context("the hook is gone")?;
        ensure!(hook.missed()? == 0);
        Ok(())
    })
}

#[test]
fn a_gain_is_told_with_the_old_operstate() -> Result<()> {
    on_each_way(ROOMY, |site| {
        let taps = site.taps_up(&["Ethernet0"])?;
        let (tap, ifindex) = (&taps[0], taps[0].ifindex()?);
        tap.carrier(false)?;
        site.take("linkwatch has told of the loss", |records| {
            records.iter().any(says_down)
        })?;
        site.forget()?;
        let before = now_ns()?;
        tap.carrier(true)?;
        let after = now_ns()?;
        site.take("linkwatch has told of the gain", |records| {
            records.iter().any(|record| says_running(record, ifindex))
        })?;
        let first = site.records.first().context("no record")?;
        ensure!(
            first.msg_type == msg::CARRIER_ON && first.carrier == 1,
            "{first:?}"
        );
        ensure!((before..=after).contains(&first.timestamp_ns) && first.ifindex == ifindex);
        ensure!(
            first.carrier_up_count == 1 && first.carrier_down_count == 1,
            "{first:?}"
        );
        ensure!(first.operstate == OPER_DOWN, "{first:?}");
        ensure!(state(first) == flag::UP | flag::LOWER_UP, "{first:?}");

        site.forget()?;
        tap.carrier(false)?;
        site.take("the second loss is told", |records| {
            records.iter().any(is_carrier)
        })?;
        let second = site.carrier_records()[0];
        ensure!(
            second.msg_type == msg::CARRIER_OFF && second.carrier_down_count == 2,
            "{second:?}"
        );
        ensure!(second.operstate == OPER_UP, "{second:?}");
        ensure!(state(&second) == flag::UP | flag::RUNNING, "{second:?}");
        ensure!(site.account()?.seen == 3);
        Ok(())
    })
}

#[test]
fn only_changes_of_this_namespace_are_told() -> Result<()> {
    on_each_way(ROOMY, |site| {
        let taps = site.taps_up(&["Ethernet0"])?;
        let elsewhere = Namespace::new()?;
        let others = Tap::create_all(&elsewhere, &["Ethernet0", "Ethernet4"])?;
        for on in [false, true, false] {
            for other in &others {
                other.carrier(on)?;
            }
        }
        // The first and the last change nothing.
        for on in [true, false, false] {
            taps[0].carrier(on)?;
        }
        site.take("the one change is told", |records| {
            records.iter().any(is_carrier)
        })?;
        ensure!(site.account()?.seen == 1, "{:?}", site.records);
        ensure!(site.carrier_records()[0].ifindex == taps[0].ifindex()?);
        Ok(())
    })
}

#[test]
fn a_netdev_that_is_down_says_so_and_one_that_goes_says_nothing() -> Result<()> {
    on_each_way(ROOMY, |site| {
        let tap = Tap::create(&site.namespace, "Ethernet0")?;
        for on in [false, true] {
            tap.carrier(on)?;
        }
        site.take("the changes are told", |records| {
            records.iter().filter(|record| is_carrier(record)).count() == 2
        })?;
        for record in site.carrier_records() {
            ensure!(state(&record) == 0, "{record:?}");
        }
        site.forget()?;
        tap.delete()?;
        site.take("the end is told", |records| {
            let ends = |record: &LinkRecord| record.msg_type == msg::DELLINK;
            records.iter().any(ends)
        })?;
        ensure!(site.carrier_records().is_empty(), "{:?}", site.records);
        Ok(())
    })
}

#[test]
fn a_full_ring_is_counted() -> Result<()> {
    const CHANGES: u64 = 300;
    on_each_way(4, |site| {
        let tap = Tap::create(&site.namespace, "Ethernet0")?;
        site.forget()?;
        for change in 0..CHANGES {
            tap.carrier(change % 2 != 0)?;
        }
        let account = site.account()?;
        ensure!(account.seen == CHANGES, "{account:?}");
        ensure!(account.lost > 0 && account.submitted > 0, "{account:?}");
        // Drained, the ring is of use again, and the loss is reported.
        let mut reported = 0;
        wait_for("the loss is reported", PATIENCE, || {
            let drained = site.source.drain(|_| ())?;
            reported += drained.lost.map_or(0, |(_, lost)| lost);
            tap.carrier(false)?;
            tap.carrier(true)?;
            Ok(reported > 0)
        })?;
        ensure!(reported >= account.lost, "{reported} of {account:?}");
        Ok(())
    })
}

#[test]
fn once_the_hook_is_gone_nothing_is_told() -> Result<()> {
    on_each_way(ROOMY, |site| {
        let tap = Tap::create(&site.namespace, "Ethernet0")?;
        tap.carrier(false)?;
        if site.account()?.seen != 1 {
            bail!("the change was not seen");
        }
        drop(site.hook.take());
        tap.carrier(true)?;
        ensure!(site.account()?.seen == 1);
        Ok(())
    })
}

#[test]
fn off_is_no_hook() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    let source = choose(&config::Link::default())?.source;
    if let Some(maps) = source.hook_maps()? {
        ensure!(attach(CarrierHook::Off, &maps, 1).is_err());
    }
    Ok(())
}
