//! The way of a batch from the kernel to Redis, stage by stage, for whoever asks: at the log level
//! DEBUG each acknowledged batch leaves one line of times, in a storm some of them.
//!
//! Stamps go in, a line comes out after the acknowledgement, so that writing it delays nothing that
//! it tells of. Below that level a stage costs the look at the level and nothing else. It decides
//! nothing.

use std::collections::VecDeque;
use std::time::Instant;

use tracing::{Level, enabled, trace};

use crate::clock::monotonic_ns;
use crate::db::Stamps;
use crate::logging::budget::{Budget, per_second};
use crate::table::Change;

/// Twice what one change after the other makes, each from rest.
const LINES_PER_SECOND: u32 = 200;

/// Times of `CLOCK_MONOTONIC`, nanoseconds; 0 where none was taken.
#[derive(Clone, Copy, Debug, Default)]
struct Begun {
    woken: u64,
    taken: u64,
    /// The batch's first event, which tells one batch from another.
    since: u64,
}

/// What is under way, as far as it is followed.
#[derive(Debug)]
pub(super) struct Stages {
    now: Begun,
    under_way: VecDeque<Begun>,
    budget: Budget,
}

impl Stages {
    pub(super) fn new() -> Self {
        Self {
            now: Begun::default(),
            under_way: VecDeque::new(),
            budget: Budget::new(per_second(LINES_PER_SECOND)),
        }
    }

    /// The link source has something: the road is awake.
    pub(super) fn woken(&mut self) {
        if enabled!(Level::TRACE) {
            self.now.woken = monotonic_ns();
        }
    }

    /// Its records are in the port table.
    pub(super) fn taken(&mut self) {
        if enabled!(Level::TRACE) {
            self.now.taken = monotonic_ns();
        }
    }

    /// The writer took a batch with a change since `since_ns`.
    pub(super) fn handed(&mut self, since_ns: u64) {
        if enabled!(Level::TRACE) {
            self.under_way.push_back(Begun {
                since: since_ns,
                ..self.now
            });
        }
    }

    /// STATE_DB acknowledged a batch, which the writer stamped.
    pub(super) fn acked(&mut self, changes: &[Change], writer: Stamps, acked_ns: u64) {
        if !enabled!(Level::TRACE) {
            self.under_way.clear();
            return;
        }
        let Some(first) = changes.first() else {
            return;
        };
        // Those before it went with their connection, or the level was another then.
        while let Some(begun) = self.under_way.pop_front() {
            if begun.since == first.since_ns {
                self.tell(first, changes.len(), (begun, writer), acked_ns);
                return;
            }
        }
    }

    fn tell(
        &mut self,
        first: &Change,
        changes: usize,
        (begun, writer): (Begun, Stamps),
        acked_ns: u64,
    ) {
        let verdict = self.budget.allow(Instant::now());
        if verdict.suppressed > 0 {
            trace!("{} more batches not told of", verdict.suppressed);
        }
        if verdict.log {
            trace!(
                port = %first.name,
                changes,
                kernel_ns = begun.since,
                woken_ns = begun.woken,
                taken_ns = begun.taken,
                encoded_ns = writer.encoded_ns,
                written_ns = writer.written_ns,
                acked_ns,
                "acknowledged"
            );
        }
    }
}
