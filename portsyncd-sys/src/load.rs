//! Loading an eBPF object: the maps of the programs that are wanted are provided,
//! the programs relocated to them and verified by the kernel.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_prog_type};

use crate::maps::{MapPlan, provide, relocate};
use crate::{BpfError, syscall};

/// Room for the verifier's words about a program that it refuses.
const VERIFIER_LOG_BYTES: usize = 64 << 10;

/// `BPF_LOG_LEVEL1`: every step. `BPF_LOG_STATS`, since 5.2: how much it was, in the end
/// (`include/linux/bpf_verifier.h`).
const LOG_STEPS: u32 = 1;
const LOG_STATISTICS: u32 = 4;

/// What the kernel is told of a program when it verifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    /// For `SO_ATTACH_BPF`.
    SocketFilter,
    /// For a kprobe.
    Kprobe,
    /// For the entry of one function.
    Fentry {
        /// The function's type in the running kernel's BTF.
        btf_id: u32,
    },
}

/// Some of an object's programs, with their maps in the kernel.
#[derive(Debug)]
pub struct Object {
    object: aya_obj::Object,
    maps: HashMap<&'static str, OwnedFd>,
}

impl Object {
    /// Parses `bytes` and provides the maps of `programs`, which are `maps` and no
    /// others. The object's other programs and maps are left alone.
    ///
    /// # Errors
    /// [`BpfError::Object`], [`BpfError::Missing`] or [`BpfError::Map`].
    pub fn load(
        bytes: &[u8],
        programs: &[&'static str],
        maps: &[(&'static str, MapPlan<'_>)],
    ) -> Result<Self, BpfError> {
        let mut object =
            aya_obj::Object::parse(bytes).map_err(|error| BpfError::Object(error.to_string()))?;
        object
            .programs
            .retain(|name, _| programs.contains(&name.as_str()));
        let programs = object.programs.values();
        let wanted: Vec<_> = programs.map(aya_obj::Program::function_key).collect();
        object.functions.retain(|key, _| wanted.contains(key));
        let mut provided = HashMap::new();
        for (name, plan) in maps {
            provided.insert(*name, provide(&mut object, name, *plan)?);
        }
        relocate(&mut object, &provided)?;
        Ok(Self {
            object,
            maps: provided,
        })
    }

    /// Takes a map's descriptor.
    ///
    /// # Errors
    /// [`BpfError::Missing`].
    pub fn take_map(&mut self, name: &'static str) -> Result<OwnedFd, BpfError> {
        self.maps.remove(name).ok_or(BpfError::Missing(name))
    }

    /// Has the kernel verify a program.
    ///
    /// # Errors
    /// [`BpfError::Missing`] or [`BpfError::Program`].
    pub fn load_program(&self, name: &'static str, kind: ProgramKind) -> Result<OwnedFd, BpfError> {
        self.verify(name, kind, 0, &mut []).map_err(|error| {
            let BpfError::Program {
                program, source, ..
            } = error
            else {
                return error;
            };
            let mut log = vec![0; VERIFIER_LOG_BYTES];
            let refused_again = self.verify(name, kind, LOG_STEPS, &mut log).is_err();
            let verifier = if refused_again {
                last_words(&log)
            } else {
                String::new()
            };
            BpfError::Program {
                program,
                source,
                verifier,
            }
        })
    }

    /// How many instructions the verifier goes through until it knows that the program is
    /// safe: all ways through it, of which it gives up after a million.
    ///
    /// # Errors
    /// As [`load_program`](Self::load_program).
    pub fn instructions_verified(
        &self,
        name: &'static str,
        kind: ProgramKind,
    ) -> Result<u32, BpfError> {
        let mut log = vec![0; VERIFIER_LOG_BYTES];
        self.verify(name, kind, LOG_STATISTICS, &mut log)?;
        processed(&log).ok_or(BpfError::Statistics(name))
    }

    fn verify(
        &self,
        name: &'static str,
        kind: ProgramKind,
        log_level: u32,
        log: &mut [u8],
    ) -> Result<OwnedFd, BpfError> {
        let program = self.object.programs.get(name);
        let program = program.ok_or(BpfError::Missing(name))?;
        let function = self.object.functions.get(&program.function_key());
        let instructions = &function.ok_or(BpfError::Missing(name))?.instructions;
        let mut attr = syscall::zeroed();
        // SAFETY: every field of the union is plain integers, and the rest of it is zero.
        let request = unsafe { &mut attr.__bindgen_anon_3 };
        match kind {
            ProgramKind::SocketFilter => {
                request.prog_type = bpf_prog_type::BPF_PROG_TYPE_SOCKET_FILTER as u32;
            }
            ProgramKind::Kprobe => {
                request.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
            }
            ProgramKind::Fentry { btf_id } => {
                request.prog_type = bpf_prog_type::BPF_PROG_TYPE_TRACING as u32;
                request.expected_attach_type = bpf_attach_type::BPF_TRACE_FENTRY as u32;
                request.attach_btf_id = btf_id;
            }
        }
        request.insns = instructions.as_ptr() as u64;
        request.insn_cnt = u32::try_from(instructions.len()).unwrap_or(u32::MAX);
        request.license = program.license.as_ptr() as u64;
        if !log.is_empty() {
            request.log_level = log_level;
            request.log_buf = log.as_mut_ptr() as u64;
            request.log_size = u32::try_from(log.len()).unwrap_or_default();
        }
        // SAFETY: instructions, licence (NUL-terminated, from a CString) and log outlive the
        // call, and their lengths are given.
        unsafe { syscall::new_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr) }.map_err(|source| {
            BpfError::Program {
                program: name,
                source,
                verifier: String::new(),
            }
        })
    }
}

/// The number in `processed N insns (limit 1000000) ...`.
fn processed(log: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(log);
    let (_, rest) = text.split_once("processed ")?;
    rest.split(' ').next()?.parse().ok()
}

/// The verifier's last line that says something, ready to be appended.
fn last_words(log: &[u8]) -> String {
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let text = String::from_utf8_lossy(&log[..end]);
    let words = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty() && !line.starts_with("processed "));
    words.map_or_else(String::new, |line| format!(": {}", line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifiers_account_is_read() {
        let said = b"verification time 120 usec\nstack depth 96\nprocessed 1234 insns (limit \
                     1000000) max_states_per_insn 4 total_states 60 peak_states 60 mark_read 5\n\0\0";
        assert_eq!(processed(said), Some(1234));
        assert_eq!(processed(b"\0\0"), None);
    }
}
