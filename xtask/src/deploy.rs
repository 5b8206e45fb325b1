//! `cargo xtask test-deploy`: the deployment guide, followed to the letter.
//!
//! A Debian with systemd and Redis boots in QEMU and plays the switch
//! (`deploy/switch.sh`). Every command of `README_DEPLOYMENT.md` is run in it, in the
//! guide's order, starting with the installation of the package that `cargo xtask
//! dist` makes, and what the guide says it prints is compared with what it prints.
//! Then the checks of `deploy/checks/` look at what an operator has to rely on.

mod base;
pub(crate) mod guide;
mod report;
mod script;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::command::{run as run_command, target_dir, workspace_root};
use crate::dist::{self, Made};
use crate::vm::console::{Guest, HARDWARE};
use crate::vm::guest::{Job, jobs_file};
use crate::vm::qemu::Qemu;
use guide::Guide;
use report::Report;
use script::Script;

/// `cargo xtask test-deploy`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave the guest's disk behind, and say how to boot it
    #[arg(long)]
    keep: bool,
    /// Leave out the guide's blocks that have this in them; may be repeated
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    skip: Vec<String>,
    /// Only the guide, without the checks
    #[arg(long)]
    guide_only: bool,
    /// Only what needs no guest: the guide's form, its configurations, the package
    #[arg(long)]
    short: bool,
}

/// What plays the switch: databases, ports, a swss.service.
const SWITCH: &str = include_str!("deploy/switch.sh");
/// What the guide's commands do not show, in the order in which it is run.
const CHECKS: [(&str, &str); 9] = [
    ("hardening", include_str!("deploy/checks/hardening.sh")),
    (
        "capabilities",
        include_str!("deploy/checks/capabilities.sh"),
    ),
    ("hook", include_str!("deploy/checks/hook.sh")),
    ("kprobe", include_str!("deploy/checks/kprobe.sh")),
    ("crash", include_str!("deploy/checks/crash.sh")),
    ("watchdog", include_str!("deploy/checks/watchdog.sh")),
    ("bad-config", include_str!("deploy/checks/bad-config.sh")),
    ("asic", include_str!("deploy/checks/asic.sh")),
    (
        "upgrade-and-purge",
        include_str!("deploy/checks/upgrade-and-purge.sh"),
    ),
];

/// Where the guest unpacks what it is given; the guide's commands start there.
pub(crate) const DIRECTORY: &str = "/root/portsyncd";
/// An emulated processor takes its time.
const PATIENCE: Duration = Duration::from_secs(240);

/// Follows the guide; fails if anything in it is not so.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.short {
        return without_a_guest();
    }
    let root = workspace_root()?;
    let guide = Guide::read(&root)?;
    let made = dist::for_this_machine()?;
    let base = base::provide(&target_dir(&root).join("deploy"))?;
    let scripts = scripts(&guide, args);
    let scratch = tempfile::tempdir()?;
    let payload = scratch.path().join("payload.tar");
    pack(&root, &made, &scripts, &payload)?;

    let disk = if args.keep {
        let kept = target_dir(&root).join("deploy/kept.ext4");
        run_command(
            Command::new("cp")
                .arg("--sparse=always")
                .args([&base.disk, &kept]),
        )?;
        kept
    } else {
        base.disk.clone()
    };
    let console = target_dir(&root).join("deploy/console.log");
    let mut command = qemu(&base, &disk, args.keep)?;
    command
        .arg("-serial")
        .arg(format!("file:{}", console.display()));
    command.args(["-serial", "stdio"]);
    command.arg("-drive").arg(drive(&payload, "readonly=on"));
    let mut report = Report::new(&scripts);
    let outcomes =
        Guest::start(&mut command)?.run_jobs(&jobs(&scripts), |outcome| report.take(outcome));
    outcomes.with_context(|| format!("the guest's console is in {}", console.display()))?;
    if args.keep {
        println!("The guest's disk is kept. As root without a password, Ctrl-A X ends it:");
        let mut command = qemu(&base, &disk, true)?;
        command.args(["-serial", "mon:stdio"]);
        println!(
            "{}",
            crate::command::shown(&command).replace("ttyS0", "ttyS0 deploy.keep")
        );
    }
    report.finish()
}

