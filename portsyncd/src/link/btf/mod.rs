//! The running kernel's type information (BTF), as far as the carrier hook needs
//! it: where in `struct net_device` and `struct net` the fields lie that it reads.
//!
//! In: the bytes of `/sys/kernel/btf/vmlinux`. Out: a [`NetdevLayout`], and the
//! type ids of functions for fentry. An offset is never guessed: every field is
//! checked for its kind, its size and its place, and whatever is not as expected
//! is an error that names it. No type graph is built: one pass notes where the
//! types begin, and a few of them are followed.

mod blob;
mod error;
mod field;
#[cfg(test)]
mod tests;

pub use error::BtfError;

use blob::{Blob, Type, kind};
use field::{Field, Shape, find};

/// The structure and the functions that are looked up by name.
const NETDEV: &str = "net_device";

/// `int`, `unsigned int`, `unsigned long` and what `operstate` has been: one byte
/// before Linux 6.9, four since.
const INT: Shape = Shape::Integer {
    sizes: &[4],
    signed: true,
    wanted: "a signed integer of 4 bytes",
};
const UNSIGNED: Shape = Shape::Integer {
    sizes: &[4],
    signed: false,
    wanted: "an unsigned integer of 4 bytes",
};
const UNSIGNED_LONG: Shape = Shape::Integer {
    sizes: &[8],
    signed: false,
    wanted: "an unsigned integer of 8 bytes",
};
const OPERSTATE: Shape = Shape::Integer {
    sizes: &[1, 4],
    signed: false,
    wanted: "an unsigned integer of 1 or 4 bytes",
};

/// Where the fields lie, in bytes from the start of their structure. Of an
/// `operstate` of four bytes only the lowest is read: RFC 2863 knows seven values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of that name")]
pub struct NetdevLayout {
    pub ifindex: u32,
    pub name: u32,
    pub flags: u32,
    pub mtu: u32,
    pub operstate: u32,
    pub state: u32,
    pub reg_state: u32,
    pub carrier_up_count: u32,
    pub carrier_down_count: u32,
    /// `net_device.nd_net.net`.
    pub nd_net: u32,
    /// `net.ns.inum`.
    pub net_inum: u32,
}

/// BTF in which `struct net_device` and some functions have been found.
#[derive(Debug)]
pub struct KernelTypes<'a> {
    blob: Blob<'a>,
    netdev: Type<'a>,
    functions: Vec<(&'static str, Type<'a>)>,
}

