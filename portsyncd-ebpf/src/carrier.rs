//! The hooks on `netif_carrier_off` and `netif_carrier_on`: a carrier change when
//! the driver reports it, before linkwatch (`net/core/link_watch.c`) holds it back.
//!
//! In: calls of the two functions, by fentry or by kprobe. Out: one record for
//! each call that will change the carrier of a registered netdev of the daemon's
//! network namespace, and nothing for any other call.
//!
//! The layout of `struct net_device` differs from kernel to kernel. The daemon
//! reads it from the running kernel's BTF and writes it into the globals below
//! before it loads the programs; the verifier sees them as constants. A netdev
//! lives as long as the call that the hook stands in, so nothing is read late.
#![expect(
    clippy::needless_pass_by_value,
    reason = "aya's macros make a context and give it away"
)]

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated};
use aya_ebpf::macros::{fentry, kprobe};
use aya_ebpf::programs::{FEntryContext, ProbeContext};
use aya_ebpf::{EbpfContext as _, Global};
use portsyncd_common::{IFNAMSIZ, LinkRecord, flag, malformed, msg, operstate, present};

use crate::ring::{self, CARRIER, Event, Origin};

/// Byte offsets that no kernel has: a read there fails.
const UNSET: u32 = u32::MAX;

/// `net_device.ifindex`: `int`.
#[unsafe(no_mangle)]
static OFF_IFINDEX: Global<u32> = Global::new(UNSET);
/// `net_device.name`: `char[16]`.
#[unsafe(no_mangle)]
static OFF_NAME: Global<u32> = Global::new(UNSET);
/// `net_device.flags`: `unsigned int`.
#[unsafe(no_mangle)]
static OFF_FLAGS: Global<u32> = Global::new(UNSET);
/// `net_device.mtu`: `unsigned int`.
#[unsafe(no_mangle)]
static OFF_MTU: Global<u32> = Global::new(UNSET);
/// The lowest byte of `net_device.operstate`.
#[unsafe(no_mangle)]
static OFF_OPERSTATE: Global<u32> = Global::new(UNSET);
/// `net_device.state`: `unsigned long`.
#[unsafe(no_mangle)]
static OFF_STATE: Global<u32> = Global::new(UNSET);
/// The byte that is `net_device.reg_state`.
#[unsafe(no_mangle)]
static OFF_REG_STATE: Global<u32> = Global::new(UNSET);
/// `net_device.carrier_up_count`: `atomic_t`.
#[unsafe(no_mangle)]
static OFF_CARRIER_UP_COUNT: Global<u32> = Global::new(UNSET);
/// `net_device.carrier_down_count`: `atomic_t`.
#[unsafe(no_mangle)]
static OFF_CARRIER_DOWN_COUNT: Global<u32> = Global::new(UNSET);
/// `net_device.nd_net.net`: `struct net *`.
#[unsafe(no_mangle)]
static OFF_ND_NET: Global<u32> = Global::new(UNSET);
/// `net.ns.inum`: `unsigned int`.
#[unsafe(no_mangle)]
static OFF_NET_INUM: Global<u32> = Global::new(UNSET);
/// The inode number of the daemon's network namespace; none has 0.
#[unsafe(no_mangle)]
static NETNS_INUM: Global<u32> = Global::new(0);
/// Which register has a function's first argument: the kprobe's context is
/// `struct pt_regs`, whose layout is the architecture's.
#[unsafe(no_mangle)]
static ARGUMENT_REGISTER: Global<u32> = Global::new(argument_register::X86_64);

/// Values of [`ARGUMENT_REGISTER`]: indices of 8-byte registers in `pt_regs`.
mod argument_register {
    /// `di`.
    pub(super) const X86_64: u32 = 14;
    /// `regs[0]`.
    pub(super) const AARCH64: u32 = 0;
}

/// `__LINK_STATE_START`, a bit of `net_device.state` (`linux/netdevice.h`).
const STATE_START: u64 = 1 << 0;
/// `__LINK_STATE_NOCARRIER`.
const STATE_NOCARRIER: u64 = 1 << 2;
/// `IFNAMSIZ`, as helpers take it.
const NAME_BYTES: u32 = 16;
const _: () = assert!(NAME_BYTES as usize == IFNAMSIZ);
/// `NETREG_REGISTERED`, a value of `net_device.reg_state`.
const REGISTERED: u8 = 1;

/// `netif_carrier_off`, by fentry.
#[fentry(function = "netif_carrier_off")]
pub(crate) fn carrier_off_fentry(ctx: FEntryContext) -> i32 {
    changed(ctx.arg(0), Carrier::Off);
    0
}

/// `netif_carrier_on`, by fentry.
#[fentry(function = "netif_carrier_on")]
pub(crate) fn carrier_on_fentry(ctx: FEntryContext) -> i32 {
    changed(ctx.arg(0), Carrier::On);
    0
}

/// `netif_carrier_off`, by kprobe.
#[kprobe(function = "netif_carrier_off")]
pub(crate) fn carrier_off_kprobe(ctx: ProbeContext) -> i32 {
    changed(first_argument(&ctx), Carrier::Off);
    0
}

/// `netif_carrier_on`, by kprobe.
#[kprobe(function = "netif_carrier_on")]
pub(crate) fn carrier_on_kprobe(ctx: ProbeContext) -> i32 {
    changed(first_argument(&ctx), Carrier::On);
    0
}

