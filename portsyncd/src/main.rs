//! portsyncd: keeps a SONiC switch's databases in step with its ports.
//!
//! The order of a life: the command line, the configuration (nothing is touched
//! before it is known to be good), then a question to a running daemon ([`ask`]) or to the host
//! ([`doctor`]), or logging and the daemon's own life ([`daemon::run`]).

#![forbid(unsafe_code)]

use portsyncd::cli::{Cli, Command};
use portsyncd::config::Config;
use portsyncd::exit::Exit;
use portsyncd::{ask, daemon, doctor, logging, privileges};

fn main() -> Exit {
    exit_70_on_panic();
    let cli = match Cli::from_args() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let config = match Config::load(cli.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            logging::complain(&error);
            return Exit::Usage;
        }
    };
    if config.holds_secrets()
        && let Err(error) = privileges::hide_memory()
    {
        logging::complain(&error);
        return Exit::NoPermission;
    }
    if cli.validate_config {
        println!("Configuration valid");
        return Exit::Ok;
    }
    match &cli.command {
        Some(Command::Status(asking)) => return ask::status(asking, &config),
        Some(Command::Ports { asking, name }) => {
            return ask::ports(asking, name.as_deref(), &config);
        }
        Some(Command::Watch(asking)) => return ask::watch(asking, &config),
        Some(Command::Doctor) => return doctor::run(&config),
        None => {}
    }
    let log = match logging::init(cli.log_level) {
        Ok(log) => log,
        Err(error) => {
            logging::complain(&error);
            return Exit::Usage;
        }
    };
    daemon::run(config, cli.config, log)
}

/// A panic is a fault of the daemon's: it ends with `EX_SOFTWARE`, after the
/// usual message, so that whoever restarts it can tell.
fn exit_70_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        std::process::exit(Exit::Software.code().into());
    }));
}
