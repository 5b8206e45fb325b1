//! Which scenario is measured on which world: one number of ports after the other, so
//! that no world is made twice.

use std::path::Path;

use anyhow::Result;

use super::plan::Plan;
use super::report::Report;
use super::scale::{self, Scale};
use super::spread::Spread;
use super::warm_restart;
use super::world::World;
use super::{Args, Figures};
use super::{background, beside, cold_start, failure, footprint, isolated, rest, storm};
use crate::interrupt::Interrupt;

/// How many ports latencies and storms are measured on.
const STORM_PORTS: usize = 256;
/// The largest SKU that SONiC ships: starts, memory, rest.
const LARGE_PORTS: usize = 514;
/// Storms on other numbers of ports.
const SPREAD_PORTS: [usize; 3] = [1, 64, 1028];
/// Every number of ports.
const ALL_PORTS: [usize; 6] = [1, 64, 256, 514, 1028, 4096];

/// Measures everything that is wanted.
pub(super) fn run(
    daemon: &Path,
    args: &Args,
    interrupt: &Interrupt,
    report: &mut Report,
) -> Result<()> {
    let plan = if args.quick { Plan::QUICK } else { Plan::FULL };
    let against = args.against.as_deref();
    let wanted = |figures: Figures| {
        let comparable = against.is_none() || figures.is_comparable();
        (args.only.is_empty() && comparable) || args.only.contains(&figures)
    };
    let (mut spread, mut scale) = (Spread::default(), Scale::default());
    for ports in ALL_PORTS {
        let wanted: Vec<Figures> = measured_with(ports)
            .into_iter()
            .filter(|figures| wanted(*figures))
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let world = World::new(ports, daemon, interrupt)?.against(against)?;
        for figures in wanted {
            match figures {
                Figures::Isolated => isolated::measure(&world, &plan, report)?,
                Figures::Disturbed if ports == STORM_PORTS => {
                    background::measure(&world, &plan, report)?;
                }
                // Nobody else has these files and this listener.
                Figures::Disturbed if against.is_some() => {}
                Figures::Disturbed => beside::measure(&world, &plan, report)?,
                Figures::Storm if ports == STORM_PORTS => {
                    storm::measure(&world, &plan, &mut spread, report)?;
                }
                Figures::Storm => spread.measure(&world, &plan)?,
                Figures::Start => {
                    cold_start::measure(&world, &plan, report)?;
                    warm_restart::measure(&world, &plan, report)?;
                }
                Figures::Footprint => footprint::measure(&world, &plan, report)?,
                Figures::Rest => rest::measure(&world, &plan, report)?,
                Figures::Scale => scale.measure(&world, &plan)?,
                Figures::Failure => {}
            }
        }
    }
    spread.report(&plan, report);
    scale.report(&plan, report);
    if wanted(Figures::Failure) {
        failure::measure(daemon, against, &plan, interrupt, report)?;
    }
    Ok(())
}

/// What is measured on a world with so many ports, in this order.
fn measured_with(ports: usize) -> Vec<Figures> {
    let mut figures = match ports {
        STORM_PORTS => vec![Figures::Isolated, Figures::Disturbed, Figures::Storm],
        LARGE_PORTS => vec![
            Figures::Rest,
            Figures::Start,
            Figures::Footprint,
            Figures::Disturbed,
        ],
        _ => Vec::new(),
    };
    if SPREAD_PORTS.contains(&ports) {
        figures.push(Figures::Storm);
    }
    if scale::SIZES.contains(&ports) {
        figures.push(Figures::Scale);
    }
    figures
}
