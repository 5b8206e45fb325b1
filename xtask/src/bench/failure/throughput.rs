//! What the carrier hook costs link messages: nothing that can be measured.

use anyhow::Result;

use super::way::Way;
use crate::bench::plan::Plan;
use crate::bench::report::{Cell, Report, Section};
use crate::bench::samples::Samples;
use crate::bench::sender::Sender;
use crate::bench::world::World;

/// Storms with and without the hook, in turn, and what they say.
pub(super) fn measure(world: &World, plan: &Plan, report: &mut Report) -> Result<()> {
    let sender = Sender::new(world)?;
    let mut rates = [Vec::new(), Vec::new()];
    let mut costs = [Vec::new(), Vec::new()];
    for number in 0..plan.throughput_rounds {
        for (index, way) in [Way::Hook, Way::Off].into_iter().enumerate() {
            world.say(&format!("link messages {}: {}", number + 1, way.as_str()))?;
            let Some(started) = way.start(world)? else {
                return Ok(());
            };
            let sent = sender.full_speed(plan.paced_storm)?;
            started.stop()?;
            rates[index].push(sent.rate());
            costs[index].push(sent.cpu_per_message());
        }
    }
    let mut section = Section::new(
        &format!(
            "Link messages on {} ports, with and without the hook",
            world.names.len()
        ),
        &format!(
            "{:?}, median of {}",
            plan.paced_storm, plan.throughput_rounds
        ),
        &["messages/s", "sender"],
    );
    let [with, without] = rates.map(Samples::of_values);
    let [cost_with, cost_without] = costs.map(Samples::of_values);
    for (way, rate, cost) in [
        (Way::Hook, &with, cost_with),
        (Way::Off, &without, cost_without),
    ] {
        let cells = [Cell::PerSecond(rate.median()), Cell::Seconds(cost.median())];
        section.row(way.as_str(), &cells);
    }
    report.add(section);
    report.target_at_least(
        "link messages/s, hook on / off",
        with.median() / without.median(),
        0.97,
    );
    Ok(())
}