impl<'a> KernelTypes<'a> {
    /// Looks for `struct net_device` and for `functions` in one pass.
    ///
    /// # Errors
    /// When it is no BTF, or has no such structure. A function that is not there
    /// is an error of [`function`](Self::function) only.
    pub fn read(bytes: &'a [u8], functions: &[&'static str]) -> Result<Self, BtfError> {
        // Offsets of bitfields and of a number's lowest byte are counted from there.
        if cfg!(target_endian = "big") {
            return Err(BtfError::Header);
        }
        let mut netdevs = Vec::new();
        let mut found = Vec::new();
        let blob = Blob::read(bytes, |blob, candidate| match candidate.kind() {
            kind::STRUCT if blob.is_called(candidate, NETDEV) => netdevs.push(*candidate),
            kind::FUNC => {
                for name in functions {
                    if blob.is_called(candidate, name) {
                        found.push((*name, *candidate));
                    }
                }
            }
            _ => {}
        })?;
        let [netdev] = netdevs[..] else {
            return Err(if netdevs.is_empty() {
                BtfError::Missing(NETDEV)
            } else {
                BtfError::Ambiguous(NETDEV)
            });
        };
        Ok(Self {
            blob,
            netdev,
            functions: found,
        })
    }

    /// Where the fields lie.
    ///
    /// # Errors
    /// Names the field that is not there, or not what it should be.
    pub fn netdev_layout(&self) -> Result<NetdevLayout, BtfError> {
        let blob = &self.blob;
        let of_netdev = |name, field, shape| find(blob, &self.netdev, name, field, shape);
        let ifindex = of_netdev("ifindex", "net_device.ifindex", INT)?;
        let name = of_netdev("name", "net_device.name", Shape::Text(16))?;
        let flags = of_netdev("flags", "net_device.flags", UNSIGNED)?;
        let mtu = of_netdev("mtu", "net_device.mtu", UNSIGNED)?;
        let operstate = of_netdev("operstate", "net_device.operstate", OPERSTATE)?;
        let state = of_netdev("state", "net_device.state", UNSIGNED_LONG)?;
        let reg_state = of_netdev("reg_state", "net_device.reg_state", Shape::Byte)?;
        let up = "net_device.carrier_up_count";
        let up = of_netdev("carrier_up_count", up, Shape::Atomic)?;
        let down = "net_device.carrier_down_count";
        let down = of_netdev("carrier_down_count", down, Shape::Atomic)?;
        let nd_net = of_netdev("nd_net", "net_device.nd_net", Shape::Structure)?;
        apart(&[
            ("net_device.ifindex", ifindex),
            ("net_device.name", name),
            ("net_device.flags", flags),
            ("net_device.mtu", mtu),
            ("net_device.operstate", operstate),
            ("net_device.state", state),
            ("net_device.reg_state", reg_state),
            ("net_device.carrier_up_count", up),
            ("net_device.carrier_down_count", down),
            ("net_device.nd_net", nd_net),
        ])?;

        // possible_net_t is empty in a kernel without network namespaces.
        let possible_net = blob.get(nd_net.type_id)?;
        let net = find(
            blob,
            &possible_net,
            "net",
            "possible_net_t.net",
            Shape::Pointer,
        )?;
        let net_struct = blob.bare(blob.get(net.type_id)?.target())?;
        let ns = find(blob, &net_struct, "ns", "net.ns", Shape::Structure)?;
        let ns_common = blob.get(ns.type_id)?;
        let inum = find(blob, &ns_common, "inum", "ns_common.inum", UNSIGNED)?;
        Ok(NetdevLayout {
            ifindex: ifindex.offset,
            name: name.offset,
            flags: flags.offset,
            mtu: mtu.offset,
            operstate: operstate.offset,
            state: state.offset,
            reg_state: reg_state.offset,
            carrier_up_count: up.offset,
            carrier_down_count: down.offset,
            // Both sums are within a structure that `find` has measured.
            nd_net: nd_net.offset + net.offset,
            net_inum: ns.offset + inum.offset,
        })
    }

    /// The id of a function whose only parameter is a netdev.
    ///
    /// # Errors
    /// When it is not there, or another function is.
    pub fn function(&self, name: &'static str) -> Result<u32, BtfError> {
        let mut called = self.functions.iter().filter(|(found, _)| *found == name);
        let (_, function) = called.next().ok_or(BtfError::Missing(name))?;
        if called.next().is_some() {
            return Err(BtfError::Ambiguous(name));
        }
        let prototype = self.blob.get(function.target())?;
        let mut parameters = prototype.parameters();
        let takes_netdev = match (parameters.next(), parameters.next()) {
            (Some(parameter), None) => {
                let pointer = self.blob.bare(parameter)?;
                pointer.kind() == kind::PTR
                    && self.blob.bare(pointer.target())?.id == self.netdev.id
            }
            _ => false,
        };
        if !takes_netdev {
            return Err(BtfError::Unlike {
                field: name,
                found: "a function of other parameters".to_owned(),
                wanted: "one that takes a struct net_device *",
            });
        }
        Ok(function.id)
    }
}

/// No two of a structure's fields share a byte.
fn apart(fields: &[(&'static str, Field)]) -> Result<(), BtfError> {
    for (index, (name, field)) in fields.iter().enumerate() {
        for (_, other) in &fields[..index] {
            if field.offset < other.offset + other.size && other.offset < field.offset + field.size
            {
                return Err(BtfError::Place {
                    field: name,
                    bit: field.offset * 8,
                    wrong: "shares a byte with another field",
                });
            }
        }
    }
    Ok(())
}
