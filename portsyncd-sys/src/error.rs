//! Why the kernel does not run a program.

use std::io;

/// An object could not be loaded or one of its programs not attached.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    /// The object is not what this crate can load.
    #[error("the object: {0}")]
    Object(String),
    /// The object lacks a map or a program.
    #[error("the object has no {0}: it and the daemon are of different builds")]
    Missing(&'static str),
    /// The kernel refused to create, fill or freeze a map.
    #[error("{call} of {map}: {source}")]
    Map {
        /// The command of bpf(2).
        call: &'static str,
        /// The map's name.
        map: &'static str,
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
    /// The verifier's log has no account of its work.
    #[error("BPF_PROG_LOAD of {0}: the verifier does not say what it did")]
    Statistics(&'static str),
    /// The kernel has no kprobes, or hides that it has.
    #[error("{file}: {source}: kprobes are not in this kernel, or its /sys is not mounted")]
    NoKprobes {
        /// What would say how they are opened.
        file: &'static str,
        /// Why it does not.
        source: io::Error,
    },
    /// The kernel refused to run a program on a function.
    #[error("{call} on {function}: {source}")]
    Attach {
        /// The system call that was refused.
        call: &'static str,
        /// The kernel's function.
        function: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl BpfError {
    /// Whether the host forbids it (`EPERM`, `EACCES`), as opposed to not having it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        match self {
            Self::Map { source, .. }
            | Self::Program { source, .. }
            | Self::NoKprobes { source, .. }
            | Self::Attach { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::Object(_) | Self::Missing(_) | Self::Statistics(_) => false,
        }
    }
}
