//! portsyncd's unsafe edge: the few kernel interfaces that no safe library
//! offers at a price that a small daemon can pay.
//!
//! Owns loading an eBPF object by bpf(2), attaching a program to a socket or to a
//! function of the kernel's, reading a ring and a map's counters in memory, putting a descriptor
//! under tokio's reactor and giving back memory that only the start needed. Everything above it forbids `unsafe`.
//!
//! aya's own loader reads and parses the running kernel's BTF in its
//! constructor, which costs tens of milliseconds and 20 MB and is of no use to a
//! socket filter; its object parser (`aya-obj`) is used as it is.

mod code;
mod counters;
mod error;
mod function_hook;
mod heap;
mod load;
mod maps;
mod reactor;
mod ring;
mod socket_filter;
mod syscall;

pub use code::forget_start;
pub use counters::Counters;
pub use error::BpfError;
pub use function_hook::FunctionHook;
pub use heap::{keep_heap_small, trim_heap};
pub use load::{Object, ProgramKind};
pub use maps::MapPlan;
pub use reactor::{Watched, watch};
pub use ring::Ring;
pub use socket_filter::attach_socket_filter;
