//! The eBPF object that is part of the daemon, and the names in it.

/// The object, as `cargo xtask build-ebpf` made it.
pub(super) static OBJECT: &[u8] =
    &Aligned(*include_bytes!("../../../portsyncd-ebpf/portsyncd-ebpf.o")).0;

/// The parser reads the object's headers in place, as the ELF format aligns them.
#[repr(align(8))]
struct Aligned<T>(T);

/// The ring that carries every record.
pub(super) const EVENTS: &str = "EVENTS";
/// What became of the events.
pub(super) const COUNTERS: &str = "COUNTERS";
/// The layout of the kernel's structures, for the carrier programs.
pub(super) const CONSTANTS: &str = ".rodata";
/// The socket filter.
pub(super) const LINK_MESSAGES: &str = "link_messages";
