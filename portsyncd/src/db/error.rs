//! What can go wrong between the daemon and Redis.

use std::io;

use redis::RedisResult;

use super::remedy;

/// A connection to Redis, or a command on it, failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The connection could not be made, or broke.
    #[error("{step}: {source}{}", remedy::of(&source.to_string()))]
    Io {
        /// What was being done.
        step: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Redis closed the connection.
    #[error("Redis closed the connection")]
    Closed,
    /// No answer in time.
    #[error("no answer to {what} within {after_ms} ms")]
    Timeout {
        /// What was asked.
        what: &'static str,
        /// `database.connection_timeout_secs`, in milliseconds.
        after_ms: u128,
    },
    /// Redis answered a command with an error.
    #[error("{command}: {error}{}", remedy::of(error))]
    Refused {
        /// The command.
        command: String,
        /// Redis's words.
        error: String,
    },
    /// An answer that is not what the command is answered with.
    #[error("{command}: unexpected answer {answer}")]
    Protocol {
        /// The command.
        command: &'static str,
        /// The start of the answer, escaped.
        answer: String,
    },
    /// The redis library's own error.
    #[error("{what}: {source}{}", remedy::of(&source.to_string()))]
    Redis {
        /// What was being done.
        what: &'static str,
        /// The library's account.
        source: redis::RedisError,
    },
    /// The address is of no use.
    #[error(transparent)]
    Address(#[from] super::address::AddressError),
    /// TLS could not be set up.
    #[error("TLS to Redis: {0}")]
    Tls(String),
}

impl DbError {
    pub(super) fn redis(what: &'static str) -> impl FnOnce(redis::RedisError) -> Self {
        move |source| Self::Redis { what, source }
    }

    pub(super) fn io(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { step, source }
    }

    /// An answer of a pipeline that goes on after errors: what the row itself is to
    /// blame for (it is no hash) is the row's; anything else, such as a user that may
    /// not read it, is the connection's, or rows would seem to be absent.
    ///
    /// # Errors
    /// Anything else.
    pub(super) fn unless_of_the_row<T>(
        what: &'static str,
        answer: RedisResult<T>,
    ) -> Result<RedisResult<T>, Self> {
        match answer {
            Err(source) if source.code().is_some_and(|code| code != "WRONGTYPE") => {
                Err(Self::Redis { what, source })
            }
            answer => Ok(answer),
        }
    }
}
