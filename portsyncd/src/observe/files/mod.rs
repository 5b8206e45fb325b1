//! What is kept on disk: `port_state.json` and `metrics.json`, each with its backups.
//!
//! Written off the road and off the observer's own thread. Trouble with the disk is said once, costs
//! health, and saving resumes by itself.

#[cfg(feature = "internals")]
pub(super) mod internals;
mod keeper;
mod replace;
mod sealed;
mod state;
mod vault;

#[cfg(test)]
mod tests;

pub(super) use keeper::{Keepers, metrics_bytes, restore};
