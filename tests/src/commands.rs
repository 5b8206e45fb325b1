//! What Redis is told, by its own account (MONITOR): every command with its
//! arguments, in the order in which they were carried out.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use redis::Value;

use crate::redis_server::RedisServer;

/// A listener to all commands; its thread ends with the server.
pub struct Commands(Arc<Mutex<Vec<String>>>);

impl Commands {
    /// Listens from now on.
    pub fn watch(redis: &RedisServer) -> Result<Self> {
        let mut connection = redis.connect_patiently(0)?;
        redis::cmd("MONITOR")
            .exec(&mut connection)
            .context("MONITOR")?;
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                while let Ok(answer) = connection.recv_response() {
                    if let Value::SimpleString(line) = answer {
                        seen.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(line);
                    }
                }
            }
        });
        Ok(Self(seen))
    }

    /// Every line so far that holds `part`, such as `"PORT_TABLE|Ethernet0"`.
    #[must_use]
    pub fn about(&self, part: &str) -> Vec<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter()
            .filter(|line| line.contains(part))
            .cloned()
            .collect()
    }
}
