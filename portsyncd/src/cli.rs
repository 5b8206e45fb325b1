//! The command line. Without a subcommand it is the daemon, in the foreground.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::ask::Asking;
use crate::exit::Exit;
use crate::logging::LogLevel;

/// The version and the revision it was built from, as `--version` prints it after the name.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("PORTSYNCD_REVISION"),
    ")"
);

/// The revision it was built from: the short hash of git's HEAD, or `unknown`.
pub const REVISION: &str = env!("PORTSYNCD_REVISION");

/// Keeps a SONiC switch's Redis databases in step with its ports' netdevs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Parser)]
#[command(name = "portsyncd", version = VERSION)]
pub struct Cli {
    /// Configuration file [default: /etc/sonic/portsyncd.conf, or built-in defaults without it]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// ERROR, WARN, NOTICE, INFO or DEBUG [default: NOTICE]; beats `PORTSYNCD_LOG_LEVEL`
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,

    /// Check the configuration file, say what is wrong with it, and exit
    #[arg(long)]
    pub validate_config: bool,

    /// What to do instead of being the daemon.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of being the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Show a running daemon's health, link source, databases, counts and latencies
    Status(Asking),
    /// Show the ports of a running daemon, or one port with its journal
    Ports {
        /// Where it is asked.
        #[command(flatten)]
        asking: Asking,
        /// The port
        name: Option<String>,
    },
    /// Follow a running daemon's ports live; into a pipe or a file, a line for each change
    Watch(Asking),
    /// Show what this host allows and what follows from it
    Doctor,
}

/// A command line that is not to be run: there is text to print and a code to exit with.
#[derive(Debug)]
pub struct Ended {
    error: clap::Error,
}

impl Cli {
    /// Reads a command line; its first word is the program's name.
    ///
    /// # Errors
    /// `--help` and `--version`, which end well, and every usage error.
    pub fn from_words<W>(words: impl IntoIterator<Item = W>) -> Result<Self, Ended>
    where
        W: Into<OsString> + Clone,
    {
        Self::try_parse_from(words).map_err(|error| Ended { error })
    }

    /// Reads this process' command line; what ends it is printed.
    ///
    /// # Errors
    /// The code to exit with: [`Exit::Ok`] after `--help` and `--version`, else [`Exit::Usage`].
    pub fn from_args() -> Result<Self, Exit> {
        Self::from_words(std::env::args_os()).map_err(|ended| ended.print())
    }
}

impl Ended {
    /// 0 for what was asked for, 64 for a usage error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Ok
        }
    }

    /// Prints help or version to stdout, a usage error to stderr. Gives the code to exit with,
    /// which is not 0 if there was no one to print to.
    #[must_use]
    pub fn print(&self) -> Exit {
        match (self.error.print(), self.exit()) {
            (Err(_), Exit::Ok) => Exit::Software,
            (_, exit) => exit,
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(words: &[&str]) -> (Exit, String) {
        let words = ["portsyncd"].iter().chain(words);
        let ended = Cli::from_words(words).expect_err("not to be run");
        (ended.exit(), ended.to_string())
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn no_words_is_the_daemon() {
        assert_eq!(
            Cli::from_words(["portsyncd"]).expect("good"),
            Cli::default()
        );
    }

    #[test]
    fn every_option_is_read() {
        let cli = Cli::from_words([
            "portsyncd",
            "--config",
            "/tmp/x.conf",
            "--log-level=debug",
            "--validate-config",
        ]);
        let expected = Cli {
            config: Some(PathBuf::from("/tmp/x.conf")),
            log_level: Some(LogLevel::Debug),
            validate_config: true,
            command: None,
        };
        assert_eq!(cli.expect("good"), expected);
    }

    #[test]
    fn version_is_name_version_and_revision() {
        let (exit, text) = ended(&["--version"]);
        assert_eq!(exit, Exit::Ok);
        assert_eq!(text.trim_end(), format!("portsyncd {VERSION}"));
        assert!(VERSION.ends_with(&format!(" ({REVISION})")));
    }

    #[test]
    fn usage_errors_are_64_and_name_what_is_wrong() {
        for (words, named) in [
            (&["--log-level", "loud"][..], "loud"),
            (&["--log-level", "loud"], "NOTICE"),
            (&["--conifg", "x"], "--config"),
            (&["statsu"], "statsu"),
            (&["--config"], "--config"),
        ] {
            let (exit, text) = ended(words);
            assert_eq!(exit, Exit::Usage, "{words:?}");
            assert!(text.contains(named), "{text}");
        }
        assert_eq!(ended(&["--help"]).0, Exit::Ok);
    }
}
