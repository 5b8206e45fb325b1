//! The daemon's life: what is opened in which order, and how it ends.
//!
//! Here the parts are put together; none of them knows another. The road itself
//! is [`road`]; beside it stand the databases' [`Follower`] and, later, what
//! serves operators.

mod hook;
mod latency;
mod notify;
mod pace;
mod port_log;
mod reload;
mod resync;
mod road;
mod settling;
mod signals;
mod tally;
mod vigil;
mod watchdog;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tracing::{error, info};

use crate::cli;
use crate::config::{self, Config, ExistingNetdevs};
use crate::db::address::DbAddresses;
use crate::db::{Follower, StateWriter};
use crate::exit::Exit;
use crate::link::netns::Netns;
use crate::link::{self, Choice, LinkError};
use crate::logging::{FollowedLevel, LogHandle};
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
    portsyncd_sys::use_one_arena();
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
    let ended = runtime.block_on(live(config, config_file, addresses, log));
    // A dump may sit in the kernel's queue for RTNL; nobody needs its end.
    runtime.shutdown_background();
    match ended {
        Ok(()) => Exit::Ok,
        Err(error) => {
            let exit = if error.is_forbidden() {
                Exit::NoPermission
            } else {
                Exit::Unavailable
            };
            error!(%error, exit = exit.code(), "stopping: {}", exit.meaning());
            exit
        }
    }
}

async fn live(
    config: Config,
    config_file: Option<PathBuf>,
    addresses: Arc<DbAddresses>,
    log: LogHandle,
) -> Result<(), LinkError> {
    let signals = Signals::new().map_err(|source| LinkError::Poll {
        what: "signals",
        source,
    })?;
    let netns = Arc::new(Netns::open(
        config.link.netns.as_deref().unwrap_or_default(),
    )?);
    // The kernel verifies the eBPF program for milliseconds. Where it is insisted
    // on, the databases are read and the configuration is pushed meanwhile, which
    // may be repeated; `auto` begins on a plain socket and changes over once in step.
    let auto = config.link.source == config::Source::Auto;
    let opening = (!auto).then(|| open_source(config.link.clone(), Arc::clone(&netns)));

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
    .pushing_on_request(config.link.existing_netdevs == ExistingNetdevs::Replace);
    let writer = StateWriter::new(
        Arc::new(addresses.state.clone()),
        database.state_table_alias.as_deref(),
        database.connection_timeout,
        database.retry_interval,
    );
    tokio::spawn(follower.run());
    info!(version = cli::VERSION, state_db = %addresses.state, "portsyncd started");
    let source = match opening {
        Some(opening) => {
            let choice = opened(opening.await)?;
            say_source(&choice);
            choice.source
        }
        None => link::plain(&config.link, &netns)?,
    };
    Road::new(RoadParts {
        source,
        provisional: auto,
        netns,
        table: PortTable::new(NameFilter::new(config.link.extra_ports.clone())),
        writer,
        db_events,
        db_requests,
        // What existed before may only be judged once the databases have said
        // whether this start is cold.
        watch_at_once: config.link.existing_netdevs == ExistingNetdevs::Adopt,
        reloader: Reloader::new(config, config_file),
    })
    .run(signals)
    .await
}

/// What a thread that opens a source came to.
fn opened(joined: Result<Result<Choice, LinkError>, JoinError>) -> Result<Choice, LinkError> {
    joined.unwrap_or_else(|error| {
        Err(LinkError::Poll {
            what: "link source",
            source: std::io::Error::other(error),
        })
    })
}

fn say_source(choice: &Choice) {
    info!(
        source = choice.source.as_str(),
        reason = choice.reason,
        "link source"
    );
}

fn open_source(link: config::Link, netns: Arc<Netns>) -> JoinHandle<Result<Choice, LinkError>> {
    tokio::task::spawn_blocking(move || link::choose(&link, &netns))
}
