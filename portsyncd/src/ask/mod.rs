//! The command line's questions to a running daemon: `portsyncd status`, `portsyncd ports`,
//! `portsyncd watch`.
//!
//! They go over the metrics listener and show what [`crate::report`] says. Nothing here touches the
//! kernel or Redis, or needs a privilege.

mod client;
mod endpoint;
mod pinned;
mod ports;
mod status;
mod table;
mod watch;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::exit::Exit;
use crate::report::{PortDetail, PortList, Status};
use client::Client;

/// Where the daemon is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Asking {
    /// Print the JSON as the daemon gives it
    #[arg(long)]
    pub json: bool,

    /// The daemon's listener, such as <http://127.0.0.1:9090> [default: the configuration's]
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,

    /// Whose signature on the listener's certificate is trusted [default: with the configuration's
    /// listener its own certificate, else the system's CAs]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// A certificate to show to a listener that asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,

    /// Its key
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum AskError {
    /// The command line is to blame.
    #[error("{0}")]
    Usage(String),
    /// The daemon cannot be reached, or does not answer as it should.
    #[error("{0}")]
    Unreachable(String),
}

/// `portsyncd status`.
#[must_use]
pub fn status(asking: &Asking, config: &Config) -> Exit {
    end(show::<Status>(asking, config, "/status", |status| {
        status::render(&status)
    }))
}

/// `portsyncd ports`, of all ports or of one.
#[must_use]
pub fn ports(asking: &Asking, name: Option<&str>, config: &Config) -> Exit {
    end(match name {
        None => show::<PortList>(asking, config, "/ports", |list| ports::render(&list)),
        Some(name) => {
            let path = format!("/ports/{}", client::escape(name));
            show::<PortDetail>(asking, config, &path, |port| ports::render_one(&port))
        }
    })
}

/// `portsyncd watch`, until the user has seen enough.
#[must_use]
pub fn watch(asking: &Asking, config: &Config) -> Exit {
    end(watch::run(asking, config).map(|()| String::new()))
}

fn show<T: DeserializeOwned + Serialize>(
    asking: &Asking,
    config: &Config,
    path: &str,
    render: impl FnOnce(T) -> String,
) -> Result<String, AskError> {
    let answer = Client::new(asking, config)?.get(path)?;
    if asking.json {
        return Ok(answer);
    }
    Ok(render(read(path, &answer)?))
}

fn read<T: DeserializeOwned>(path: &str, answer: &str) -> Result<T, AskError> {
    serde_json::from_str(answer).map_err(|error| {
        AskError::Unreachable(format!(
            "what answers is no portsyncd of this version: {path}: {error}"
        ))
    })
}

fn end(shown: Result<String, AskError>) -> Exit {
    match shown {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("portsyncd: {error}");
            match error {
                AskError::Usage(_) => Exit::Usage,
                AskError::Unreachable(_) => Exit::Unavailable,
            }
        }
    }
}

/// Prints to stdout. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Exit {
    let mut out = io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Software,
        _ => Exit::Ok,
    }
}
