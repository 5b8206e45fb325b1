//! `/events`: every published change, to whoever looks.
//!
//! What is published is rendered once for all viewers and put into a ring of fixed length. A viewer
//! that does not read falls behind in it, never anybody else, and is told how many changes it
//! missed when it reads again. Nothing is rendered while nobody looks. In a storm a gulp's changes
//! of one port are folded into the last of them.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use hyper::body::Frame;
use portsyncd_common::IfName;
use rustc_hash::FxHashMap;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::timeout;

use crate::observe::ports::Transition;
use crate::observe::report;

/// Gulps that a viewer may be behind; in a storm one is some 90 kB.
const RING: usize = 16;
/// Viewers at a time: the other connections are for scrapes.
const MOST_VIEWERS: usize = 48;
/// Changes of one gulp that are told one by one; those beyond are folded.
const ONE_BY_ONE: usize = 256;
/// A sign of life on a line where nothing happens, so that proxies keep it open.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// What one answer streams.
pub(super) type EventStream = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>>>>;

/// Whoever looks at `/events`.
pub(in crate::observe) struct Viewers {
    ring: RefCell<Option<broadcast::Sender<Piece>>>,
    gulp: RefCell<Gulp>,
    /// Changes published so far.
    seq: Cell<u64>,
}

/// The changes of one gulp.
#[derive(Default)]
struct Gulp {
    one_by_one: Vec<Transition>,
    folded: FxHashMap<IfName, Transition>,
}

/// A gulp as it goes out.
#[derive(Clone)]
struct Piece {
    /// Changes published before it.
    before: u64,
    /// Changes published with it.
    upto: u64,
    text: Bytes,
}

impl Viewers {
    pub(in crate::observe) fn new() -> Self {
        Self {
            ring: RefCell::new(Some(broadcast::Sender::new(RING))),
            gulp: RefCell::default(),
            seq: Cell::new(0),
        }
    }

    fn is_anybody_there(&self) -> bool {
        let ring = self.ring.borrow();
        ring.as_ref().is_some_and(|ring| ring.receiver_count() > 0)
    }

    /// Takes a published change.
    pub(in crate::observe) fn tell(&self, transition: &Transition) {
        if !self.is_anybody_there() {
            self.seq.set(self.seq.get() + 1);
            return;
        }
        let mut gulp = self.gulp.borrow_mut();
        if gulp.one_by_one.len() < ONE_BY_ONE {
            gulp.one_by_one.push(*transition);
            return;
        }
        let folded = gulp.folded.entry(transition.name).and_modify(|before| {
            let (was, times) = (before.entry.was, before.entry.times + 1);
            *before = *transition;
            before.entry.was = was;
            before.entry.times = times;
        });
        folded.or_insert(*transition);
    }

    /// Sends what was taken since the last call.
    pub(in crate::observe) fn flush(&self) {
        let gulp = std::mem::take(&mut *self.gulp.borrow_mut());
        if gulp.one_by_one.is_empty() {
            return;
        }
        let before = self.seq.get();
        let mut upto = before;
        let mut text = Vec::with_capacity(gulp.one_by_one.len() * 256);
        for transition in gulp.one_by_one.iter().chain(gulp.folded.values()) {
            upto += u64::from(transition.entry.times);
            text.extend_from_slice(format!("id: {upto}\nevent: port\ndata: ").as_bytes());
            // A vector takes every byte.
            let _ = serde_json::to_writer(&mut text, &report::event(upto, transition));
            text.extend_from_slice(b"\n\n");
        }
        self.seq.set(upto);
        if let Some(ring) = &*self.ring.borrow() {
            let text = Bytes::from(text);
            // Nobody hears it where the last one has just left.
            let _ = ring.send(Piece { before, upto, text });
        }
    }

    /// A new viewer's events; `None`: there are too many viewers, or the daemon ends.
    pub(super) fn join(&self) -> Option<EventStream> {
        let ring = self.ring.borrow();
        let ring = ring.as_ref()?;
        if ring.receiver_count() >= MOST_VIEWERS {
            return None;
        }
        let begin = Begin(self.seq.get());
        let viewer = Viewer {
            ring: ring.subscribe(),
            heard: self.seq.get(),
            begin: Some(begin),
        };
        Some(Box::pin(unfold(viewer, Viewer::next)))
    }

