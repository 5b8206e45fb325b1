//! One port changes while all others storm: how long until its row says so?
//!
//! The change is measured as an isolated one is, and so is the raw round trip beside
//! it, in turn. The MTU can wait for a shared write; the admin state goes out at the
//! next look. Who takes messages more slowly than one thread sends them falls ever
//! farther behind at full speed: there only our daemon is measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, anyhow};

use super::isolated::from_kernel;
use super::isolated::observer::{Change, Observer};
use super::plan::Plan;
use super::report::{Cell, Report, Section};
use super::samples::Samples;
use super::sender::Sender;
use super::storm::PACE;
use super::subject::Subject;
use super::usage::wait_until_quiet;
use super::world::{MTU, REST, World};

/// What was measured of one daemon in one storm.
struct Measured {
    round_trip: Samples,
    mtu: Samples,
    admin: Samples,
    /// Messages a second.
    rate: f64,
}

/// Measures and reports.
pub(super) fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    let others = world.names.len() - 1;
    let mut observer = Observer::new(world)?;
    let sender = Sender::sparing(world, Observer::port(world))?;
    for (rate, load) in [
        (Some(PACE), format!("{PACE} messages/s")),
        (None, "as many messages as one thread can".to_owned()),
    ] {
        let mut section = Section::new(
            &format!("One change under a storm on {others} other ports, {load}"),
            &format!(
                "kernel's message → event, n = {} for the MTU, {} for the admin state",
                mtu_changes(plan),
                admin_changes(plan)
            ),
            &["p50", "p99", "p99.9", "max", "p50 / raw HSET", "messages/s"],
        );
        for subject in Subject::all(world) {
            if rate.is_none() && subject.source().is_none() {
                continue;
            }
            let name = subject.as_str();
            world.say(&format!("one change under a storm, {load}: {name}"))?;
            let measured = under(world, plan, &mut observer, &sender, rate, subject)?;
            let raw = measured.round_trip.median();
            for (what, samples) in [
                ("the MTU", &measured.mtu),
                ("the admin state", &measured.admin),
                ("a raw HSET round trip beside it", &measured.round_trip),
            ] {
                section.row(
                    &format!("{name}: {what}"),
                    &[
                        Cell::Seconds(samples.median()),
                        Cell::Seconds(samples.quantile(99)),
                        Cell::Seconds(samples.per_mille(999)),
                        Cell::Seconds(samples.max()),
                        Cell::Times(samples.median() / raw),
                        Cell::PerSecond(measured.rate),
                    ],
                );
            }
        }
        report.add(section);
    }
    Ok(())
}

fn mtu_changes(plan: &Plan) -> usize {
    plan.disturbed_changes / 2
}

/// Each takes an RCU grace period of the kernel's.
fn admin_changes(plan: &Plan) -> usize {
    plan.disturbed_changes / 10
}

fn under(
    world: &World,
    plan: &Plan,
    observer: &mut Observer<'_>,
    sender: &Sender<'_>,
    rate: Option<u32>,
    subject: Subject,
) -> Result<Measured> {
    let live = subject.start(world)?;
    let clocks = [live.cpu()?, world.redis_cpu()?];
    wait_until_quiet(&clocks)?;
    let over = AtomicBool::new(false);
    let measured = thread::scope(|scope| -> Result<Measured> {
        let storm = scope.spawn(|| sender.until(&over, rate));
        let watched = observe(world, plan, observer);
        over.store(true, Ordering::Relaxed);
        let sent = storm.join().map_err(|_| anyhow!("the sender panicked"))?;
        let mut measured = watched?;
        measured.rate = sent?.rate();
        Ok(measured)
    })?;
    wait_until_quiet(&clocks)?;
    live.stop()?;
    Ok(measured)
}

fn observe(world: &World, plan: &Plan, observer: &mut Observer<'_>) -> Result<Measured> {
    let (mut round_trip, mut mtu, mut admin) = (vec![], Vec::<Change>::new(), vec![]);
    for number in 0..mtu_changes(plan) {
        world.check()?;
        thread::sleep(REST);
        round_trip.push(observer.round_trip()?);
        thread::sleep(REST);
        let value = MTU - 1 - u16::from(number % 2 == 0);
        let text = value.to_string();
        mtu.push(observer.change(Some(("mtu", &text)), |tap| tap.set_mtu(value))?);
    }
    observer.change(Some(("mtu", &MTU.to_string())), |tap| tap.set_mtu(MTU))?;
    for number in 0..admin_changes(plan) {
        world.check()?;
        thread::sleep(REST);
        let change = if number % 2 == 0 {
            observer.change(Some(("admin_status", "down")), portsyncd_tests::Tap::down)
        } else {
            observer.change(Some(("admin_status", "up")), portsyncd_tests::Tap::up)
        };
        admin.push(change?);
    }
    Ok(Measured {
        round_trip: Samples::of(round_trip),
        mtu: from_kernel(&mtu),
        admin: from_kernel(&admin),
        rate: f64::NAN,
    })
}
