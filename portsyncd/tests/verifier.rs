//! What the running kernel's verifier does for each program. A kernel that has to go
//! through many more instructions than the others do is about to refuse it: from 5.2 on
//! it gives up after a million (`BPF_COMPLEXITY_LIMIT_INSNS`).

use std::env;

use anyhow::{Result, ensure};
use portsyncd::link::carrier::verified;
use portsyncd::link::ebpf::EbpfSource;
use portsyncd::link::gate::Gate;

/// No program may take more.
const MOST: u32 = 100_000;

#[test]
fn every_program_is_far_from_what_the_verifier_gives_up_at() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    let gate = Gate::start("")?;
    let source = gate.run(|| EbpfSource::open(1 << 20))?;
    let mut programs = vec![source.verified()?];
    for (program, work) in verified(&source.hook_maps()?, gate.netns_inode())? {
        match work {
            Ok(instructions) => programs.push((program, instructions)),
            // In the virtual machines all of them have to load.
            Err(refused) if env::var_os("PORTSYNCD_CARRIER_HOOKS").is_none() => {
                println!("not here: {program}: {refused}");
            }
            Err(refused) => return Err(refused.into()),
        }
    }
    for (program, instructions) in programs {
        println!("verified {instructions:>7} instructions of {program}");
        ensure!(
            (1..=MOST).contains(&instructions),
            "{program}: {instructions} instructions, at most {MOST} are let pass"
        );
    }
    Ok(())
}
