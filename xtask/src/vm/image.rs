//! What is inside a bootable kernel image (`Documentation/arch/x86/boot.rst`):
//! the ELF file that the boot code would unpack.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Offsets in the boot sector and the setup header.
const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// How a payload begins, and what unpacks it.
const COMPRESSIONS: [(&[u8], &str); 4] = [
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (&[0x02, 0x21, 0x4c, 0x18], "lz4"),
    (&[0x1f, 0x8b], "gzip"),
];

/// The kernel's ELF file.
pub(crate) fn vmlinux(image: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let payload = payload(&bytes).with_context(|| format!("{} is no bzImage", image.display()))?;
    let program = COMPRESSIONS
        .iter()
        .find_map(|(magic, program)| payload.starts_with(magic).then_some(*program))
        .with_context(|| format!("{} is packed in a way unknown here", image.display()))?;
    // All but gzip have the unpacked size behind them, which is none of theirs.
    let packed = match program {
        "gzip" => payload,
        _ => &payload[..payload.len().saturating_sub(4)],
    };
    unpack(program, packed)
}

fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let u32_at = |at: usize| {
        let word = bytes.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*word)).ok()
    };
    if bytes.get(MAGIC..)?.first_chunk() != Some(b"HdrS") {
        return None;
    }
    let setup = (usize::from(*bytes.get(SETUP_SECTORS)?) + 1) * 512;
    let start = setup.checked_add(u32_at(PAYLOAD_OFFSET)?)?;
    bytes.get(start..start.checked_add(u32_at(PAYLOAD_LENGTH)?)?)
}

/// Unpacks by a program that every Debian has, or that setup's message names.
pub(crate) fn unpack(program: &str, packed: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new(program)
        .args(["-d", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{program}`: install it"))?;
    let mut input = child.stdin.take().context("no standard input")?;
    let output = std::thread::scope(|scope| {
        // Its end shows in the output, which is then too short.
        scope.spawn(move || drop(input.write_all(packed)));
        child.wait_with_output()
    })?;
    ensure!(
        output.status.success(),
        "`{program} -d` failed: {}",
        output.status
    );
    if output.stdout.is_empty() {
        bail!("`{program} -d` gave nothing");
    }
    Ok(output.stdout)
}
