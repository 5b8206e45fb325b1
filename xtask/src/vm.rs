//! Virtual machines with Debian's kernels, to see our programs where they will run.

pub(crate) mod image;
pub(crate) mod kernels;
