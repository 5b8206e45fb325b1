//! The health score: 100, less what each trouble costs. Sans-IO, and every lost point has a reason.
//!
//! | what | costs | judged by |
//! |---|---|---|
//! | STATE_DB takes no writes | 40 | |
//! | CONFIG_DB or APPL_DB does not answer | 10 | |
//! | the initial synchronisation is not in Redis | 20 | |
//! | the road has been at one turn for too long | 50 | `health.max_stall_seconds` |
//! | too few ports are in step | up to 20, in proportion | `health.min_port_sync_rate` |
//! | too many writes fail | up to 20, in proportion | `health.max_failure_rate_percent` |
//! | too few writes succeed | up to 10, in proportion | `performance.min_success_rate` |
//! | more than 1 % of changes take too long | up to 10, in proportion | `performance.max_latency_us` |
//! | link messages were lost | 5 | |
//! | the state file, the metrics file cannot be saved | 5 each | |
//! | addresses that cannot be listened on | 2 each, 5 if there is no other | `metrics.listen` |
//!
//! Writes, latencies and losses are those of the last five minutes. In step is a port of
//! CONFIG_DB's that has its row and no change waiting.

use std::time::Duration;

use serde::Serialize;

use super::window::Sample;
use crate::config::{Health, Performance};

/// What health is judged by.
#[derive(Clone, Debug, Default)]
pub(super) struct Signs {
    /// Why STATE_DB takes no writes; empty: it was never reached.
    pub(super) state_db: Option<String>,
    pub(super) followed: bool,
    pub(super) in_step: bool,
    pub(super) stalled: Duration,
    /// Ports that are configured or have a row.
    pub(super) ports: usize,
    /// Of those, the ones that are in step.
    pub(super) synchronised: usize,
    pub(super) window: Sample,
    /// What is wrong with files.
    pub(super) disk: Vec<String>,
    /// Addresses that are listened on, and those that cannot be.
    pub(super) listening: usize,
    pub(super) deaf: Vec<String>,
}

/// Points that were lost, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lost {
    pub(super) points: u32,
    pub(super) reason: String,
}

/// The score, 0 to 100, and what it lacks.
pub(super) fn judge(signs: &Signs, health: &Health, performance: &Performance) -> (u32, Vec<Lost>) {
    let mut lost = Vec::new();
    let mut take = |points: u32, reason: String| {
        if points > 0 {
            lost.push(Lost { points, reason });
        }
    };
    if let Some(error) = &signs.state_db {
        let why = if error.is_empty() {
            "not reached yet"
        } else {
            error
        };
        take(40, format!("STATE_DB takes no writes: {why}"));
    }
    if !signs.followed {
        take(10, "CONFIG_DB or APPL_DB does not answer".into());
    }
    if !signs.in_step {
        take(20, "the initial synchronisation is not in Redis yet".into());
    }
    if signs.stalled > health.max_stall {
        let secs = signs.stalled.as_secs();
        let most = health.max_stall.as_secs();
        take(
            50,
            format!(
                "the main loop has stood still for {secs} s, health.max_stall_seconds is {most}"
            ),
        );
    }
    let (ports, synchronised) = (signs.ports as u64, signs.synchronised as u64);
    let rate = percent(synchronised, ports);
    let least = health.min_port_sync_rate;
    if rate < least {
        take(
            share(20.0, (least - rate) / least),
            format!(
                "{synchronised} of {ports} ports are in step ({rate:.1} %), health.min_port_sync_rate is {least} %"
            ),
        );
    }
    let Sample {
        written,
        unwritten,
        published,
        slow,
        lost: messages,
    } = signs.window;
    let success = percent(written, written + unwritten);
    let (failure, most) = (100.0 - success, health.max_failure_rate_percent);
    if failure > most {
        take(
            share(20.0, (failure - most) / (100.0 - most)),
            format!(
                "{unwritten} of {} writes failed in five minutes ({failure:.1} %), health.max_failure_rate_percent is {most} %",
                written + unwritten
            ),
        );
    }
    let least = performance.min_success_rate;
    if success < least {
        take(
            share(10.0, (least - success) / least),
            format!(
                "{success:.1} % of writes succeeded in five minutes, performance.min_success_rate is {least} %"
            ),
        );
    }
    let fast = percent(published - slow, published);
    if fast < 99.0 {
        take(
            share(10.0, (99.0 - fast) / 99.0),
            format!(
                "{slow} of {published} changes took longer than performance.max_latency_us ({} us) from kernel to Redis in five minutes",
                performance.max_latency.as_micros()
            ),
        );
    }
    if messages > 0 {
        take(
            5,
            format!(
                "{messages} link messages were lost in five minutes; each loss was answered by a dump"
            ),
        );
    }
    for trouble in &signs.disk {
        take(5, trouble.clone());
    }
    for trouble in &signs.deaf {
        take(if signs.listening == 0 { 5 } else { 2 }, trouble.clone());
    }
    let points: u32 = lost.iter().map(|lost| lost.points).sum();
    (100_u32.saturating_sub(points), lost)
}

