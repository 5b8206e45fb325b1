//! Redis: the only part of the daemon that knows its keys, scripts and addresses.
//!
//! Two parts stand side by side. The [`StateWriter`] is the hot path: changes of
//! the port table go through it into STATE_DB. The [`Follower`] does everything
//! else: how the daemon starts, CONFIG_DB followed live, APPL_DB's signals, and
//! starting again when somebody empties the databases.

pub mod address;
mod appl_db;
mod backoff;
mod batch;
mod config_db;
mod connect;
mod error;
mod event;
mod examine;
mod follower;
#[cfg(feature = "internals")]
pub mod internals;
mod keys;
mod keyspace;
mod logger_row;
mod remedy;
mod resp;
mod sentry;
pub mod sonic_db_config;
mod state_row;
mod state_rows;
mod state_writer;
mod stream;
mod tls;
mod warm_restart;

pub(crate) use batch::Stamps;
pub use error::DbError;
pub use event::{Boot, DbEvent, DbRequest};
pub use examine::{Examined, examine};
pub use follower::Follower;
pub use state_writer::{StateWriter, WriterEvent};
pub use warm_restart::StartKind;
