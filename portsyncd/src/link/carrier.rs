//! The carrier hook: programs on `netif_carrier_off` and `netif_carrier_on`, which
//! see a carrier change before linkwatch holds it back.
//!
//! In: the configuration's wish, the ring and the counters of the eBPF source, the
//! network namespace. Out: records of the two carrier kinds in that ring for as
//! long as [`Attached`] lives, or the reason why there are none. Attaching reads
//! the kernel's BTF, some megabytes: it is for a thread beside the road.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use portsyncd_sys::{BpfError, FunctionHook, MapPlan, Object, ProgramKind};

use super::btf::{BtfError, KernelTypes, NetdevLayout};
use super::object::{CONSTANTS, COUNTERS, EVENTS, OBJECT};
use crate::config;

/// Where the running kernel keeps its BTF.
const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// The hooked functions.
const FUNCTIONS: [Function; 2] = [
    Function {
        name: "netif_carrier_off",
        symbol: c"netif_carrier_off",
        fentry: "carrier_off_fentry",
        kprobe: "carrier_off_kprobe",
    },
    Function {
        name: "netif_carrier_on",
        symbol: c"netif_carrier_on",
        fentry: "carrier_on_fentry",
        kprobe: "carrier_on_kprobe",
    },
];

/// One of the kernel's functions and our programs for it.
struct Function {
    name: &'static str,
    symbol: &'static CStr,
    fentry: &'static str,
    kprobe: &'static str,
}

/// Maps of the eBPF source that the hook's programs share.
#[derive(Debug)]
pub struct HookMaps {
    pub(super) events: OwnedFd,
    pub(super) counters: OwnedFd,
}

/// How the functions are hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// By the entry of the function itself.
    Fentry,
    /// By a kprobe.
    Kprobe,
}

impl HookKind {
    /// The word for it in the configuration, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
        }
    }
}

/// A hook that is in place; it goes when this is dropped.
#[derive(Debug)]
pub struct Attached {
    /// How.
    pub kind: HookKind,
    functions: [FunctionHook; 2],
}

impl Attached {
    /// Calls of the hooked functions for which the kernel did not run the program. What
    /// they told comes with linkwatch's message, or with a dump.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn missed(&self) -> io::Result<u64> {
        let [off, on] = &self.functions;
        Ok(off.missed()? + on.missed()?)
    }
}

/// Why there is no hook. The daemon runs on without it.
#[derive(Debug, thiserror::Error)]
pub enum HookRefused {
    /// `link.carrier_hook` is "off".
    #[error("configured")]
    Configured,
    /// The link source has no ring.
    #[error("only the eBPF link source has a ring for its records")]
    NoRing,
    /// The link source's maps or the namespace cannot be used.
    #[error(transparent)]
    Source(#[from] super::LinkError),
    /// The kernel's BTF is not to be had.
    #[error(
        "{VMLINUX_BTF}: {0}: the kernel has no BTF, or /sys was mounted anew, as `ip netns exec` \
         does (`nsenter --net=` does not)"
    )]
    NoBtf(io::Error),
    /// The kernel's BTF does not say what the hook has to know.
    #[error("the kernel's BTF: {0}")]
    Btf(#[from] BtfError),
    /// The one way that was asked for is closed.
    #[error("{}: {refusal}", way.as_str())]
    Way {
        /// The way.
        way: HookKind,
        /// What closed it.
        refusal: Refusal,
    },
    /// Both ways are closed.
    #[error("fentry: {fentry}; kprobe: {kprobe}")]
    Both {
        /// What closed fentry.
        fentry: Refusal,
        /// What closed kprobe.
        kprobe: Refusal,
    },
    /// The thread that was to attach it is gone.
    #[error("the thread that was to attach it ended")]
    Thread,
}

