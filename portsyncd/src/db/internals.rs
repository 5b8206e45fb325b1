//! What is sent to Redis and read from it, for the fuzzers and the instruction counts.

use portsyncd_common::IfName;

use super::batch::Batch;
use super::resp::{Answer, take_answer};
use super::state_row::RowEncoder;
use super::{config_db, keys};
use crate::table::Change;

/// The port that this key of CONFIG_DB is a row of.
#[must_use]
pub fn port_name(key: &[u8]) -> Option<IfName> {
    let prefix = keys::row(keys::CONFIG_PORT_TABLE, '|', "");
    config_db::port_name(key, prefix.as_bytes())
}

/// The fields that go to APPL_DB after this answer to HGETALL; `None` where it cannot be read.
#[must_use]
pub fn port_fields(answer: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    config_db::fields(redis::parse_redis_value(answer)).ok()
}

/// Encodes changes as the state writer does.
#[derive(Debug)]
pub struct Encoder(RowEncoder);

impl Encoder {
    /// As `StateWriter::new`.
    #[must_use]
    pub fn new(separator: char, alias: Option<&str>) -> Self {
        Self(RowEncoder::new(separator, alias))
    }

    /// The bytes that go out for `change`.
    #[must_use]
    pub fn encode(&mut self, change: &Change) -> Vec<u8> {
        let mut out = Vec::new();
        self.append(&mut out, change);
        out
    }

    /// Appends them to `out`.
    pub fn append(&mut self, out: &mut Vec<u8>, change: &Change) {
        self.0.encode(out, change);
    }
}

/// What the state writer makes of a stream of answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Each answer, in words.
    pub outcomes: Vec<String>,
    /// Bytes that were taken; what is left is an answer that is not whole.
    pub taken: usize,
}

/// Takes answers from `pieces` as they arrive; rows are looked at, so that each answer counts.
///
/// # Panics
/// When a batch of looks is complete before each of them is answered, or later.
#[must_use]
pub fn answers<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Answers {
    const LOOKS: usize = 3;
    let mut waiting = Vec::new();
    let mut found = Answers::default();
    let (mut batch, mut answered) = (Batch::of_look(LOOKS), 0);
    for piece in pieces {
        waiting.extend_from_slice(piece);
        let mut rest = &waiting[..];
        while let Some(answer) = take_answer(&mut rest) {
            found.outcomes.push(format!("{answer:?}"));
            match batch.answered(&answer) {
                Ok(()) => answered += 1,
                Err(error) => {
                    let bad = matches!(answer, Answer::Error(_) | Answer::Unexpected(_));
                    assert!(bad, "{answer:?}: {error}");
                    (batch, answered) = (Batch::of_look(LOOKS), 0);
                }
            }
            assert_eq!(batch.is_complete(), answered == LOOKS);
            if batch.is_complete() {
                (batch, answered) = (Batch::of_look(LOOKS), 0);
            }
        }
        let taken = waiting.len() - rest.len();
        waiting.drain(..taken);
        found.taken += taken;
    }
    found
}
