//! The eBPF source: link records from the kernel's own context.
//!
//! Owns the socket that the filter is attached to and the user side of the ring,
//! into which the carrier hook writes as well, where there is one. The filter runs for every link message before it would
//! be queued and returns 0, so nothing is ever queued: no `ENOBUFS`, no message
//! copied, no system call per event.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use portsyncd_common::{LinkRecord, counter, malformed, msg};
use portsyncd_sys::{
    BpfError, Counters, MapPlan, Object, ProgramKind, Ring, Watched, attach_socket_filter, watch,
};
use rustix::net::SocketFlags;
use tokio::io::unix::AsyncFd;

use super::carrier::HookMaps;
use super::memlock;
use super::object::{COUNTERS, EVENTS, LINK_MESSAGES, OBJECT};
use super::socket::RouteSocket;
use super::{Accounts, DRAIN_BOUND, Drained, LinkError, LossReason};

const WHAT: &str = "eBPF link socket";
/// The header that the kernel puts before each record (`BPF_RINGBUF_HDR_SZ`).
const RING_HEADER_BYTES: u64 = 8;

/// The attached program and its ring.
pub struct EbpfSource {
    ring: Ring,
    wake: AsyncFd<Watched>,
    counters: Counters,
    /// Their map, for the hook to share.
    counters_fd: OwnedFd,
    /// Records taken since the counters were last read.
    since_check: u64,
    /// Read the counters after this many records.
    check_after: u64,
    lost: u64,
    /// Keeps the program attached.
    _socket: RouteSocket,
}

impl EbpfSource {
    /// Loads the object and attaches it in the calling thread's network
    /// namespace. `ring_bytes` is a power of two and a multiple of the page size.
    ///
    /// # Errors
    /// When the host does not allow it; the reason is for people to read.
    pub fn open(ring_bytes: u32) -> Result<Self, LinkError> {
        memlock::lift();
        let maps = [
            (EVENTS, MapPlan::New(Some(ring_bytes))),
            (COUNTERS, MapPlan::New(None)),
        ];
        let mut object =
            Object::load(OBJECT, &[LINK_MESSAGES], &maps).map_err(|error| refusal(&error))?;
        let program = object
            .load_program(LINK_MESSAGES, ProgramKind::SocketFilter)
            .map_err(|error| refusal(&error))?;
        let socket = RouteSocket::open(WHAT, SocketFlags::NONBLOCK)?;
        // Attached before it joins the group: no message can be queued unseen.
        attach_socket_filter(socket.as_fd(), program.as_fd())
            .map_err(|error| failed("attaching the socket filter", &error))?;
        let mut take = |name| object.take_map(name).map_err(|error| refusal(&error));
        let (events, counters_fd) = (take(EVENTS)?, take(COUNTERS)?);
        let ring =
            Ring::map(events, ring_bytes).map_err(|error| failed("mapping the ring", &error))?;
        let counters = Counters::map(counters_fd.as_fd(), counter::COUNT)
            .map_err(|error| failed("mapping its counters", &error))?;
        let wake = watch(ring.as_fd()).map_err(|source| LinkError::Poll {
            what: "eBPF ring",
            source,
        })?;
        socket.join_link_group()?;
        let record_bytes = LinkRecord::SIZE as u64 + RING_HEADER_BYTES;
        Ok(Self {
            ring,
            wake,
            counters,
            counters_fd,
            since_check: 0,
            check_after: (u64::from(ring_bytes) / record_bytes / 2).max(1),
            lost: 0,
            _socket: socket,
        })
    }

    /// What the verifier does for the socket filter, in instructions
    /// ([`Object::instructions_verified`]).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn verified(&self) -> Result<(&'static str, u32), LinkError> {
        let shared = self.hook_maps()?;
        let maps = [
            (EVENTS, MapPlan::Shared(shared.events.as_fd())),
            (COUNTERS, MapPlan::Shared(shared.counters.as_fd())),
        ];
        let object = Object::load(OBJECT, &[LINK_MESSAGES], &maps);
        let verified = object.and_then(|object| {
            object.instructions_verified(LINK_MESSAGES, ProgramKind::SocketFilter)
        });
        Ok((LINK_MESSAGES, verified.map_err(|error| refusal(&error))?))
    }

    pub(super) async fn readable(&mut self) -> Result<(), LinkError> {
        let mut guard = self
            .wake
            .readable()
            .await
            .map_err(|source| LinkError::Poll {
                what: "eBPF ring",
                source,
            })?;
        // Cleared before the drain: what comes during it sets it again.
        guard.clear_ready();
        Ok(())
    }

    pub(super) fn drain(&mut self, mut take: impl FnMut(&LinkRecord)) -> Drained {
        let mut drained = Drained::default();
        let mut unreadable = 0;
        while drained.records < DRAIN_BOUND {
            let Some(record) = self
                .ring
                .next(|bytes| bytes.first_chunk().map(LinkRecord::from_bytes))
            else {
                break;
            };
            drained.records += 1;
            match record {
                Some(record) => {
                    unreadable += u64::from(record.malformed != malformed::NOT);
                    drained.carrier += u64::from(matches!(
                        record.msg_type,
                        msg::CARRIER_OFF | msg::CARRIER_ON
                    ));
                    take(&record);
                }
                None => unreadable += 1,
            }
        }
        drained.more = drained.records == DRAIN_BOUND;
        if unreadable > 0 {
            drained.lost = Some((LossReason::Malformed, unreadable));
        }
        // A loss means that the ring was full at some moment, and so at least a
        // ring's worth of records is taken after it: no loss goes unseen, and an
        // isolated event costs no look at them.
        self.since_check += drained.records;
        if self.since_check >= self.check_after {
            self.since_check = 0;
            let lost = self.accounts().lost + self.carrier_accounts().lost;
            if lost > self.lost {
                drained.lost = Some((LossReason::RingFull, lost - self.lost));
                self.lost = lost;
            }
        }
        drained
    }

    pub(super) fn accounts(&self) -> Accounts {
        Accounts {
            seen: self.counters.read(counter::SEEN),
            submitted: self.counters.read(counter::SUBMITTED),
            lost: self.counters.read(counter::LOST),
        }
    }

    pub(super) fn carrier_accounts(&self) -> Accounts {
        Accounts {
            seen: self.counters.read(counter::CARRIER_SEEN),
            submitted: self.counters.read(counter::CARRIER_SUBMITTED),
            lost: self.counters.read(counter::CARRIER_LOST),
        }
    }

    /// The ring and the counters, for a carrier hook to share.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn hook_maps(&self) -> Result<HookMaps, LinkError> {
        Ok(HookMaps {
            events: duplicate(self.ring.as_fd())?,
            counters: duplicate(self.counters_fd.as_fd())?,
        })
    }
}

impl fmt::Debug for EbpfSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EbpfSource")
            .field("check_after", &self.check_after)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, LinkError> {
    fd.try_clone_to_owned()
        .map_err(|error| failed("sharing its maps", &error))
}

fn failed(step: &'static str, error: &dyn std::error::Error) -> LinkError {
    LinkError::Ebpf {
        step,
        reason: error.to_string(),
        forbidden: false,
    }
}

fn refusal(error: &BpfError) -> LinkError {
    LinkError::Ebpf {
        step: "loading",
        reason: error.to_string(),
        forbidden: error.is_forbidden(),
    }
}
