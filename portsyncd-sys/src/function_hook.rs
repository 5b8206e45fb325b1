//! Running a program whenever the kernel enters one of its functions.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use aya_obj::generated::{
    PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_BPF, PERF_FLAG_FD_CLOEXEC, bpf_cmd, bpf_prog_info,
    perf_event_attr,
};

use crate::{BpfError, syscall};

/// Where the kernel says which type of perf event a kprobe is.
const KPROBE_TYPE: &str = "/sys/bus/event_source/devices/kprobe/type";

/// A program that runs on a function until this is dropped.
#[derive(Debug)]
pub struct FunctionHook {
    /// The link, or the perf event.
    _fd: OwnedFd,
    program: OwnedFd,
}

impl FunctionHook {
    /// Attaches a program that was loaded for the entry of `function`, which is
    /// only named in errors: the program knows it.
    ///
    /// # Errors
    /// [`BpfError::Attach`].
    pub fn fentry(program: OwnedFd, function: &'static CStr) -> Result<Self, BpfError> {
        let mut attr = syscall::zeroed();
        // SAFETY: every field of the union is plain integers, and the rest of it
        // is zero.
        let request = unsafe { &mut attr.raw_tracepoint };
        request.prog_fd = syscall::fd_number(&program);
        // SAFETY: the only pointer is the tracepoint's name, which is null: a
        // tracing program has none.
        let link = unsafe { syscall::new_fd(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr) };
        let link = link.map_err(refused("BPF_RAW_TRACEPOINT_OPEN", function))?;
        Ok(Self { _fd: link, program })
    }

    /// Puts a kprobe on `function` and runs the program there.
    ///
    /// # Errors
    /// [`BpfError::NoKprobes`] or [`BpfError::Attach`].
    pub fn kprobe(program: OwnedFd, function: &'static CStr) -> Result<Self, BpfError> {
        let event = open_kprobe(kprobe_type()?, function)
            .map_err(refused("perf_event_open of a kprobe", function))?;
        ioctl(&event, PERF_EVENT_IOC_SET_BPF, program.as_raw_fd())
            .map_err(refused("PERF_EVENT_IOC_SET_BPF", function))?;
        ioctl(&event, PERF_EVENT_IOC_ENABLE, 0)
            .map_err(refused("PERF_EVENT_IOC_ENABLE", function))?;
        Ok(Self {
            _fd: event,
            program,
        })
    }

    /// How often the kernel did not run the program, because it, or for a kprobe any
    /// other, was running on that CPU already (`recursion_misses`,
    /// `__bpf_prog_enter_recur` and `trace_call_bpf`). Always 0 before 5.12, which
    /// does not count it.
    ///
    /// # Errors
    /// The kernel's answer to `BPF_OBJ_GET_INFO_BY_FD`.
    pub fn missed(&self) -> io::Result<u64> {
        // SAFETY: the structure is integers and arrays of them, for which all-zero
        // bytes are a value; a kernel that knows less of it leaves the rest zero.
        let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
        let mut attr = syscall::zeroed();
        // SAFETY: every field of the union is plain integers, and the rest of it is
        // zero.
        let request = unsafe { &mut attr.info };
        request.bpf_fd = syscall::fd_number(&self.program);
        request.info_len = u32::try_from(size_of::<bpf_prog_info>()).map_err(io::Error::other)?;
        request.info = std::ptr::from_mut(&mut info) as u64;
        // SAFETY: `info` is as long as is said and outlives the call, and the arrays
        // that it could point to are null with a length of 0.
        unsafe { syscall::call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
        Ok(info.recursion_misses)
    }
}

fn refused(call: &'static str, function: &'static CStr) -> impl FnOnce(io::Error) -> BpfError {
    move |source| BpfError::Attach {
        call,
        function: function.to_str().unwrap_or_default(),
        source,
    }
}

fn kprobe_type() -> Result<u32, BpfError> {
    let missing = |source| BpfError::NoKprobes {
        file: KPROBE_TYPE,
        source,
    };
    let text = std::fs::read_to_string(KPROBE_TYPE).map_err(missing)?;
    let number = text.trim().parse();
    number.map_err(|_| missing(io::Error::new(io::ErrorKind::InvalidData, "not a number")))
}

/// `perf_event_open(2)` for the entry of `function`, disabled yet.
fn open_kprobe(kind: u32, function: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the attribute is integers and unions of integers, for which all-zero
    // bytes are a value.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = u32::try_from(size_of::<perf_event_attr>()).map_err(io::Error::other)?;
    attr.type_ = kind;
    attr.set_disabled(1);
    attr.__bindgen_anon_3.kprobe_func = function.as_ptr() as u64;
    // No process, and so a CPU: the program still runs on every one
    // (`perf_trace_run_bpf_submit` asks for none).
    let (process, cpu, group): (libc::pid_t, libc::c_int, RawFd) = (-1, 0, -1);
    // SAFETY: the attribute's size stands in it, and the function's name is
    // NUL-terminated and outlives the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_mut(&mut attr),
            process,
            cpu,
            group,
            libc::c_ulong::from(PERF_FLAG_FD_CLOEXEC),
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(answer).map_err(io::Error::other)?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn ioctl(event: &OwnedFd, call: u32, argument: RawFd) -> io::Result<()> {
    // SAFETY: both calls take an integer, no pointer.
    let answer = unsafe { libc::ioctl(event.as_raw_fd(), libc::Ioctl::from(call), argument) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
