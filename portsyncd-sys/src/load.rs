//! Loading an eBPF object: its maps are created, its programs relocated to them
//! and verified by the kernel.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use aya_obj::generated::{bpf_cmd, bpf_prog_type};
use aya_obj::maps::Map;

use crate::syscall;

/// Room for the verifier's words about a program that it refuses.
const VERIFIER_LOG_BYTES: usize = 64 << 10;

/// Why an object could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    /// The object is not what this crate can load.
    #[error("the object: {0}")]
    Object(String),
    /// The object lacks a map or a program.
    #[error("the object has no {0}: it and the daemon are of different builds")]
    Missing(&'static str),
    /// The kernel refused to create a map.
    #[error("BPF_MAP_CREATE of {map}: {source}")]
    Map {
        /// The map's name.
        map: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused a program.
    #[error("BPF_PROG_LOAD of {program}: {source}{verifier}")]
    Program {
        /// The program's name.
        program: &'static str,
        /// The kernel's answer.
        source: io::Error,
        /// The verifier's last words, with ": " before them, or nothing.
        verifier: String,
    },
}

/// An object whose maps exist in the kernel.
#[derive(Debug)]
pub struct Object {
    object: aya_obj::Object,
    maps: HashMap<String, OwnedFd>,
}

impl Object {
    /// Parses `bytes` and creates the object's maps; `sizes` overrides the number
    /// of entries (for a ring: bytes) of those it names.
    ///
    /// # Errors
    /// [`BpfError::Object`] or [`BpfError::Map`].
    pub fn load(bytes: &[u8], sizes: &[(&str, u32)]) -> Result<Self, BpfError> {
        let parse = |error: &dyn std::error::Error| BpfError::Object(error.to_string());
        let mut object = aya_obj::Object::parse(bytes).map_err(|error| parse(&error))?;
        let mut definitions = std::mem::take(&mut object.maps);
        let mut maps = HashMap::new();
        for (name, map) in &mut definitions {
            if let Some((_, size)) = sizes.iter().find(|(sized, _)| sized == name) {
                map.set_max_entries(*size);
            }
            let fd = create(name, map).map_err(|source| BpfError::Map {
                map: name.clone(),
                source,
            })?;
            maps.insert(name.clone(), fd);
        }
        let placed = definitions.iter().filter_map(|(name, map)| {
            let fd = maps.get(name)?;
            Some((name.as_str(), fd.as_raw_fd(), map))
        });
        object
            .relocate_maps(placed, &HashSet::new())
            .map_err(|error| parse(&error))?;
        Ok(Self { object, maps })
    }

    /// Takes a map's descriptor.
    ///
    /// # Errors
    /// [`BpfError::Missing`].
    pub fn take_map(&mut self, name: &'static str) -> Result<OwnedFd, BpfError> {
        self.maps.remove(name).ok_or(BpfError::Missing(name))
    }

    /// Has the kernel verify a socket filter.
    ///
    /// # Errors
    /// [`BpfError::Missing`] or [`BpfError::Program`].
    pub fn load_socket_filter(&self, name: &'static str) -> Result<OwnedFd, BpfError> {
        let program = self.object.programs.get(name);
        let program = program.ok_or(BpfError::Missing(name))?;
        let function = self.object.functions.get(&program.function_key());
        let instructions = &function.ok_or(BpfError::Missing(name))?.instructions;
        let load = |log: &mut [u8]| {
            let mut attr = syscall::zeroed();
            // SAFETY: every field of the union is plain integers, and the rest of
            // it is zero.
            let request = unsafe { &mut attr.__bindgen_anon_3 };
            request.prog_type = bpf_prog_type::BPF_PROG_TYPE_SOCKET_FILTER as u32;
            request.insns = instructions.as_ptr() as u64;
            request.insn_cnt = u32::try_from(instructions.len()).unwrap_or(u32::MAX);
            request.license = program.license.as_ptr() as u64;
            if !log.is_empty() {
                request.log_level = 1;
                request.log_buf = log.as_mut_ptr() as u64;
                request.log_size = u32::try_from(log.len()).unwrap_or_default();
            }
            // SAFETY: instructions, licence (NUL-terminated, from a CString) and
            // log outlive the call, and their lengths are given.
            unsafe { syscall::new_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr) }
        };
        load(&mut []).map_err(|source| {
            let mut log = vec![0; VERIFIER_LOG_BYTES];
            let refused_again = load(&mut log).is_err();
            BpfError::Program {
                program: name,
                source,
                verifier: if refused_again {
                    last_words(&log)
                } else {
                    String::new()
                },
            }
        })
    }
}

fn create(name: &str, map: &Map) -> io::Result<OwnedFd> {
    let mut attr = syscall::zeroed();
    // SAFETY: every field of the union is plain integers, and the rest of it is
    // zero.
    let request = unsafe { &mut attr.__bindgen_anon_1 };
    request.map_type = map.map_type();
    request.key_size = map.key_size();
    request.value_size = map.value_size();
    request.max_entries = map.max_entries();
    request.map_flags = map.map_flags();
    // The last byte stays NUL.
    let room = request.map_name.len() - 1;
    for (to, from) in request.map_name[..room].iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    // SAFETY: BPF_MAP_CREATE of these types follows no pointer.
    unsafe { syscall::new_fd(bpf_cmd::BPF_MAP_CREATE, &mut attr) }
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
