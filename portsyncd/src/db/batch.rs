//! What is under way on the connection to STATE_DB, and its answers.

use tokio::time::Instant;

use super::DbError;
use super::resp::Answer;
use crate::table::Change;

/// Commands that were sent together, in the order of their answers: changes, or a
/// look at rows.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) changes: Vec<Change>,
    /// How many of them are answered whole.
    done: usize,
    /// Answers that came for the first of the others.
    answers: usize,
    /// Commands that a change is: this many for its deletion, as many to set it.
    tables: usize,
    pub(super) wrong_type: Vec<Change>,
    pub(super) look: Option<RowsLook>,
    pub(super) sent: Instant,
    pub(super) stamps: Stamps,
}

/// When a batch went on its way: `CLOCK_MONOTONIC`, nanoseconds; 0 unless the log is at DEBUG.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamps {
    /// It stands in the writer's buffer.
    pub(crate) encoded_ns: u64,
    /// Its last byte has left.
    pub(crate) written_ns: u64,
}

/// HEXISTS of `netdev_oper_status` in some rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowsLook {
    /// Answers that have not come.
    left: usize,
    /// Rows without the field.
    pub(super) missing: usize,
}

impl Batch {
    pub(super) fn of_changes(changes: Vec<Change>, tables: usize) -> Self {
        Self {
            changes,
            done: 0,
            answers: 0,
            tables,
            wrong_type: Vec::new(),
            look: None,
            sent: Instant::now(),
            stamps: Stamps::default(),
        }
    }

    pub(super) fn of_look(rows: usize) -> Self {
        let look = RowsLook {
            left: rows,
            missing: 0,
        };
        Self {
            look: Some(look),
            ..Self::of_changes(Vec::new(), 0)
        }
    }

    /// Whether every command is answered.
    pub(super) fn is_complete(&self) -> bool {
        self.done == self.changes.len() && self.look.is_none_or(|look| look.left == 0)
    }

    /// Leaves only the changes that were written, all of them answered.
    pub(super) fn without(&mut self, others: &[Change]) {
        self.changes
            .retain(|change| !others.iter().any(|other| other.name == change.name));
        self.done = self.changes.len();
    }

    /// Takes the next command's answer.
    pub(super) fn answered(&mut self, answer: &Answer<'_>) -> Result<(), DbError> {
        if let Some(look) = &mut self.look {
            return look.answered(answer);
        }
        let Some(change) = self.changes.get(self.done) else {
            return Ok(());
        };
        match answer {
            Answer::Done | Answer::Number(_) => {}
            Answer::Error(error) if error.starts_with(b"WRONGTYPE") => {
                if self.wrong_type.last() != Some(change) {
                    self.wrong_type.push(*change);
                }
            }
            Answer::Error(error) => {
                return Err(refused(
                    format!("HSET or DEL of PORT_TABLE, port {}", change.name),
                    error,
                ));
            }
            Answer::Unexpected(line) => return Err(unexpected("HSET or DEL", line)),
        }
        self.answers += 1;
        let parts = usize::from(change.delete) + usize::from(change.set.is_some());
        if self.answers == parts * self.tables {
            self.done += 1;
            self.answers = 0;
        }
        Ok(())
    }
}

impl RowsLook {
    fn answered(&mut self, answer: &Answer<'_>) -> Result<(), DbError> {
        let ours = match answer {
            Answer::Number(there) => *there == 1,
            Answer::Error(error) if error.starts_with(b"WRONGTYPE") => false,
            Answer::Error(error) => return Err(refused("HEXISTS of PORT_TABLE".to_owned(), error)),
            Answer::Done => false,
            Answer::Unexpected(line) => return Err(unexpected("HEXISTS", line)),
        };
        self.left -= 1;
        self.missing += usize::from(!ours);
        Ok(())
    }
}

fn refused(command: String, error: &[u8]) -> DbError {
    DbError::Refused {
        command,
        error: String::from_utf8_lossy(error).into_owned(),
    }
}

fn unexpected(command: &'static str, line: &[u8]) -> DbError {
    DbError::Protocol {
        command,
        answer: line.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Origin;

    fn change() -> Change {
        Change {
            name: "Ethernet0".parse().unwrap(),
            delete: true,
            set: None,
            was: None,
            origin: Origin::Republish,
            since_ns: 0,
        }
    }

    #[test]
    fn an_error_to_one_command_is_no_success_of_the_batch() {
        for words in ["OOM command not allowed", "READONLY You can't", "LOADING"] {
            let mut batch = Batch::of_changes(vec![change(), change()], 1);
            batch.answered(&Answer::Number(1)).unwrap();
            assert!(batch.answered(&Answer::Error(words.as_bytes())).is_err());
            assert!(!batch.is_complete(), "{words}");
        }
    }

    #[test]
    fn a_look_counts_the_rows_that_are_not_ours() {
        let mut batch = Batch::of_look(3);
        for answer in [
            Answer::Number(1),
            Answer::Number(0),
            Answer::Error(b"WRONGTYPE Operation"),
        ] {
            assert!(!batch.is_complete());
            batch.answered(&answer).unwrap();
        }
        assert!(batch.is_complete());
        assert_eq!(batch.look.unwrap().missing, 2);
    }
}
