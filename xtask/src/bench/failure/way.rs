//! The ways to learn of a lost carrier, each by itself.

use std::time::Duration;

use anyhow::{Context, Result};
use portsyncd_tests::{Daemon, DaemonConfig};

use crate::bench::PATIENCE;
use crate::bench::subject::{Live, Subject, wait_for_init_done};
use crate::bench::world::World;

/// Who learns of lost carriers, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// No daemon at all: the kernel and its listeners.
    Nobody,
    /// The daemon, in the kernel's own time.
    Off,
    /// `carrier_hook`.
    Hook,
    /// `carrier_hook` and `linkwatch_sync`.
    HookAndSync,
    /// `carrier_sampling`.
    Sampling,
    /// `carrier_sampling` and `linkwatch_sync`: the default where no hook attaches.
    SamplingAndSync,
    /// The daemon of `--against`.
    Other,
}

/// What runs, if anything does.
pub(super) enum Started {
    Nobody,
    Ours(Daemon),
    Other(Live),
}

/// What the daemon says it did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    /// Messages lost in the ring, overruns, messages that could not be read.
    pub(super) uncounted: u64,
    /// Dumps but for the one of the start.
    pub(super) dumps: f64,
    /// Ports that the kernel settled on request.
    pub(super) settled: f64,
}

impl Way {
    /// The order in which they are measured.
    pub(super) fn all(world: &World) -> Vec<Self> {
        let other = world.against.as_ref().map(|_| Self::Other);
        [
            Self::Nobody,
            Self::Off,
            Self::Hook,
            Self::HookAndSync,
            Self::Sampling,
            Self::SamplingAndSync,
        ]
        .into_iter()
        .chain(other)
        .collect()
    }

    /// Its name in the table.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "no daemon",
            Self::Off => "all off",
            Self::Hook => "hook",
            Self::HookAndSync => "hook + sync",
            Self::Sampling => "sampling",
            Self::SamplingAndSync => "sampling + sync",
            Self::Other => "the other daemon",
        }
    }

    /// Starts the daemon and waits until every port is published; none where the
    /// way is closed.
    pub(super) fn start(self, world: &World) -> Result<Option<Started>> {
        let (hook, sampling, sync) = match self {
            Self::Nobody => return Ok(Some(Started::Nobody)),
            Self::Other => return Ok(Some(Started::Other(Subject::Other.start(world)?))),
            Self::Off => ("off", "off", "off"),
            Self::Hook => ("auto", "off", "off"),
            Self::HookAndSync => ("auto", "off", "auto"),
            Self::Sampling => ("off", "auto", "off"),
            Self::SamplingAndSync => ("off", "auto", "auto"),
        };
        world.clear()?;
        let mut events = world.done_events()?;
        let socket = world.bed.redis().socket().display().to_string();
        let config = DaemonConfig::empty()
            .set("database.redis_socket", socket)
            .set("link.carrier_hook", hook)
            .set("link.carrier_sampling", sampling)
            .set("link.linkwatch_sync", sync)
            .binary(&world.daemon);
        let daemon = world.bed.start(config)?;
        wait_for_init_done(&mut events)?;
        world.bed.oracle()?.converge(PATIENCE)?;
        let said = daemon.log().wait_for("carrier_hook=", PATIENCE)?;
        if hook == "auto" && said.contains("carrier_hook=\"off\"") {
            eprintln!("bench: no carrier hook here: {said}");
            daemon.stop()?;
            return Ok(None);
        }
        Ok(Some(Started::Ours(daemon)))
    }
}

impl Started {
    /// Whether it is one of ours.
    pub(super) fn is_daemon(&self) -> bool {
        matches!(self, Self::Ours(_))
    }

    /// The daemon's process id.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Nobody => None,
            Self::Ours(daemon) => Some(daemon.pid()),
            Self::Other(live) => Some(live.pid()),
        }
    }

    /// Stops it and reads its last line; another daemon says nothing of itself.
    pub(super) fn stop(self) -> Result<Account> {
        let daemon = match self {
            Self::Ours(daemon) => daemon,
            Self::Nobody => return Ok(Account::default()),
            Self::Other(live) => {
                live.stop()?;
                return Ok(Account::default());
            }
        };
        let log = daemon.log().clone();
        daemon.stop()?;
        let line = log.wait_for("portsyncd stopped", Duration::from_secs(1))?;
        let number = |name: &str| -> Result<u32> {
            let value = line
                .split(' ')
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            Ok(value
                .with_context(|| format!("no {name} in {line:?}"))?
                .parse()?)
        };
        Ok(Account {
            uncounted: u64::from(
                number("ring_lost")?
                    + number("overruns")?
                    + number("malformed")?
                    + number("hook_missed")?,
            ),
            dumps: f64::from((number("resyncs")? + number("partial_dumps")?).saturating_sub(1)),
            settled: f64::from(number("settled")?),
        })
    }
}
