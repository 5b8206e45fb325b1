//! The figures of SONiC's kernels: the measuring process in a virtual machine.
//!
//! The processor is emulated, so times are ten and more times what a switch's
//! are; they are to be compared with each other, within one run.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Args, measuring};
use crate::build;
use crate::command::workspace_root;
use crate::vm::guest::Job;
use crate::vm::{boot, kernels, suite};

/// A guest that hangs ends; an emulated run takes minutes.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Measures on each kernel, one after the other.
pub(super) fn measure(args: &Args) -> Result<()> {
    let root = workspace_root()?;
    let releases = kernels::Release::chosen(&args.kernels)?;
    let daemon = build::daemon(args.daemon.as_deref())?;
    let measuring = build::release("xtask")?;
    let mut arguments: Vec<String> = ["bench", "--measure", "--daemon", "/bin/portsyncd"]
        .map(str::to_owned)
        .to_vec();
    if args.only.is_empty() {
        arguments.extend(["--only".to_owned(), "failure".to_owned()]);
    }
    arguments.extend(measuring::arguments(args));
    for release in releases {
        let kernel = release.fetch(&root)?;
        eprintln!("==> Linux {}: this takes minutes", kernel.version);
        let mut tree = suite::programs(&daemon)?;
        tree.program(Path::new("/bin/xtask"), &measuring)?;
        if let Ok(system) = std::fs::read("/etc/os-release") {
            tree.file(Path::new("/etc/os-release"), &system)?;
        }
        let job = Job {
            name: "bench".to_owned(),
            program: "/bin/xtask".into(),
            arguments: arguments.clone(),
            environment: suite::environment(),
            timeout: TIMEOUT,
        };
        for outcome in boot::boot(&kernel, tree, &[job], |_| ())? {
            let (mut document, mut table) = (Vec::new(), Vec::new());
            for line in &outcome.lines {
                // The one is printed after the other.
                let of_document = line == "{" || !document.is_empty();
                if args.json && of_document {
                    document.push(line.as_str());
                } else {
                    table.push(line.as_str());
                }
            }
            if args.json {
                eprintln!("{}", table.join("\n"));
                println!("{}", document.join("\n"));
            } else {
                println!("{}", table.join("\n"));
            }
            ensure!(
                outcome.is_success(),
                "the measurement on Linux {} ended with {}",
                kernel.version,
                outcome.end
            );
        }
    }
    Ok(())
}