/// Percent; none of nothing is all.
#[expect(
    clippy::cast_precision_loss,
    reason = "a percentage for people to read"
)]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        100.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}

/// At least one point, at most `most`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and 20"
)]
fn share(most: f64, part: f64) -> u32 {
    (most * part).ceil().clamp(1.0, most) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Signs {
        Signs {
            followed: true,
            in_step: true,
            ports: 514,
            synchronised: 514,
            listening: 2,
            window: Sample {
                written: 1000,
                published: 1000,
                ..Sample::default()
            },
            ..Signs::default()
        }
    }

    fn score(signs: &Signs) -> (u32, Vec<Lost>) {
        judge(signs, &Health::default(), &Performance::default())
    }

    #[test]
    fn a_daemon_that_is_well_has_100_points() {
        assert_eq!(score(&well()), (100, vec![]));
        let idle = Signs {
            window: Sample::default(),
            ports: 0,
            synchronised: 0,
            ..well()
        };
        assert_eq!(score(&idle).0, 100, "no ports and no writes is well");
    }

    #[test]
    fn every_trouble_costs_and_says_why() {
        let troubles: [(Signs, u32, &str); 10] = [
            (
                Signs {
                    state_db: Some("refused".into()),
                    ..well()
                },
                60,
                "STATE_DB takes no writes: refused",
            ),
            (
                Signs {
                    followed: false,
                    ..well()
                },
                90,
                "CONFIG_DB",
            ),
            (
                Signs {
                    in_step: false,
                    ..well()
                },
                80,
                "initial synchronisation",
            ),
            (
                Signs {
                    stalled: Duration::from_secs(11),
                    ..well()
                },
                50,
                "health.max_stall_seconds is 10",
            ),
            (
                Signs {
                    synchronised: 0,
                    ..well()
                },
                80,
                "0 of 514 ports",
            ),
            (
                Signs {
                    window: Sample {
                        written: 97,
                        unwritten: 3,
                        ..Sample::default()
                    },
                    ..well()
                },
                99,
                "min_success_rate",
            ),
            (
                Signs {
                    window: Sample {
                        published: 100,
                        slow: 50,
                        ..Sample::default()
                    },
                    ..well()
                },
                95,
                "max_latency_us (10000 us)",
            ),
            (
                Signs {
                    window: Sample {
                        lost: 3,
                        ..Sample::default()
                    },
                    ..well()
                },
                95,
                "3 link messages",
            ),
            (
                Signs {
                    disk: vec!["cannot save".into()],
                    ..well()
                },
                95,
                "cannot save",
            ),
            (
                Signs {
                    listening: 1,
                    deaf: vec!["cannot listen".into()],
                    ..well()
                },
                98,
                "cannot listen",
            ),
        ];
        for (signs, expected, reason) in troubles {
            let (score, lost) = score(&signs);
            assert_eq!(score, expected, "{lost:?}");
            assert!(lost[0].reason.contains(reason), "{lost:?}");
            assert_eq!(100 - lost.iter().map(|l| l.points).sum::<u32>(), score);
        }
    }

    #[test]
    fn it_never_goes_below_zero() {
        let signs = Signs {
            state_db: Some(String::new()),
            stalled: Duration::from_mins(1),
            synchronised: 0,
            ..Signs {
                ports: 3,
                ..Signs::default()
            }
        };
        assert_eq!(score(&signs).0, 0);
    }
}
