//! What the guests run: the test executables, and the programs that they need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::guest::Job;
use super::tree::Tree;
use crate::command::{cargo, find_program, read, run, target_dir};

/// Programs of the host that the tests call.
const PROGRAMS: [&str; 6] = ["redis-server", "setpriv", "date", "sh", "unshare", "mount"];
/// An emulated processor takes its time.
const TIMEOUT: Duration = Duration::from_secs(900);
/// Where everything that is run is in the guest.
const BIN: &str = "/bin";
/// The crates whose integration tests concern the kernel.
const PACKAGES: [&str; 2] = ["portsyncd", "portsyncd-tests"];

/// Test executables on the host.
pub(super) struct Suite {
    daemon: PathBuf,
    tests: Vec<(String, PathBuf)>,
}

impl Suite {
    /// Builds the daemon and the tests; only `wanted` ones if any are named.
    pub(super) fn build(root: &Path, wanted: &[String]) -> Result<Self> {
        run(cargo(root).args(["build", "--release", "--locked", "--package", "portsyncd"]))?;
        let mut build = cargo(root);
        build.args(["test", "--no-run", "--locked", "--message-format=json"]);
        for package in PACKAGES {
            build.args(["--package", package]);
        }
        build.args(["--test", "*"]).stderr(Stdio::inherit());
        let messages = read(&mut build)?;
        let mut tests: Vec<_> = messages
            .lines()
            .filter_map(|line| executable(&serde_json::from_str(line).ok()?))
            .filter(|(name, _)| wanted.is_empty() || wanted.contains(name))
            .collect();
        tests.sort();
        let twice = tests.windows(2).find(|pair| pair[0].0 == pair[1].0);
        ensure!(
            twice.is_none(),
            "two test executables of one name: {twice:?}"
        );
        let daemon = target_dir(root).join("release/portsyncd");
        ensure!(daemon.is_file(), "{} is not there", daemon.display());
        Ok(Self { daemon, tests })
    }

    /// A file system with all of it.
    pub(super) fn tree(&self) -> Result<Tree> {
        let mut tree = programs(&self.daemon)?;
        for (name, program) in &self.tests {
            tree.program(&bin(name), program)?;
        }
        Ok(tree)
    }

    /// A job for each test executable.
    pub(super) fn jobs(&self, filter: Option<&str>, verbose: bool) -> Vec<Job> {
        let mut arguments: Vec<String> = filter.map(str::to_owned).into_iter().collect();
        arguments.push("--test-threads=2".to_owned());
        if verbose {
            arguments.push("--nocapture".to_owned());
        }
        let jobs = self.tests.iter().map(|(name, _)| Job {
            name: name.clone(),
            program: bin(name),
            arguments: arguments.clone(),
            environment: environment(),
            timeout: TIMEOUT,
        });
        jobs.collect()
    }
}

/// A file system with the daemon and the programs that tests and measurements call.
pub(crate) fn programs(daemon: &Path) -> Result<Tree> {
    let mut tree = Tree::new()?;
    tree.program(&bin("portsyncd"), daemon)?;
    for name in PROGRAMS {
        let program = find_program(name)
            .with_context(|| format!("{name} is missing: run `cargo xtask setup`"))?;
        tree.program(&bin(name), &program)?;
    }
    Ok(tree)
}

/// What every job finds in its environment.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let environment = [
        ("PATH", BIN.to_owned()),
        ("HOME", "/root".to_owned()),
        ("PORTSYNCD_BIN", format!("{BIN}/portsyncd")),
        // Both ways attach on all three kernels: one that does not is a failure.
        ("PORTSYNCD_CARRIER_HOOKS", "fentry kprobe".to_owned()),
    ];
    environment
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

fn bin(name: &str) -> PathBuf {
    Path::new(BIN).join(name)
}

/// The name and the place of a test executable, if cargo's message is about one.
fn executable(message: &Value) -> Option<(String, PathBuf)> {
    let is_test = message["reason"] == "compiler-artifact"
        && message["target"]["kind"] == serde_json::json!(["test"]);
    let file = message["executable"].as_str().filter(|_| is_test)?;
    Some((message["target"]["name"].as_str()?.to_owned(), file.into()))
}
