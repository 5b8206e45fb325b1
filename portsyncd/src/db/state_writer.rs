//! The database writer: changes in, acknowledged rows of STATE_DB out.
//!
//! Owns the connection to STATE_DB, the batches that are under way on it, and
//! reconnecting. It never decides what to write, never drops a change silently
//! (each comes back as acknowledged or failed) and never waits: the road hands
//! it a batch and goes on.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use portsyncd_common::IfName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::{Level, enabled};

use super::DbError;
use super::address::DbAddress;
use super::backoff::Backoff;
use super::batch::{Batch, Stamps};
use super::resp::take_answer;
use super::state_row::RowEncoder;
use super::stream::DbStream;
use crate::clock::monotonic_ns;
use crate::table::Change;

/// What happened on the way to STATE_DB.
#[derive(Debug)]
pub enum WriterEvent {
    /// Connected, for the first time or again.
    Connected,
    /// The connection broke, or could not be made; a next attempt follows by
    /// itself. The changes may or may not have been written.
    Disconnected(DbError, Vec<Change>),
    /// Redis acknowledged a batch.
    Acked(Vec<Change>),
    /// A key holds something that is not a hash. The row is to be deleted and
    /// written again.
    WrongType(Vec<Change>),
    /// So many of the rows that were looked at are not there as ours.
    Looked {
        /// Rows without `netdev_oper_status`.
        missing: usize,
    },
}

/// Writes rows of STATE_DB.
pub struct StateWriter {
    address: Arc<DbAddress>,
    encoder: RowEncoder,
    timeout: Duration,
    backoff: Backoff,
    phase: Phase,
    /// Emptied batches, to be filled again.
    spare: Vec<Vec<Change>>,
}

enum Phase {
    Connecting(Pin<Box<dyn Future<Output = Result<DbStream, DbError>>>>),
    Pausing(Pin<Box<Sleep>>),
    Open(Box<Open>),
}

/// An open connection and what is under way on it.
struct Open {
    stream: DbStream,
    out: Vec<u8>,
    written: usize,
    answers: Vec<u8>,
    in_flight: VecDeque<Batch>,
    /// When Redis last answered anything.
    heard: Instant,
    /// Of the batch that was acknowledged last.
    stamps: Stamps,
    /// Armed when something is in flight, for the oldest batch or an older one.
    deadline: Option<Pin<Box<Sleep>>>,
}

const READ_BYTES: usize = 16 << 10;

impl StateWriter {
    /// A writer that starts to connect when it is first polled. `timeout` bounds
    /// connecting and each answer, `longest_pause` the pause between attempts.
    #[must_use]
    pub fn new(
        address: Arc<DbAddress>,
        alias: Option<&str>,
        timeout: Duration,
        longest_pause: Duration,
    ) -> Self {
        Self {
            encoder: RowEncoder::new(address.separator(), alias),
            timeout,
            backoff: Backoff::new(longest_pause),
            phase: Phase::Connecting(connect(Arc::clone(&address), timeout)),
            address,
            spare: Vec::new(),
        }
    }