/// What is run in the guest, in order.
fn scripts(guide: &Guide, args: &Args) -> Vec<Script> {
    let mut scripts = vec![Script::check("switch", SWITCH)];
    let skipped = |text: &str| args.skip.iter().any(|part| text.contains(part.as_str()));
    let blocks = guide.blocks().iter();
    scripts.extend(
        blocks
            .filter(|block| !skipped(&block.text))
            .filter_map(Script::block),
    );
    if !args.guide_only {
        scripts.extend(CHECKS.map(|(name, text)| Script::check(name, text)));
    }
    scripts
}

fn jobs(scripts: &[Script]) -> Vec<Job> {
    let environment = [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("HOME", "/root"),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let job = |script: &Script| Job {
        name: script.name.clone(),
        program: "/bin/bash".into(),
        arguments: vec![
            "-o".to_owned(),
            "pipefail".to_owned(),
            "-c".to_owned(),
            // Without a terminal nothing pages, colours or shortens its output.
            format!("bash {DIRECTORY}/scripts/{} 2>&1 | cat", script.name),
        ],
        environment: environment.iter().cloned().collect(),
        timeout: PATIENCE,
    };
    scripts.iter().map(job).collect()
}

/// Everything that the guest is given, as a tarball that is its second disk.
fn pack(root: &Path, made: &Made, scripts: &[Script], payload: &Path) -> Result<()> {
    let tree = tempfile::tempdir()?;
    let place = tree.path();
    let copy = |from: &Path, to: &str| {
        fs::copy(from, place.join(to)).with_context(|| format!("cannot copy {}", from.display()))
    };
    fs::create_dir_all(place.join("scripts"))?;
    fs::create_dir_all(place.join("target/release"))?;
    copy(&made.package, name(&made.package)?)?;
    copy(&made.tarball, name(&made.tarball)?)?;
    // The guide's installation from source starts in a built tree.
    let daemon = target_dir(root).join("release/portsyncd");
    run_command(
        Command::new("strip")
            .arg("-o")
            .arg(place.join("target/release/portsyncd"))
            .arg(&daemon),
    )?;
    for file in ["portsyncd.service", "portsyncd.conf.example"] {
        copy(&root.join(file), file)?;
    }
    // By this name it is there even if it was built anew meanwhile.
    copy(Path::new("/proc/self/exe"), "xtask")?;
    for script in scripts {
        fs::write(place.join("scripts").join(&script.name), &script.text)?;
    }
    fs::write(place.join("jobs.json"), jobs_file(&[], &jobs(scripts)))?;
    run_command(
        Command::new("tar")
            .args(["--create", "--owner=root:0", "--group=root:0", "--file"])
            .arg(payload)
            .arg("--directory")
            .arg(place)
            .arg("."),
    )
}

fn name(file: &Path) -> Result<&str> {
    let name = file.file_name().and_then(|name| name.to_str());
    name.with_context(|| format!("{} has no name", file.display()))
}

/// QEMU with the base's kernel; nothing is written to `disk` unless it is to be kept.
fn qemu(base: &base::Base, disk: &Path, keep: bool) -> Result<Command> {
    let mut command = Qemu::find(&workspace_root()?)?.command();
    command.args(HARDWARE);
    command.arg("-kernel").arg(&base.kernel);
    command.arg("-initrd").arg(&base.initrd);
    command
        .arg("-append")
        .arg("root=/dev/vda rw console=ttyS0 panic=-1 quiet");
    let access = if keep { "snapshot=off" } else { "snapshot=on" };
    command.arg("-drive").arg(drive(disk, access));
    Ok(command)
}

fn drive(file: &Path, access: &str) -> String {
    format!("file={},format=raw,if=virtio,{access}", file.display())
}

/// The short form for `cargo xtask test`: the guide can be read, each of its
/// configurations is valid, and the package has what it must have.
pub(crate) fn without_a_guest() -> Result<()> {
    let root = workspace_root()?;
    let guide = Guide::read(&root)?;
    guide.check(&root)?;
    let made = dist::for_this_machine()?;
    dist::check(&root, &made)?;
    let daemon = target_dir(&root).join("release/portsyncd");
    for (line, toml) in guide.configurations() {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), toml)?;
        let answer = Command::new(&daemon)
            .args(["--validate-config", "--config"])
            .arg(file.path())
            .output()?;
        ensure!(
            answer.status.success(),
            "README_DEPLOYMENT.md:{line}: {}",
            String::from_utf8_lossy(&answer.stderr)
        );
    }
    eprintln!(
        "the guide: {} blocks of commands, {} configurations; the package: {}",
        guide.blocks().len(),
        guide.configurations().count(),
        PathBuf::from(name(&made.package)?).display()
    );
    Ok(())
}
