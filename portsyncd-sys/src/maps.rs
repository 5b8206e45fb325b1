//! The maps that a program is given.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_attr, bpf_cmd};
use aya_obj::maps::Map;

use crate::BpfError;
use crate::syscall;

/// Where a map comes from.
#[derive(Clone, Copy, Debug)]
pub enum MapPlan<'a> {
    /// It is created, with this many entries (for a ring: bytes) if given.
    New(Option<u32>),
    /// It exists already; the program shares it.
    Shared(BorrowedFd<'a>),
    /// A section of constants (`.rodata`): created, filled with the object's own and
    /// these, by their names, and frozen, so that the verifier knows their values.
    Constants(&'a [(&'static str, u32)]),
}

/// Makes what `plan` says of the map `name`, whose definition is in `object`.
pub(crate) fn provide(
    object: &mut aya_obj::Object,
    name: &'static str,
    plan: MapPlan<'_>,
) -> Result<OwnedFd, BpfError> {
    let failed = |call| {
        move |source| BpfError::Map {
            call,
            map: name,
            source,
        }
    };
    if let MapPlan::Constants(constants) = plan {
        let bytes: Vec<_> = constants
            .iter()
            .map(|(_, value)| value.to_ne_bytes())
            .collect();
        let values: HashMap<&str, (&[u8], bool)> = constants
            .iter()
            .zip(&bytes)
            .map(|((name, _), bytes)| (*name, (&bytes[..], true)))
            .collect();
        object
            .patch_map_data(values)
            .map_err(|error| BpfError::Object(error.to_string()))?;
    }
    let map = object.maps.get_mut(name).ok_or(BpfError::Missing(name))?;
    match plan {
        MapPlan::Shared(fd) => fd.try_clone_to_owned().map_err(failed("a duplicate")),
        MapPlan::New(entries) => {
            if let Some(entries) = entries {
                map.set_max_entries(entries);
            }
            create(name, map).map_err(failed("BPF_MAP_CREATE"))
        }
        MapPlan::Constants(_) => {
            if u32::try_from(map.data().len()) != Ok(map.value_size()) {
                return Err(BpfError::Object(format!(
                    "{name} is not as long as it says"
                )));
            }
            let fd = create(name, map).map_err(failed("BPF_MAP_CREATE"))?;
            fill(&fd, map.data()).map_err(failed("BPF_MAP_UPDATE_ELEM"))?;
            freeze(&fd).map_err(failed("BPF_MAP_FREEZE"))?;
            Ok(fd)
        }
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
        // Signed on x86-64, unsigned on ARM64.
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // SAFETY: BPF_MAP_CREATE of these types follows no pointer.
    unsafe { syscall::new_fd(bpf_cmd::BPF_MAP_CREATE, &mut attr) }
}

/// Writes the one value of a section's map, which is as long as the map says.
fn fill(map: &OwnedFd, value: &[u8]) -> io::Result<()> {
    let key = 0_u32;
    let mut attr = syscall::zeroed();
    // SAFETY: as in `create`.
    let request = unsafe { &mut attr.__bindgen_anon_2 };
    request.map_fd = syscall::fd_number(map);
    request.key = std::ptr::from_ref(&key) as u64;
    request.__bindgen_anon_1.value = value.as_ptr() as u64;
    // SAFETY: the key has the four bytes of an array's index, the value as many as
    // the map's values, and both outlive the call.
    unsafe { syscall::call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }
}

fn freeze(map: &OwnedFd) -> io::Result<()> {
    let mut attr: bpf_attr = syscall::zeroed();
    // SAFETY: as in `create`.
    unsafe { &mut attr.__bindgen_anon_2 }.map_fd = syscall::fd_number(map);
    // SAFETY: BPF_MAP_FREEZE follows no pointer.
    unsafe { syscall::call(bpf_cmd::BPF_MAP_FREEZE, &mut attr) }
}

/// A program's references to `maps` become these descriptors.
pub(crate) fn relocate(
    object: &mut aya_obj::Object,
    maps: &HashMap<&'static str, OwnedFd>,
) -> Result<(), BpfError> {
    let definitions = std::mem::take(&mut object.maps);
    let placed = definitions.iter().filter_map(|(name, map)| {
        let fd = maps.get(name.as_str())?;
        Some((name.as_str(), fd.as_raw_fd(), map))
    });
    object
        .relocate_maps(placed, &std::collections::HashSet::new())
        .map_err(|error| BpfError::Object(error.to_string()))
}
