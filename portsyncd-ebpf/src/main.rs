//! portsyncd's eBPF programs: the kernel side of the link source.
//!
//! [`link_messages`] filters a netlink socket and turns each link message into a
//! record; [`carrier`] hooks the functions by which drivers report their carrier and
//! does the same, earlier; [`ring`] owns the ring buffer that carries the records to the daemon
//! and the counters that account for every one of them. The record's layout, the
//! counters' indices and the parser are `portsyncd-common`'s.
//!
//! Nothing here decides what a record means. The netlink layout is ABI; the layout
//! of kernel structures comes from the daemon. Only helpers of kernel 5.8 are used.
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod carrier;
mod link_messages;
mod ring;

/// What the kernel's `license_is_gpl_compatible` (`linux/license.h`) looks for.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Unreachable: the verifier refuses a program that could come here.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