/// The first argument of the function that the kprobe stands on.
#[inline(always)]
fn first_argument(ctx: &ProbeContext) -> *const u8 {
    let registers = ctx.as_ptr().cast::<u64>().cast_const();
    // Both are read, at constant offsets: the verifier of 5.10 allows no other
    // access to a context, and the compiler must not choose an address instead.
    // SAFETY: `pt_regs` of either architecture has more than 15 registers.
    let (x86_64, aarch64) = unsafe {
        (
            registers
                .add(argument_register::X86_64 as usize)
                .read_volatile(),
            registers
                .add(argument_register::AARCH64 as usize)
                .read_volatile(),
        )
    };
    let argument = if ARGUMENT_REGISTER.load() == argument_register::X86_64 {
        x86_64
    } else {
        aarch64
    };
    argument as *const u8
}

/// What the function is about to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Off,
    On,
}

/// Why there is no record.
enum Pass {
    /// It is none of the daemon's business.
    NotOurs,
    /// The kernel's memory could not be read.
    Unreadable,
}

/// Reports the change if it is one that the daemon wants.
#[inline(always)]
fn changed(netdev: *const u8, to: Carrier) {
    match Change::wanted(netdev, to) {
        Ok(change) => ring::report(change),
        Err(Pass::NotOurs) => {}
        Err(Pass::Unreadable) => ring::lose(CARRIER),
    }
}

/// A change that the daemon wants.
struct Change {
    netdev: *const u8,
    to: Carrier,
    /// `net_device.state` before it.
    state: u64,
}

impl Change {
    #[inline(always)]
    fn wanted(netdev: *const u8, to: Carrier) -> Result<Self, Pass> {
        let state: u64 = read(netdev, &OFF_STATE).ok_or(Pass::Unreadable)?;
        let has_carrier = state & STATE_NOCARRIER == 0;
        if has_carrier == (to == Carrier::On) {
            return Err(Pass::NotOurs);
        }
        let reg_state: u8 = read(netdev, &OFF_REG_STATE).ok_or(Pass::Unreadable)?;
        if reg_state != REGISTERED {
            return Err(Pass::NotOurs);
        }
        let net: *const u8 = read(netdev, &OFF_ND_NET).ok_or(Pass::Unreadable)?;
        let inum: u32 = read(net, &OFF_NET_INUM).ok_or(Pass::Unreadable)?;
        if inum != NETNS_INUM.load() {
            return Err(Pass::NotOurs);
        }
        Ok(Self { netdev, to, state })
    }

    #[inline(always)]
    fn read(&self, record: &mut LinkRecord) -> Option<()> {
        let netdev = self.netdev;
        record.present = present::NAME
            | present::MTU
            | present::OPERSTATE
            | present::CARRIER
            | present::CARRIER_UP_COUNT
            | present::CARRIER_DOWN_COUNT;
        // With the change that the function is about to count.
        let (ups, downs) = match self.to {
            Carrier::On => {
                record.msg_type = msg::CARRIER_ON;
                record.carrier = 1;
                (1, 0)
            }
            Carrier::Off => {
                record.msg_type = msg::CARRIER_OFF;
                (0, 1)
            }
        };
        let counted: u32 = read(netdev, &OFF_CARRIER_UP_COUNT)?;
        record.carrier_up_count = counted.wrapping_add(ups);
        let counted: u32 = read(netdev, &OFF_CARRIER_DOWN_COUNT)?;
        record.carrier_down_count = counted.wrapping_add(downs);
        record.ifindex = read(netdev, &OFF_IFINDEX)?;
        record.mtu = read(netdev, &OFF_MTU)?;
        record.operstate = read(netdev, &OFF_OPERSTATE)?;
        let own: u32 = read(netdev, &OFF_FLAGS)?;
        record.flags = flags(own, self.state, record.operstate, self.to);
        let name = netdev.wrapping_add(OFF_NAME.load() as usize);
        let to: *mut c_void = record.name.as_mut_ptr().cast();
        // SAFETY: `to` has room for `NAME_BYTES`; the helper checks what it reads.
        let answer = unsafe { generated::bpf_probe_read_kernel(to, NAME_BYTES, name.cast()) };
        (answer == 0).then_some(())
    }
}

impl Event for Change {
    const ORIGIN: Origin = CARRIER;

    #[inline(always)]
    fn fill(self, record: &mut LinkRecord) {
        if self.read(record).is_none() {
            record.malformed = malformed::UNREADABLE;
        }
    }
}

/// What `dev_get_flags` (`net/core/dev.c`) would make of it once the carrier has
/// changed, but for the bits that say who else uses the netdev, and how.
#[inline(always)]
fn flags(own: u32, state: u64, oper: u8, to: Carrier) -> u32 {
    const COMPUTED: u32 =
        flag::PROMISC | flag::ALLMULTI | flag::RUNNING | flag::LOWER_UP | flag::DORMANT;
    let mut flags = own & !COMPUTED;
    if state & STATE_START != 0 {
        if oper == operstate::UP || oper == operstate::UNKNOWN {
            flags |= flag::RUNNING;
        }
        if to == Carrier::On {
            flags |= flag::LOWER_UP;
        }
    }
    flags
}

/// Reads a field of the kernel's, `offset` bytes into the structure at `base`.
#[inline(always)]
fn read<T: Copy>(base: *const u8, offset: &Global<u32>) -> Option<T> {
    let field = base.wrapping_add(offset.load() as usize).cast::<T>();
    // SAFETY: the helper reads from any address, and fails where there is nothing.
    unsafe { bpf_probe_read_kernel(field) }.ok()
}
