//! Redis' side: addresses, databases, keyspace events.

use super::Finding;
use crate::config::Config;
use crate::db::address::DbAddresses;
use crate::db::{Examined, examine as examine_databases};

/// Asks Redis.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let addresses = match DbAddresses::resolve(&config.database) {
        Ok(addresses) => addresses,
        Err(error) => {
            let follows = "the daemon does not start";
            return vec![Finding::bad("[database]", error.to_string(), follows)];
        }
    };
    let Examined {
        databases,
        keyspace_events,
    } = examine_databases(&addresses, config.database.connection_timeout).await;
    let mut findings: Vec<_> = databases
        .into_iter()
        .map(|(name, address, answer)| match answer {
            Ok(version) => Finding::good(name, format!("{address}, Redis {version}")),
            Err(error) => Finding::bad(
                name,
                format!("{address}: {error}"),
                "the daemon starts and tries again until it answers; nothing is published before",
            ),
        })
        .collect();
    let what = "keyspace events";
    findings.push(match keyspace_events {
        Some(true) => Finding::good(what, "published: CONFIG_DB is followed live"),
        Some(false) => Finding::less(
            what,
            "not published",
            "a port added to CONFIG_DB is noticed when its netdev shows up or at the next resync; \
             `redis-cli config set notify-keyspace-events AKE` helps",
        ),
        None => Finding::less(
            what,
            "Redis does not tell",
            "where it publishes none, a port added to CONFIG_DB is noticed late",
        ),
    });
    findings
}
