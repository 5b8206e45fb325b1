//! The daemon's life: what is opened in which order, and how it ends.
//!
//! Here the parts are put together; none of them knows another. The road itself
//! is [`road`]; beside it stand the databases' [`Follower`] and, later, what
//! serves operators.

mod hook;
pub(crate) mod latency;
mod notify;
mod pace;
mod port_log;
mod reload;
mod resync;
mod road;
mod settling;
mod signals;
mod stages;
mod tally;
mod vigil;
mod watchdog;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::mpsc;
use tracing::{error, info};

use crate::cli;
use crate::config::{self, Config, ExistingNetdevs};
use crate::db::address::DbAddresses;
use crate::db::{Follower, StateWriter};
use crate::exit::Exit;
use crate::link::gate::Gate;
use crate::link::{self, Choice, LinkError};
use crate::logging::{FollowedLevel, LogHandle};
use crate::observe::{self, Meters, Teller, Told};
use crate::privileges;
use crate::table::{NameFilter, PortTable};

use reload::Reloader;
use road::{Road, RoadParts};
use signals::Signals;

/// Events of the databases that may wait for the road.
const DB_EVENTS_AHEAD: usize = 64;
/// Requests of the road that may wait for the databases; questions beyond it are
/// asked again with the netdev's next message.
const DB_REQUESTS_AHEAD: usize = 1024;

/// Runs the daemon in the foreground until a signal, or an error, ends it.
#[must_use]
pub fn run(config: Config, config_file: Option<PathBuf>, log: LogHandle) -> Exit {
    let addresses = match DbAddresses::resolve(&config.database) {
        Ok(addresses) => Arc::new(addresses),
        Err(error) => {
            error!(%error, "configuration refused");
            return Exit::Usage;
        }
    };
    portsyncd_sys::keep_heap_small();
    let followed = Arc::new(AtomicBool::new(false));
    let meters = match Meters::new(Arc::clone(&followed)) {
        Ok(meters) => Arc::new(meters),
        Err(error) => {
            error!(%error, "cannot define the metrics");
            return Exit::Software;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "cannot start the runtime");
            return Exit::Software;
        }
    };
    // The gate's work may need the reactor.
    let inside = runtime.enter();
    let gate = match Gate::start(config.link.netns.as_deref().unwrap_or_default()) {
        Ok(gate) => Arc::new(gate),
        Err(error) => return stopping(&error),
    };
    // Before there is any other thread: from here on the gate alone is privileged.
    if let Err(error) = privileges::give_up() {
        error!(%error, "capabilities not given up");
    }
    drop(inside);
    let (teller, observing) = observe::start(&config, meters);
    let life = Life {
        config,
        config_file,
        gate,
        addresses,
        log,
        teller,
        followed,
    };
    let ended = runtime.block_on(life.live());
    // A dump may sit in the kernel's queue for RTNL; nobody needs its end.
    runtime.shutdown_background();
    observing.finish();
    match ended {
        Ok(()) => Exit::Ok,
        Err(error) => stopping(&error),
    }
}

/// Says why the daemon ends, and how.
fn stopping(error: &LinkError) -> Exit {
    let exit = if error.is_forbidden() {
        Exit::NoPermission
    } else {
        Exit::Unavailable
    };
    error!(%error, exit = exit.code(), "stopping: {}", exit.meaning());
    exit
}

/// What a life begins with.
struct Life {
    config: Config,
    config_file: Option<PathBuf>,
    gate: Arc<Gate>,
    addresses: Arc<DbAddresses>,
    log: LogHandle,
    teller: Teller,
    /// True while CONFIG_DB and APPL_DB answer.
    followed: Arc<AtomicBool>,
}

impl Life {
    async fn live(self) -> Result<(), LinkError> {
        let Self {
            config,
            config_file,
            gate,
            addresses,
            log,
            mut teller,
            followed,
        } = self;
        let signals = Signals::new().map_err(|source| LinkError::Poll {
            what: "signals",
            source,
        })?;
        // The kernel verifies the eBPF program for milliseconds. Where it is insisted on,
        // the databases are read and the configuration is pushed meanwhile, which may be
        // repeated; `auto` begins on a plain socket and changes over once in step.
        let auto = config.link.source == config::Source::Auto;
        let link = config.link.clone();
        let opening = if auto {
            gate.ask(move || link::plain(&link))
        } else {
            gate.ask(move || link::choose(&link))
        };

        let database = &config.database;
        let (events, db_events) = mpsc::channel(DB_EVENTS_AHEAD);
        let (db_requests, requests) = mpsc::channel(DB_REQUESTS_AHEAD);
        let follower = Follower::new(
            Arc::clone(&addresses),
            database.connection_timeout,
            database.retry_interval,
            events,
            requests,
            FollowedLevel::new(log),
        )
        .telling(followed)
        .pushing_on_request(config.link.existing_netdevs == ExistingNetdevs::Replace);
        let writer = StateWriter::new(
            Arc::new(addresses.state.clone()),
            database.state_table_alias.as_deref(),
            database.connection_timeout,
            database.retry_interval,
        );
        tokio::spawn(follower.run());
        info!(version = cli::VERSION, state_db = %addresses.state, "portsyncd started");
        let choice = opening.await.unwrap_or(Err(LinkError::GateClosed))?;
        if !auto {
            say_source(&choice);
        }
        teller.tell(told_source(&choice));
        Road::new(RoadParts {
            source: choice.source,
            provisional: auto,
            gate,
            table: PortTable::new(NameFilter::new(config.link.extra_ports.clone())),
            writer,
            db_events,
            db_requests,
            // What existed before may only be judged once the databases have said
            // whether this start is cold.
            watch_at_once: config.link.existing_netdevs == ExistingNetdevs::Adopt,
            reloader: Reloader::new(config, config_file),
            teller,
        })
        .run(signals)
        .await
    }
}

fn say_source(choice: &Choice) {
    info!(
        source = choice.source.as_str(),
        reason = choice.reason,
        "link source"
    );
}

fn told_source(choice: &Choice) -> Told {
    Told::Source {
        source: choice.source.as_str(),
        reason: choice.reason.clone(),
    }
}
