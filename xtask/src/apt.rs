//! apt on lists, sources and a cache of its own, so that neither root nor the machine's
//! own apt is touched. The mirrors are the machine's own.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::command::{read, run};

/// apt, with everything that it keeps in a directory of ours.
pub(crate) struct Apt {
    directory: PathBuf,
    architecture: &'static str,
}

impl Apt {
    /// Fetches the lists of a suite and of its `extras` ("-backports"), for packages of
    /// `architecture`, and keeps them below `directory`. `updated`: Debian still has what
    /// it lists of the suite's security updates.
    pub(crate) fn new(
        directory: &Path,
        suite: &str,
        extras: &[&str],
        updated: bool,
        architecture: &'static str,
    ) -> Result<Self> {
        let apt = Self {
            directory: directory.join(suite),
            architecture,
        };
        fs::create_dir_all(apt.directory.join("lists/partial"))?;
        fs::create_dir_all(apt.directory.join("cache/archives/partial"))?;
        let keyring = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
        let signed = if keyring.exists() {
            format!("[signed-by={}] ", keyring.display())
        } else {
            String::new()
        };
        let mut sources = String::new();
        for mirror in mirrors()? {
            // Where Debian keeps its security updates is a mirror of its own.
            let security = mirror.trim_end_matches('/').ends_with("-security");
            let suite = match (security, updated) {
                (false, _) => suite.to_owned(),
                (true, true) => format!("{suite}-security"),
                (true, false) => continue,
            };
            writeln!(sources, "deb {signed}{mirror} {suite} main")?;
            for extra in extras.iter().filter(|_| !security) {
                writeln!(sources, "deb {signed}{mirror} {suite}{extra} main")?;
            }
        }
        ensure!(
            !sources.is_empty(),
            "apt has no mirror of Debian's main component here"
        );
        fs::write(apt.directory.join("sources.list"), sources)?;
        run(apt.command("apt-get").args(["--quiet=2", "update"]))?;
        Ok(apt)
    }

    /// `program`, one of apt's, on these lists.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (key, value) in [
            ("Dir::Etc::sourcelist", self.directory.join("sources.list")),
            ("Dir::Etc::sourceparts", PathBuf::from("/dev/null")),
            ("Dir::State::lists", self.directory.join("lists")),
            ("Dir::Cache", self.directory.join("cache")),
            ("APT::Sandbox::User", PathBuf::from("root")),
            ("APT::Architecture", PathBuf::from(self.architecture)),
        ] {
            command.arg("-o").arg(format!("{key}={}", value.display()));
        }
        command
    }
}

/// The mirrors of Debian's main component that the machine's own apt uses.
pub(crate) fn mirrors() -> Result<Vec<String>> {
    let targets = read(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(COMPONENT) $(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    let mut mirrors: Vec<String> = targets
        .lines()
        .filter_map(|line| line.strip_prefix("Debian main "))
        .map(str::to_owned)
        .collect();
    mirrors.sort();
    mirrors.dedup();
    Ok(mirrors)
}

/// The code name of this machine's Debian, if it is one.
pub(crate) fn own_suite() -> Option<String> {
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let mut lines = release.lines();
    if !lines.clone().any(|line| line == "ID=debian") {
        return None;
    }
    lines
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(str::to_owned)
}
