//! Every key, field and channel of SONiC's databases that the daemon touches.
//!
//! The names are those of sonic-swss-common `common/schema.h`.

/// `PORT` in CONFIG_DB: the configured ports.
pub(super) const CONFIG_PORT_TABLE: &str = "PORT";
/// `PORT_TABLE` in APPL_DB (as a ProducerStateTable) and in STATE_DB.
pub(super) const PORT_TABLE: &str = "PORT_TABLE";
/// The row of CONFIG_DB that holds the daemon's log level.
pub(super) const LOGGER_ROW: (&str, &str) = ("LOGGER", "portsyncd");
/// The row of CONFIG_DB that tells `switch_type`.
pub(super) const METADATA_ROW: (&str, &str) = ("DEVICE_METADATA", "localhost");
/// The rows of STATE_DB that enable warm restart, by system or by container.
pub(super) const WARM_ENABLE_TABLE: &str = "WARM_RESTART_ENABLE_TABLE";
/// STATE_DB's account of warm restarts, a row per daemon.
pub(super) const WARM_TABLE: &str = "WARM_RESTART_TABLE";
/// The daemon's name in rows that are kept per daemon.
pub(super) const DAEMON: &str = "portsyncd";

/// CONFIG_DB's key that is "1" once it is filled (sonic-utilities, `config reload`).
pub(super) const CONFIG_FILLED: &str = "CONFIG_DB_INITIALIZED";
/// The pseudo port after which orchagent creates ports.
pub(super) const PORT_CONFIG_DONE: &str = "PortConfigDone";
/// The pseudo port that opens orchagent's gate for everything else.
pub(super) const PORT_INIT_DONE: &str = "PortInitDone";

/// The field by which a STATE_DB row is known to be portsyncd's.
pub(super) const OPER_STATUS: &str = "netdev_oper_status";
/// A port's administrative state.
pub(super) const ADMIN_STATUS: &str = "admin_status";

/// `<table><separator><key>`.
#[must_use]
pub(super) fn row(table: &str, separator: char, key: &str) -> String {
    format!("{table}{separator}{key}")
}
