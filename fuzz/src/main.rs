//! libFuzzer's executable: runs the target that `FUZZ_TARGET` names.
//!
//! One executable for all targets: they share their dependencies, and linking
//! them once is quick. `cargo xtask fuzz` builds and runs it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portsyncd_fuzz::{Target, target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name:?}: there is no such target"))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