    /// Everybody's stream ends.
    pub(in crate::observe) fn close(&self) {
        self.ring.borrow_mut().take();
    }
}

/// The first thing that a viewer is told: the changes published before.
struct Begin(u64);

struct Viewer {
    ring: broadcast::Receiver<Piece>,
    /// Changes that this viewer knows of.
    heard: u64,
    begin: Option<Begin>,
}

impl Viewer {
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, Infallible>, Self)> {
        if let Some(Begin(seq)) = self.begin.take() {
            let text = format!("retry: 2000\nevent: begin\ndata: {{\"seq\":{seq}}}\n\n");
            return Some((Ok(Frame::data(text.into())), self));
        }
        loop {
            let piece = match timeout(SIGN_OF_LIFE, self.ring.recv()).await {
                Ok(Ok(piece)) => piece,
                // What was skipped shows in the next one's numbers.
                Ok(Err(RecvError::Lagged(_))) => continue,
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => return Some((Ok(Frame::data(Bytes::from_static(b":\n\n"))), self)),
            };
            let missed = piece.before.saturating_sub(self.heard);
            self.heard = piece.upto;
            if missed == 0 {
                return Some((Ok(Frame::data(piece.text)), self));
            }
            let mut text = format!("event: missed\ndata: {{\"missed\":{missed}}}\n\n").into_bytes();
            text.extend_from_slice(&piece.text);
            return Some((Ok(Frame::data(text.into())), self));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::observe::ports::Entry;
    use crate::table::{Origin, PortState};

    fn transition(name: &str) -> Transition {
        let state = |oper_up| {
            Some(PortState {
                oper_up,
                admin_up: true,
                mtu: 9100,
            })
        };
        Transition {
            name: name.parse().unwrap(),
            entry: Entry {
                at_ns: 1_000_000,
                latency_us: Some(40),
                was: state(true),
                is: state(false),
                origin: Origin::Carrier,
                times: 1,
            },
            flaps: 1,
        }
    }

    async fn text(stream: &mut EventStream) -> String {
        let frame = stream.next().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_viewer_that_does_not_read_is_told_what_it_missed() {
        let viewers = Viewers::new();
        viewers.tell(&transition("Ethernet0"));
        viewers.flush();
        let mut stream = viewers.join().unwrap();
        assert!(
            text(&mut stream)
                .await
                .contains("event: begin\ndata: {\"seq\":1}")
        );
        let gulps = RING as u64 + 36;
        for _ in 0..gulps {
            viewers.tell(&transition("Ethernet0"));
            viewers.tell(&transition("Ethernet4"));
            viewers.flush();
        }
        let told = text(&mut stream).await;
        assert!(
            told.starts_with("event: missed\ndata: {\"missed\":72}\n\n"),
            "{told}"
        );
        assert_eq!(told.matches("event: port").count(), 2);
        assert!(told.contains("\"port\":\"Ethernet4\""), "{told}");
        viewers.close();
        let rest: Vec<_> = stream.collect().await;
        assert_eq!(rest.len(), RING - 1);
    }

    #[tokio::test]
    async fn a_storm_is_folded_and_counted() {
        let viewers = Viewers::new();
        let mut stream = viewers.join().unwrap();
        text(&mut stream).await;
        for _ in 0..1000 {
            viewers.tell(&transition("Ethernet0"));
        }
        viewers.flush();
        let told = text(&mut stream).await;
        assert_eq!(told.matches("event: port").count(), ONE_BY_ONE + 1);
        assert!(told.contains("\"times\":744"), "the rest in one");
        assert!(told.contains("id: 1000\n"));
    }

    #[test]
    fn there_is_a_bound_to_viewers() {
        let viewers = Viewers::new();
        let all: Vec<_> = std::iter::from_fn(|| viewers.join()).take(1000).collect();
        assert_eq!(all.len(), MOST_VIEWERS);
    }
}
