//! `cargo xtask fuzz`: everything that portsyncd reads, given to libFuzzer.
//!
//! The targets and what must hold are in `fuzz/`. They are built with LLVM's coverage
//! instrumentation, which stable Rust passes on, and with the checks that a release
//! leaves out. Seeds come from `fuzz/corpus/`; what libFuzzer makes of them goes to
//! `target/fuzz-corpus/` and is where the next run goes on from; an input that fails
//! goes to `target/fuzz-findings/`.

mod outcome;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::command::{cargo, host, run as run_command, target_dir, workspace_root};
use outcome::Outcome;

/// `cargo xtask fuzz`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Only this target; may be repeated
    #[arg(long = "target", value_name = "NAME")]
    targets: Vec<String>,

    /// Run one input, as it was found
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

/// Passed on to LLVM: what `-fsanitize=fuzzer` means to clang.
const INSTRUMENTATION: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// One input may take this many seconds, with everything else that the machine does.
const MOST_SECONDS: u32 = 20;
const MOST_MEMORY_MB: u32 = 2048;

/// The short run of `cargo xtask test`: every target, from its seeds on.
pub(crate) fn run_short() -> Result<()> {
    run(&Args {
        seconds: 3,
        targets: vec![],
        replay: None,
    })
}

/// Builds, and runs each target.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = workspace_root()?;
    let all = targets(&root)?;
    for wanted in &args.targets {
        ensure!(
            all.contains(wanted),
            "there is no target {wanted:?}; there are: {}",
            all.join(", ")
        );
    }
    let executable = build(&root)?;
    if let Some(input) = &args.replay {
        let [target] = &args.targets[..] else {
            bail!("--replay needs the one --target that the input is for");
        };
        return run_command(fuzzer(&executable, target).arg(input));
    }
    let wanted = if args.targets.is_empty() {
        &all
    } else {
        &args.targets
    };
    println!("{}", outcome::HEADER);
    let mut findings = Vec::new();
    for target in wanted {
        match fuzz(&root, &executable, target, args.seconds) {
            Ok(outcome) => println!("{outcome}"),
            Err(finding) => {
                println!("{target:<16} FAILED");
                findings.push(format!("{finding:#}"));
            }
        }
    }
    ensure!(findings.is_empty(), "{}", findings.join("\n"));
    Ok(())
}

/// Every target has a folder of seeds.
fn targets(root: &Path) -> Result<Vec<String>> {
    let corpus = root.join("fuzz/corpus");
    let entries =
        fs::read_dir(&corpus).with_context(|| format!("cannot read {}", corpus.display()))?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn build(root: &Path) -> Result<PathBuf> {
    // A target of its own keeps the instrumentation out of build scripts and macros.
    let host = host(root)?;
    run_command(
        cargo(root)
            .env("RUSTFLAGS", INSTRUMENTATION.join(" "))
            .args(["build", "--locked", "--package", "portsyncd-fuzz"])
            .args(["--features", "libfuzzer", "--profile", "fuzz"])
            .args(["--target", &host]),
    )?;
    Ok(target_dir(root).join(host).join("fuzz/portsyncd-fuzz"))
}

fn fuzzer(executable: &Path, target: &str) -> Command {
    let mut command = Command::new(executable);
    command
        .env("FUZZ_TARGET", target)
        .arg(format!("-timeout={MOST_SECONDS}"))
        .arg(format!("-rss_limit_mb={MOST_MEMORY_MB}"));
    command
}

fn fuzz(root: &Path, executable: &Path, target: &str, seconds: u32) -> Result<Outcome> {
    let folder = |name: &str| -> Result<PathBuf> {
        let folder = target_dir(root).join(name).join(target);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    };
    let (grown, findings) = (folder("fuzz-corpus")?, folder("fuzz-findings")?);
    let end = Instant::now() + Duration::from_secs(seconds.into());
    loop {
        let left = end.saturating_duration_since(Instant::now()).as_secs();
        let output = fuzzer(executable, target)
            .arg(format!("-max_total_time={}", left.max(1)))
            .arg("-print_final_stats=1")
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .arg(&grown)
            .arg(root.join("fuzz/corpus").join(target))
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", executable.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return Outcome::read(target, &said);
        }
        if let Some(input) = timed_out(&said)
            && fuzzer(executable, target)
                .arg(&input)
                .output()?
                .status
                .success()
        {
            eprintln!("{target}: the machine stood still, not {}", input.display());
            fs::remove_file(&input)
                .with_context(|| format!("cannot remove {}", input.display()))?;
            continue;
        }
        let lines: Vec<&str> = said.lines().collect();
        eprintln!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        bail!(
            "target {target} failed ({}). The input is in {}; again: \
             cargo xtask fuzz --target {target} --replay FILE. \
             Once it is mended, keep it in fuzz/corpus/{target}/",
            output.status,
            findings.display()
        );
    }
}

/// The input that took too long. libFuzzer looks at the clock on the wall, which goes on while
/// the machine is suspended or has other things to do: alone, such an input is quick.
fn timed_out(said: &str) -> Option<PathBuf> {
    let (_, rest) = said.split_once("Test unit written to ")?;
    let path = Path::new(rest.lines().next()?.trim());
    let name = path.file_name()?.to_str()?;
    name.starts_with("timeout-").then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_took_too_long_is_told_from_one_that_fails() {
        let said = |name: &str| {
            format!("artifact_prefix='x/'; Test unit written to x/{name}\nBase64: e30=\n")
        };
        assert_eq!(
            timed_out(&said("timeout-1510")),
            Some(PathBuf::from("x/timeout-1510"))
        );
        assert_eq!(timed_out(&said("crash-1510")), None);
        assert_eq!(timed_out(""), None);
    }
}
