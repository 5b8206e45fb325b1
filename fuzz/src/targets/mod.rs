//! What each target runs, and what must hold.

pub(crate) mod btf;
pub(crate) mod config_db_row;
pub(crate) mod configuration;
pub(crate) mod database_config;
pub(crate) mod http;
pub(crate) mod link_message;
pub(crate) mod netlink_datagram;
pub(crate) mod redis;
mod reference;
pub(crate) mod saved_files;
