//! portsyncd's unsafe edge: the few kernel interfaces that no safe library
//! offers at a price that a small daemon can pay.
//!
//! Owns loading an eBPF object by bpf(2), attaching a program to a socket or to a
//! function of the kernel's, reading a map's counters in memory, putting a descriptor
//! under tokio's reactor and two settings of the allocator. Everything above it forbids `unsafe`.
//!
//! aya's own loader reads and parses the running kernel's BTF in its
//! constructor, which costs tens of milliseconds and 20 MB and is of no use to a
//! socket filter; its object parser (`aya-obj`) and its maps are used as they are.

mod counters;
mod error;
mod function_hook;
mod heap;
mod load;
mod maps;
mod reactor;
mod socket_filter;
mod syscall;

pub use counters::Counters;
pub use error::BpfError;
pub use function_hook::FunctionHook;
pub use heap::{trim_heap, use_one_arena};
pub use load::{Object, ProgramKind};
pub use maps::MapPlan;
pub use reactor::{Watched, watch};
pub use socket_filter::attach_socket_filter;
