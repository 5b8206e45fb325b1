//! Every seed and every input that ever failed, through its target.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use portsyncd_fuzz::{TARGETS, target};

/// Seeds are for a start; what a fuzzer makes of them stays out of the tree.
const MOST_BYTES: u64 = 200 << 10;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn inputs(target: &str) -> Result<Vec<PathBuf>> {
    let folder = corpus().join(target);
    let entries = fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[test]
fn every_input_of_the_corpora_holds() -> Result<()> {
    for target in TARGETS {
        let inputs = inputs(target.name)?;
        ensure!(!inputs.is_empty(), "{} has no seed", target.name);
        for input in inputs {
            let bytes = fs::read(&input)?;
            // A panic shows its own words; this names the input.
            let held = std::panic::catch_unwind(|| (target.run)(&bytes)).is_ok();
            ensure!(held, "{}: {} does not hold", target.name, input.display());
        }
    }
    Ok(())
}

#[test]
fn the_corpora_are_small_and_belong_to_targets() -> Result<()> {
    let mut sum = 0;
    for folder in fs::read_dir(corpus())? {
        let folder = folder?;
        let name = folder.file_name().to_string_lossy().into_owned();
        ensure!(target(&name).is_some(), "corpus/{name} is no target's");
        for input in inputs(&name)? {
            sum += fs::metadata(input)?.len();
        }
    }
    ensure!(sum < MOST_BYTES, "the corpora have {sum} bytes");
    Ok(())
}