/// What closed one way.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The function is not in the kernel's BTF.
    #[error("the kernel's BTF: {0}")]
    Btf(#[from] BtfError),
    /// The kernel said no.
    #[error(transparent)]
    Bpf(#[from] BpfError),
}

/// Hooks the functions as `mode` asks for; `netns` is the inode number of the
/// network namespace whose netdevs count. Blocks for some ten milliseconds.
///
/// # Errors
/// Why there is no hook, for people to read.
pub fn attach(
    mode: config::CarrierHook,
    maps: &HookMaps,
    netns: u32,
) -> Result<Attached, HookRefused> {
    if mode == config::CarrierHook::Off {
        return Err(HookRefused::Configured);
    }
    let btf = std::fs::read(VMLINUX_BTF).map_err(HookRefused::NoBtf)?;
    let types = KernelTypes::read(&btf, &FUNCTIONS.map(|function| function.name))?;
    let constants = constants(&types.netdev_layout()?, netns);
    let fentry = || by_fentry(maps, &constants, &types);
    let kprobe = || by_kprobe(maps, &constants);
    let only = |way| move |refusal| HookRefused::Way { way, refusal };
    match mode {
        config::CarrierHook::Off => Err(HookRefused::Configured),
        config::CarrierHook::Fentry => fentry().map_err(only(HookKind::Fentry)),
        config::CarrierHook::Kprobe => kprobe().map_err(only(HookKind::Kprobe)),
        config::CarrierHook::Auto => fentry()
            .or_else(|fentry| kprobe().map_err(|kprobe| HookRefused::Both { fentry, kprobe })),
    }
}

/// The programs' globals.
fn constants(layout: &NetdevLayout, netns: u32) -> [(&'static str, u32); 13] {
    [
        ("OFF_IFINDEX", layout.ifindex),
        ("OFF_NAME", layout.name),
        ("OFF_FLAGS", layout.flags),
        ("OFF_MTU", layout.mtu),
        ("OFF_OPERSTATE", layout.operstate),
        ("OFF_STATE", layout.state),
        ("OFF_REG_STATE", layout.reg_state),
        ("OFF_CARRIER_UP_COUNT", layout.carrier_up_count),
        ("OFF_CARRIER_DOWN_COUNT", layout.carrier_down_count),
        ("OFF_ND_NET", layout.nd_net),
        ("OFF_NET_INUM", layout.net_inum),
        ("NETNS_INUM", netns),
        ("ARGUMENT_REGISTER", ARGUMENT_REGISTER),
    ]
}

/// Which 8-byte register of `struct pt_regs` has a function's first argument: `di`,
/// or `regs[0]`. Elsewhere the object does not run: there is no kprobe for it.
const ARGUMENT_REGISTER: u32 = if cfg!(target_arch = "x86_64") { 14 } else { 0 };

fn by_fentry(
    maps: &HookMaps,
    constants: &[(&'static str, u32)],
    types: &KernelTypes<'_>,
) -> Result<Attached, Refusal> {
    let object = load(maps, constants, FUNCTIONS.map(|function| function.fentry))?;
    let hook = |function: &Function| -> Result<FunctionHook, Refusal> {
        let btf_id = types.function(function.name)?;
        let kind = ProgramKind::Fentry { btf_id };
        let program = object.load_program(function.fentry, kind)?;
        Ok(FunctionHook::fentry(program, function.symbol)?)
    };
    let [off, on] = &FUNCTIONS;
    Ok(Attached {
        kind: HookKind::Fentry,
        functions: [hook(off)?, hook(on)?],
    })
}

fn by_kprobe(maps: &HookMaps, constants: &[(&'static str, u32)]) -> Result<Attached, Refusal> {
    let object = load(maps, constants, FUNCTIONS.map(|function| function.kprobe))?;
    let hook = |function: &Function| -> Result<FunctionHook, Refusal> {
        let program = object.load_program(function.kprobe, ProgramKind::Kprobe)?;
        Ok(FunctionHook::kprobe(program, function.symbol)?)
    };
    let [off, on] = &FUNCTIONS;
    Ok(Attached {
        kind: HookKind::Kprobe,
        functions: [hook(off)?, hook(on)?],
    })
}

/// A program, and the verifier's work for it or why there was none.
pub type Verified = (&'static str, Result<u32, Refusal>);

/// What the verifier does for each of the hook's programs, in instructions
/// ([`Object::instructions_verified`]), or why it does nothing.
///
/// # Errors
/// Why there is no hook at all, for people to read.
pub fn verified(maps: &HookMaps, netns: u32) -> Result<Vec<Verified>, HookRefused> {
    let btf = std::fs::read(VMLINUX_BTF).map_err(HookRefused::NoBtf)?;
    let types = KernelTypes::read(&btf, &FUNCTIONS.map(|function| function.name))?;
    let constants = constants(&types.netdev_layout()?, netns);
    let fentry = |function: &Function| -> Result<u32, Refusal> {
        let object = load(maps, &constants, FUNCTIONS.map(|function| function.fentry))?;
        let btf_id = types.function(function.name)?;
        Ok(object.instructions_verified(function.fentry, ProgramKind::Fentry { btf_id })?)
    };
    let kprobe = |function: &Function| -> Result<u32, Refusal> {
        let object = load(maps, &constants, FUNCTIONS.map(|function| function.kprobe))?;
        Ok(object.instructions_verified(function.kprobe, ProgramKind::Kprobe)?)
    };
    let by_fentry = FUNCTIONS.iter().map(|f| (f.fentry, fentry(f)));
    let by_kprobe = FUNCTIONS.iter().map(|f| (f.kprobe, kprobe(f)));
    Ok(by_fentry.chain(by_kprobe).collect())
}

/// The programs, with the source's own ring and counters.
fn load(
    maps: &HookMaps,
    constants: &[(&'static str, u32)],
    programs: [&'static str; 2],
) -> Result<Object, BpfError> {
    let maps = [
        (EVENTS, MapPlan::Shared(maps.events.as_fd())),
        (COUNTERS, MapPlan::Shared(maps.counters.as_fd())),
        (CONSTANTS, MapPlan::Constants(constants)),
    ];
    Object::load(OBJECT, &programs, &maps)
}
