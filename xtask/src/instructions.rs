//! `cargo xtask instructions`: how many instructions the road's own work takes.
//!
//! Callgrind counts them, so neither the machine's load nor its speed moves them. Its
//! processor does not either: the C library is kept from choosing its copying by what
//! the processor has ([`TUNABLES`]). A change of a few per cent is one of the code, of the
//! compiler or of the C library; where one of the latter two is not the recorded one, more is
//! let pass. The work is `instructions/src/main.rs`, built as the daemon is; what it took when
//! it was recorded is in `instructions/recorded.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{cargo, find_program, read, run as run_command, target_dir, workspace_root};

/// `cargo xtask instructions`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Record what they are now
    #[arg(long)]
    pub(crate) record: bool,
}

/// A kind of work, and how often it is done in the shorter of two runs.
const WORK: [(&str, u64); 5] = [
    ("parse", 4000),
    ("link_message", 4000),
    ("storm", 8),
    ("dump", 40),
    ("encode", 8000),
];

/// More than this above what was recorded is a failure, in per cent.
const MOST_PERCENT: f64 = 3.0;
/// As much with another compiler or C library.
const MOST_PERCENT_ELSEWHERE: f64 = 15.0;

/// `memcpy` and its kind as on a processor that has nothing but SSE2, which every x86-64
/// has. A C library that does not know a name here passes over it.
const TUNABLES: &str = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX2_Usable,-AVX,\
     -AVX_Usable,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,-SSE4_2,-SSE4_1,-SSSE3,\
     -Fast_Unaligned_Copy,-Fast_Copy_Backward:glibc.cpu.x86_non_temporal_threshold=0xc0000";

/// With what they were counted, and what each work took.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Recorded {
    rustc: String,
    libc: String,
    instructions: BTreeMap<String, u64>,
}

/// Counts and compares, or records.
pub(crate) fn run(args: Args) -> Result<()> {
    let root = workspace_root()?;
    if !cfg!(target_arch = "x86_64") {
        println!("NOT TESTED: instructions are recorded for x86-64 only");
        return Ok(());
    }
    let valgrind = find_program("valgrind").context("there is no valgrind: cargo xtask setup")?;
    let executable = build(&root)?;
    let now = Recorded {
        rustc: rustc(&root)?,
        libc: libc()?,
        instructions: WORK
            .iter()
            .map(|(work, rounds)| {
                let count = |rounds| collected(&valgrind, &executable, work, rounds);
                let each = (count(2 * rounds)? - count(*rounds)?) / rounds;
                Ok(((*work).to_owned(), each))
            })
            .collect::<Result<_>>()?,
    };
    let file = root.join("instructions/recorded.toml");
    if args.record {
        fs::write(&file, now.text()?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("instructions: recorded in {}", file.display());
        return Ok(());
    }
    let text = fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}: --record makes it", file.display()))?;
    compare(&Recorded::parse(&text)?, &now)
}

fn build(root: &Path) -> Result<PathBuf> {
    run_command(cargo(root).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "portsyncd-instructions",
    ]))?;
    Ok(target_dir(root).join("release/portsyncd-instructions"))
}

fn rustc(root: &Path) -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = read(Command::new(rustc).current_dir(root).arg("--version"))?;
    Ok(said.trim().to_owned())
}

/// Such as "glibc 2.36".
fn libc() -> Result<String> {
    Ok(read(Command::new("getconf").arg("GNU_LIBC_VERSION"))?
        .trim()
        .to_owned())
}

/// What callgrind counts for one run.
fn collected(valgrind: &Path, executable: &Path, work: &str, rounds: u64) -> Result<u64> {
    let output = Command::new(valgrind)
        .env("GLIBC_TUNABLES", TUNABLES)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(executable)
        .args([work, &rounds.to_string()])
        .output()
        .with_context(|| format!("cannot run {}", valgrind.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{work} under valgrind: {}\n{said}",
        output.status
    );
    let count = said
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .with_context(|| format!("callgrind says no sum:\n{said}"))?;
    Ok(count.1.trim().parse()?)
}

fn compare(recorded: &Recorded, now: &Recorded) -> Result<()> {
    let mut most = MOST_PERCENT;
    for (before, now) in [(&recorded.rustc, &now.rustc), (&recorded.libc, &now.libc)] {
        if before != now {
            println!("recorded with {before}, counted with {now}");
            most = MOST_PERCENT_ELSEWHERE;
        }
    }
    let mut above = Vec::new();
    println!("work            instructions   recorded   change");
    for (work, count) in &now.instructions {
        let before = recorded.instructions.get(work);
        let before = before.with_context(|| format!("{work} was never recorded: --record"))?;
        let percent = percent(*before, *count);
        println!("{work:<15} {count:>12} {before:>10} {percent:>+7.1} %");
        if percent > most {
            above.push(format!("{work} {percent:+.1} %"));
        }
    }
    if above.is_empty() {
        return Ok(());
    }
    bail!(
        "more instructions than recorded, by more than {most} %: {}. Where that is meant: \
         `cargo xtask instructions --record`, and say in the commit why",
        above.join(", ")
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a round are far below 2^52"
)]
fn percent(before: u64, now: u64) -> f64 {
    (now as f64 / before as f64 - 1.0) * 100.0
}

impl Recorded {
    fn text(&self) -> Result<String> {
        let mut text =
            "# Instructions that each round of instructions/src/main.rs takes on x86-64:\n\
                        # `cargo xtask instructions --record`.\n"
                .to_owned();
        writeln!(text, "rustc = \"{}\"", self.rustc)?;
        writeln!(text, "libc = \"{}\"", self.libc)?;
        for (work, count) in &self.instructions {
            writeln!(text, "{work} = {count}")?;
        }
        Ok(text)
    }

    fn parse(text: &str) -> Result<Self> {
        let (mut rustc, mut libc) = (String::new(), String::new());
        let mut instructions = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (key, value) = line
                .split_once(" = ")
                .with_context(|| format!("recorded.toml: {line:?} is no `work = count`"))?;
            match key {
                "rustc" => value.trim_matches('"').clone_into(&mut rustc),
                "libc" => value.trim_matches('"').clone_into(&mut libc),
                work => {
                    instructions.insert(work.to_owned(), value.parse()?);
                }
            }
        }
        Ok(Self {
            rustc,
            libc,
            instructions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(count: u64) -> Recorded {
        Recorded {
            rustc: "rustc 1.95.0".into(),
            libc: "glibc 2.36".into(),
            instructions: [("parse".to_owned(), count)].into(),
        }
    }

    #[test]
    fn what_is_recorded_is_read_again() {
        let one = recorded(1234);
        assert_eq!(
            Recorded::parse(&one.text().expect("a String")).expect("valid"),
            one
        );
    }

    #[test]
    fn less_than_three_per_cent_more_is_let_pass_and_four_are_not() {
        assert!(compare(&recorded(1000), &recorded(1029)).is_ok());
        assert!(compare(&recorded(1000), &recorded(900)).is_ok());
        let error = compare(&recorded(1000), &recorded(1040)).expect_err("too many");
        assert!(error.to_string().contains("--record"), "{error}");
    }

    #[test]
    fn another_compiler_or_c_library_may_take_more() {
        let mut now = recorded(1140);
        assert!(compare(&recorded(1000), &now).is_err());
        now.libc = "glibc 2.41".into();
        assert!(compare(&recorded(1000), &now).is_ok());
        now.instructions.insert("parse".into(), 1160);
        assert!(compare(&recorded(1000), &now).is_err());
    }
}
