//! Network namespaces and taps need root. Without it the show is played through
//! sudo, else in a user namespace, where the daemon finds that it may not load
//! BPF programs and takes the netlink source.

use std::io::{IsTerminal, stdin};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Args;

/// Plays the show in a child process with the privileges that it needs.
pub(super) fn play_elsewhere(daemon: &Path, args: &Args) -> Result<()> {
    let xtask = std::env::current_exe().context("cannot find this executable")?;
    let mut command = if sudo_works() {
        Command::new("sudo")
    } else {
        println!("Without root: a user namespace, in which the kernel allows no BPF.");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user"]);
        command
    };
    command
        .arg("--")
        .arg(xtask)
        .arg("demo")
        .arg("--daemon")
        .arg(daemon);
    if args.keep {
        command.arg("--keep");
    }
    if args.plain {
        command.arg("--plain");
    }
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !status.success() {
        bail!(
            "the demo ended with {status}; it needs root, sudo, or a kernel that lets users make \
             user namespaces (sysctl kernel.unprivileged_userns_clone=1)"
        );
    }
    Ok(())
}

/// Whether sudo lets us, asking for the password only where somebody can type it.
fn sudo_works() -> bool {
    let ask = |arguments: &[&str]| {
        let mut command = Command::new("sudo");
        command.args(arguments).stdout(Stdio::null());
        if arguments.contains(&"--non-interactive") {
            command.stderr(Stdio::null());
        }
        command.status().is_ok_and(|status| status.success())
    };
    if ask(&["--non-interactive", "true"]) {
        return true;
    }
    stdin().is_terminal() && {
        println!("Network namespaces need root; sudo may ask for your password.");
        ask(&["--validate"])
    }
}