    /// Whether changes can be submitted now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// How many batches are not yet acknowledged.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        match &self.phase {
            Phase::Open(open) => open.in_flight.len(),
            Phase::Connecting(_) | Phase::Pausing(_) => 0,
        }
    }

    /// When the batch that was acknowledged last went on its way.
    #[must_use]
    pub(crate) fn stamps(&self) -> Stamps {
        match &self.phase {
            Phase::Open(open) => open.stamps,
            Phase::Connecting(_) | Phase::Pausing(_) => Stamps::default(),
        }
    }

    /// An empty list to fill with the next changes.
    pub fn spare(&mut self) -> Vec<Change> {
        self.spare.pop().unwrap_or_default()
    }

    /// Gives a list back that is no longer needed.
    pub fn recycle(&mut self, mut changes: Vec<Change>) {
        const KEPT: usize = 4;
        if self.spare.len() < KEPT {
            changes.clear();
            self.spare.push(changes);
        }
    }

    /// Takes a batch to write. What the connection has room for goes out at once, before
    /// whatever else there is to do; the rest when the writer is next polled. While the writer
    /// is not open the batch comes back at once.
    ///
    /// # Errors
    /// The batch, when there is no connection.
    pub fn submit(&mut self, changes: Vec<Change>) -> Result<(), Vec<Change>> {
        let Phase::Open(open) = &mut self.phase else {
            return Err(changes);
        };
        for change in &changes {
            self.encoder.encode(&mut open.out, change);
        }
        let mut batch = Batch::of_changes(changes, self.encoder.tables());
        if enabled!(Level::TRACE) {
            batch.stamps.encoded_ns = monotonic_ns();
        }
        open.in_flight.push_back(batch);
        // A connection without room, or a broken one, is for the next poll, which is told.
        let _ = open.write(&mut Context::from_waker(Waker::noop()));
        Ok(())
    }

    /// Looks whether these rows are there, after everything submitted so far. Does
    /// nothing while the writer is not open.
    pub fn look(&mut self, rows: &[IfName]) {
        if let Phase::Open(open) = &mut self.phase
            && !rows.is_empty()
        {
            for row in rows {
                self.encoder.look(&mut open.out, row);
            }
            open.in_flight.push_back(Batch::of_look(rows.len()));
        }
    }

    /// Waits for the next event, writing and reading meanwhile. Cancel-safe.
    pub async fn next(&mut self) -> WriterEvent {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<WriterEvent> {
        loop {
            match &mut self.phase {
                Phase::Connecting(connecting) => match ready!(connecting.as_mut().poll(context)) {
                    Ok(stream) => {
                        self.phase = Phase::Open(Box::new(Open::new(stream)));
                        return Poll::Ready(WriterEvent::Connected);
                    }
                    Err(error) => return Poll::Ready(self.broken(error)),
                },
                Phase::Pausing(pause) => {
                    ready!(pause.as_mut().poll(context));
                    let attempt = connect(Arc::clone(&self.address), self.timeout);
                    self.phase = Phase::Connecting(attempt);
                }
                Phase::Open(open) => match ready!(open.poll(context, self.timeout)) {
                    Ok(event) => {
                        // Only a write that succeeded proves that Redis is well:
                        // one that is out of memory accepts connections.
                        self.backoff.reset();
                        return Poll::Ready(event);
                    }
                    Err(error) => return Poll::Ready(self.broken(error)),
                },
            }
        }
    }

    fn broken(&mut self, error: DbError) -> WriterEvent {
        let pause = Phase::Pausing(Box::pin(sleep(self.backoff.pause())));
        let lost = match std::mem::replace(&mut self.phase, pause) {
            Phase::Open(open) => open.in_flight.into_iter().flat_map(|b| b.changes).collect(),
            Phase::Connecting(_) | Phase::Pausing(_) => Vec::new(),
        };
        WriterEvent::Disconnected(error, lost)
    }
}

fn connect(
    address: Arc<DbAddress>,
    within: Duration,
) -> Pin<Box<dyn Future<Output = Result<DbStream, DbError>>>> {
    Box::pin(async move {
        match timeout(within, DbStream::connect(&address)).await {
            Ok(result) => result,
            Err(_) => Err(DbError::Timeout {
                what: address.connecting(),
                after_ms: within.as_millis(),
            }),
        }
    })
}

