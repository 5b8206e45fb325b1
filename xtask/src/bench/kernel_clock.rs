//! When the kernel sent a link message, by the kernel's own clock.
//!
//! The daemon's eBPF program on a socket of our own puts a time on every link
//! message of the namespace. Nobody waits for this ring, so nobody is woken: it is
//! read after a series. What the program costs is in every change alike.

use std::os::fd::AsFd;

use anyhow::{Context, Result};
use aya::maps::{Map, MapData, RingBuf};
use portsyncd_common::LinkRecord;
use portsyncd_sys::{MapPlan, Object, ProgramKind, attach_socket_filter};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::netlink::Route;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../portsyncd-ebpf/portsyncd-ebpf.o");

/// As `link.ring_buffer_kb` is by default: room for 14,563 records.
const RING_BYTES: u32 = 1 << 20;

/// The attached program.
pub(super) struct KernelClock {
    ring: RingBuf<MapData>,
    _socket: Route,
}

impl KernelClock {
    /// Attaches in the calling thread's namespace.
    pub(super) fn open() -> Result<Self> {
        // Before 5.11 maps count as locked memory; later it makes no difference, and a
        // refusal shows when the map is made.
        let unlimited = Rlimit {
            current: None,
            maximum: None,
        };
        let _ = setrlimit(Resource::Memlock, unlimited);
        let maps = [
            ("EVENTS", MapPlan::New(Some(RING_BYTES))),
            ("COUNTERS", MapPlan::New(None)),
        ];
        let mut object = Object::load(OBJECT, &["link_messages"], &maps)?;
        let program = object.load_program("link_messages", ProgramKind::SocketFilter)?;
        let events = MapData::from_fd(object.take_map("EVENTS")?)?;
        let socket = Route::unbound()?;
        attach_socket_filter(socket.as_fd(), program.as_fd()).context("SO_ATTACH_BPF")?;
        socket.join_link_group()?;
        Ok(Self {
            ring: RingBuf::try_from(Map::RingBuf(events))?,
            _socket: socket,
        })
    }

    /// The link messages since this was last asked; their times are nanoseconds
    /// of `CLOCK_MONOTONIC`.
    pub(super) fn records(&mut self) -> Vec<LinkRecord> {
        let mut records = Vec::new();
        self.drain(|record| records.push(*record));
        records
    }

    /// Takes the records out of the ring; how many there were.
    pub(super) fn drain(&mut self, mut take: impl FnMut(&LinkRecord)) -> u64 {
        let mut taken = 0;
        while let Some(item) = self.ring.next() {
            if let Some(bytes) = item.first_chunk() {
                take(&LinkRecord::from_bytes(bytes));
            }
            taken += 1;
        }
        taken
    }

    /// The times of the link's messages since the clock was last asked.
    pub(super) fn messages_of(&mut self, ifindex: u32) -> Vec<u64> {
        let records = self.records().into_iter();
        records
            .filter(|record| record.ifindex == ifindex)
            .map(|record| record.timestamp_ns)
            .collect()
    }
}

/// The same clock, now.
pub(super) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is ever negative (clock_gettime(2)).
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
}
