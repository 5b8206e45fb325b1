//! Link messages read a second time, the plain way: slices, a map, no bounds but
//! the message's own. Written from rtnetlink(7), not from the parser.

use std::collections::BTreeMap;

use portsyncd_common::{IFNAMSIZ, LinkRecord, MAX_ATTRIBUTES, kind, present};

const HEADERS: usize = 32;
/// The parser takes nothing longer for a link message.
const LONGEST: usize = 1 << 18;
/// As far as the parser looks into `IFLA_LINKINFO`.
const LINKINFO_ATTRIBUTES: usize = 6;

/// What a record of this message has to say; `None`: it cannot be read whole.
pub(super) fn read(bytes: &[u8]) -> Option<LinkRecord> {
    let length = usize::try_from(word(bytes, 0)?).ok()?;
    if !(HEADERS..=bytes.len().min(LONGEST)).contains(&length) {
        return None;
    }
    let found = attributes(&bytes[HEADERS..length], MAX_ATTRIBUTES as usize)?;
    if found.len() > MAX_ATTRIBUTES as usize {
        return None;
    }
    // The last of several of one type counts.
    let last: BTreeMap<u16, &[u8]> = found.into_iter().collect();
    let mut record = LinkRecord {
        msg_type: u16::from_ne_bytes([bytes[4], bytes[5]]),
        family: bytes[16],
        ifindex: word(bytes, 20)?,
        flags: word(bytes, 24)?,
        change: word(bytes, 28)?,
        present: present::NAME,
        ..LinkRecord::default()
    };
    let name = *last.get(&3)?;
    if !(2..=IFNAMSIZ).contains(&name.len()) || name[0] == 0 || name[name.len() - 1] != 0 {
        return None;
    }
    record.name[..name.len()].copy_from_slice(name);
    for (nla_type, bit, field) in [
        (4, present::MTU, &mut record.mtu),
        (10, present::MASTER, &mut record.master),
        (47, present::CARRIER_UP_COUNT, &mut record.carrier_up_count),
        (
            48,
            present::CARRIER_DOWN_COUNT,
            &mut record.carrier_down_count,
        ),
    ] {
        if let Some(value) = last.get(&nla_type) {
            *field = u32::from_ne_bytes((*value).try_into().ok()?);
            record.present |= bit;
        }
    }
    for (nla_type, bit, field) in [
        (16, present::OPERSTATE, &mut record.operstate),
        (33, present::CARRIER, &mut record.carrier),
    ] {
        if let Some(value) = last.get(&nla_type) {
            [*field] = (*value).try_into().ok()?;
            record.present |= bit;
        }
    }
    if let Some(linkinfo) = last.get(&18)
        && is_team(linkinfo)?
    {
        record.kind = kind::TEAM;
    }
    Some(record)
}

/// The first `IFLA_INFO_KIND` decides, and nothing behind it is looked at.
fn is_team(linkinfo: &[u8]) -> Option<bool> {
    let mut rest = linkinfo;
    for _ in 0..LINKINFO_ATTRIBUTES {
        let Some((nla_type, value, behind)) = next(rest)? else {
            break;
        };
        if nla_type == 1 {
            return Some(value == b"team\0");
        }
        rest = behind;
    }
    Some(false)
}

/// Up to one more than `most`; `None` where a length is wrong before that.
fn attributes(bytes: &[u8], most: usize) -> Option<Vec<(u16, &[u8])>> {
    let (mut rest, mut found) = (bytes, Vec::new());
    while found.len() <= most {
        let Some((nla_type, value, behind)) = next(rest)? else {
            break;
        };
        found.push((nla_type, value));
        rest = behind;
    }
    Some(found)
}

/// The first attribute and what is behind it; `Some(None)` at the end.
#[expect(clippy::type_complexity, reason = "type, value, the rest")]
fn next(bytes: &[u8]) -> Option<Option<(u16, &[u8], &[u8])>> {
    if bytes.len() < 4 {
        return Some(None);
    }
    let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
    let nla_type = u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff;
    let value = bytes.get(4..length)?;
    let behind = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    Some(Some((nla_type, value, behind)))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*word))
}