impl Open {
    fn new(stream: DbStream) -> Self {
        Self {
            stream,
            out: Vec::new(),
            written: 0,
            answers: Vec::new(),
            in_flight: VecDeque::new(),
            heard: Instant::now(),
            stamps: Stamps::default(),
            deadline: None,
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        within: Duration,
    ) -> Poll<Result<WriterEvent, DbError>> {
        self.write(context)?;
        loop {
            if let Some(event) = self.take_answers()? {
                return Poll::Ready(Ok(event));
            }
            if self.read(context)?.is_pending() {
                break;
            }
        }
        self.check_deadline(context, within)
    }

    fn write(&mut self, context: &mut Context<'_>) -> Result<(), DbError> {
        while self.written < self.out.len() {
            let stream = Pin::new(&mut self.stream);
            match stream.poll_write(context, &self.out[self.written..]) {
                Poll::Ready(Ok(0)) => return Err(DbError::Closed),
                Poll::Ready(Ok(written)) => self.written += written,
                Poll::Ready(Err(error)) => return Err(DbError::io("write")(error)),
                Poll::Pending => return Ok(()),
            }
        }
        if self.written > 0 {
            self.all_left();
            self.out.clear();
            self.written = 0;
            // TLS keeps what it could not send; sockets have nothing to flush.
            let _ = Pin::new(&mut self.stream)
                .poll_flush(context)
                .map_err(DbError::io("flush"))?;
        }
        Ok(())
    }

    /// Every batch that is under way has left.
    fn all_left(&mut self) {
        if enabled!(Level::TRACE) {
            let now_ns = monotonic_ns();
            for batch in self.in_flight.iter_mut().rev() {
                if batch.stamps.written_ns > 0 {
                    break;
                }
                batch.stamps.written_ns = now_ns;
            }
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> Result<Poll<()>, DbError> {
        let mut space = [std::mem::MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Err(error)) => Err(DbError::io("read")(error)),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Err(DbError::Closed),
            Poll::Ready(Ok(())) => {
                self.answers.extend_from_slice(buffer.filled());
                self.heard = Instant::now();
                Ok(Poll::Ready(()))
            }
        }
    }

    /// Takes whole answers until a batch is complete.
    fn take_answers(&mut self) -> Result<Option<WriterEvent>, DbError> {
        let mut rest = &self.answers[..];
        let mut complete = false;
        while let Some(batch) = self.in_flight.front_mut() {
            if batch.is_complete() {
                complete = true;
                break;
            }
            let Some(answer) = take_answer(&mut rest) else {
                break;
            };
            batch.answered(&answer)?;
        }
        let used = self.answers.len() - rest.len();
        self.answers.drain(..used);
        if !complete {
            return Ok(None);
        }
        Ok(self.in_flight.pop_front().map(|mut batch| {
            self.stamps = batch.stamps;
            if let Some(look) = batch.look {
                return WriterEvent::Looked {
                    missing: look.missing,
                };
            }
            if batch.wrong_type.is_empty() {
                return WriterEvent::Acked(batch.changes);
            }
            // The others of the batch were written; they come back acknowledged
            // with the next poll.
            let wrong = std::mem::take(&mut batch.wrong_type);
            batch.without(&wrong);
            self.in_flight.push_front(batch);
            WriterEvent::WrongType(wrong)
        }))
    }

    fn check_deadline(
        &mut self,
        context: &mut Context<'_>,
        within: Duration,
    ) -> Poll<Result<WriterEvent, DbError>> {
        // A slow Redis answers a long batch for longer than any single command.
        let waits = self
            .in_flight
            .front()
            .map(|batch| batch.sent.max(self.heard));
        let Some(oldest) = waits else {
            // Left armed: setting it for every batch would cost each change a timer.
            if self
                .deadline
                .as_ref()
                .is_some_and(|timer| timer.is_elapsed())
            {
                self.deadline = None;
            }
            return Poll::Pending;
        };
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(oldest + within)));
        // Armed for an earlier batch, it may fire early: then it is set anew.
        while deadline.as_mut().poll(context).is_ready() {
            if oldest + within <= Instant::now() {
                return Poll::Ready(Err(DbError::Timeout {
                    what: "a batch of HSET and DEL",
                    after_ms: within.as_millis(),
                }));
            }
            deadline.as_mut().reset(oldest + within);
        }
        Poll::Pending
    }
}

impl fmt::Debug for StateWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateWriter")
            .field("address", &self.address)
            .field("open", &self.is_open())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
