//! The wire format of rtnetlink's link messages (netlink(7), rtnetlink(7)).

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;

use super::Netdev;

const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_CARRIER_DOWN_COUNT: u16 = 48;
const IFLA_INFO_KIND: u16 = 1;
const HEADERS: usize = 32;

pub(super) fn link_request(
    kind: u16,
    flags: u16,
    ifindex: u32,
    attributes: &[(u16, u32)],
) -> Vec<u8> {
    let mut request = vec![0; HEADERS];
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&flags.to_ne_bytes());
    request[20..24].copy_from_slice(&ifindex.to_ne_bytes());
    for (attribute, value) in attributes {
        request.extend(8u16.to_ne_bytes());
        request.extend(attribute.to_ne_bytes());
        request.extend(value.to_ne_bytes());
    }
    let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
    request[..4].copy_from_slice(&length.to_ne_bytes());
    request
}

pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    /// The whole message, headers included.
    pub(super) bytes: &'a [u8],
}

impl Message<'_> {
    pub(super) fn i32_at(&self, offset: usize) -> Result<i32> {
        let bytes = self
            .bytes
            .get(offset..offset + 4)
            .context("a netlink message is too short")?;
        Ok(i32::from_ne_bytes(bytes.try_into()?))
    }

    pub(super) fn error(&self) -> String {
        self.i32_at(16)
            .map_or_else(|e| e.to_string(), |code| Errno::from_raw(-code).to_string())
    }
}

pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Result<Message<'_>>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let message = take_message(datagram);
        datagram = match &message {
            Ok(m) => datagram
                .get(m.bytes.len().next_multiple_of(4)..)
                .unwrap_or_default(),
            Err(_) => &[],
        };
        Some(message)
    })
}

fn take_message(datagram: &[u8]) -> Result<Message<'_>> {
    let length = u32_at(datagram, 0)? as usize;
    ensure!(
        (16..=datagram.len()).contains(&length),
        "a netlink message says {length} of {} bytes",
        datagram.len()
    );
    Ok(Message {
        kind: u16_at(datagram, 4)?,
        flags: u16_at(datagram, 6)?,
        bytes: &datagram[..length],
    })
}

pub(super) fn netdev(message: &[u8]) -> Result<Netdev> {
    let mut netdev = Netdev {
        ifindex: u32_at(message, 20)?,
        name: String::new(),
        flags: u32_at(message, 24)?,
        mtu: 0,
        carrier_downs: 0,
        master: None,
        kind: None,
    };
    for attribute in attributes(&message[HEADERS.min(message.len())..]) {
        let (kind, value) = attribute?;
        match kind {
            IFLA_IFNAME => netdev.name = text(value),
            IFLA_MTU => netdev.mtu = u32_at(value, 0)?,
            IFLA_CARRIER_DOWN_COUNT => netdev.carrier_downs = u32_at(value, 0)?,
            IFLA_MASTER => netdev.master = Some(u32_at(value, 0)?),
            IFLA_LINKINFO => {
                for inner in attributes(value) {
                    let (kind, value) = inner?;
                    if kind == IFLA_INFO_KIND {
                        netdev.kind = Some(text(value));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(netdev)
}

/// The attributes (`struct rtattr`) in `bytes`: type without its flags, payload.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8])>> {
    std::iter::from_fn(move || {
        if bytes.len() < 4 {
            return None;
        }
        let (length, kind) = match (u16_at(bytes, 0), u16_at(bytes, 2)) {
            (Ok(length), Ok(kind)) => (usize::from(length), kind & 0x3fff),
            (Err(error), _) | (_, Err(error)) => return Some(Err(error)),
        };
        let Some(payload) = bytes.get(4..length) else {
            bytes = &[];
            return Some(Err(anyhow::anyhow!(
                "an attribute of {length} bytes does not fit"
            )));
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok((kind, payload)))
    })
}

fn text(value: &[u8]) -> String {
    let end = value
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

fn u16_at(bytes: &[u8], offset: usize) -> Result<u16> {
    let field = bytes
        .get(offset..offset + 2)
        .context("a netlink message is too short")?;
    Ok(u16::from_ne_bytes(field.try_into()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Result<u32> {
    let field = bytes
        .get(offset..offset + 4)
        .context("a netlink message is too short")?;
    Ok(u32::from_ne_bytes(field.try_into()?))
}
