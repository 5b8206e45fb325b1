//! Redis at its barest (RESP2): bytes out, bytes in, one thread that blocks.
//!
//! What is measured against must not carry a client library's cost.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::PATIENCE;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A status or a string.
    Text(Vec<u8>),
    /// A number.
    Number(i64),
    /// Nothing there.
    Nil,
    /// Several.
    List(Vec<Reply>),
}

impl Reply {
    /// The text, replaced where it is not UTF-8.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => format!("{other:?}"),
        }
    }
}

/// Appends one command.
pub(super) fn command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.extend(format!("*{}\r\n", parts.len()).into_bytes());
    for part in parts {
        out.extend(format!("${}\r\n", part.len()).into_bytes());
        out.extend(*part);
        out.extend(b"\r\n");
    }
}

/// A blocking connection.
#[derive(Debug)]
pub(super) struct Redis {
    stream: UnixStream,
    input: Vec<u8>,
    used: usize,
    chunk: Box<[u8]>,
}

impl Redis {
    /// Connects and selects a database.
    pub(super) fn connect(socket: &Path, db: u32) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut redis = Self {
            stream,
            input: Vec::new(),
            used: 0,
            chunk: vec![0; 64 << 10].into_boxed_slice(),
        };
        redis.call(&[b"SELECT", db.to_string().as_bytes()])?;
        Ok(redis)
    }

    /// Sends bytes.
    pub(super) fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).context("write to Redis")
    }

    /// The next answer that has been read already.
    fn buffered(&mut self) -> Result<Option<Reply>> {
        let Some((reply, length)) = parse(&self.input[self.used..])? else {
            return Ok(None);
        };
        self.used += length;
        if self.used == self.input.len() {
            self.input.clear();
            self.used = 0;
        }
        Ok(Some(reply))
    }

    /// Waits for one answer.
    pub(super) fn reply(&mut self) -> Result<Reply> {
        loop {
            if let Some(reply) = self.buffered()? {
                return Ok(reply);
            }
            let length = self
                .stream
                .read(&mut self.chunk)
                .context("read from Redis")?;
            ensure!(length > 0, "Redis closed the connection");
            self.input.extend_from_slice(&self.chunk[..length]);
        }
    }

    /// One round trip.
    pub(super) fn call(&mut self, parts: &[&[u8]]) -> Result<Reply> {
        let mut request = Vec::new();
        command(&mut request, parts);
        self.send(&request)?;
        self.reply()
    }

    /// Sends a pipeline and waits for all of its answers.
    pub(super) fn pipeline(&mut self, request: &[u8], answers: usize) -> Result<()> {
        self.send(request)?;
        for _ in 0..answers {
            self.reply()?;
        }
        Ok(())
    }
}

/// A subscriber to channels.
#[derive(Debug)]
pub(super) struct Subscriber(Redis);

impl Subscriber {
    /// Subscribes; from the return on nothing is missed.
    pub(super) fn new(socket: &Path, channels: &[&str]) -> Result<Self> {
        let mut redis = Redis::connect(socket, 0)?;
        for channel in channels {
            redis.call(&[b"SUBSCRIBE", channel.as_bytes()])?;
        }
        Ok(Self(redis))
    }

    /// Waits for the next message; its channel and what it says.
    pub(super) fn next(&mut self) -> Result<(String, String)> {
        match self.0.reply()? {
            Reply::List(parts) if parts.len() == 3 => Ok((parts[1].text(), parts[2].text())),
            other => bail!("Redis published {other:?}"),
        }
    }

    /// Waits for a message; its channel, and those of all that came with it.
    pub(super) fn batch(&mut self) -> Result<Vec<String>> {
        let mut channels = vec![self.next()?.0];
        while let Some(reply) = self.0.buffered()? {
            match reply {
                Reply::List(parts) if parts.len() == 3 => channels.push(parts[1].text()),
                other => bail!("Redis published {other:?}"),
            }
        }
        Ok(channels)
    }

    /// Throws away what has come.
    pub(super) fn discard(&mut self) -> Result<()> {
        self.0.input.clear();
        self.0.used = 0;
        self.0.stream.set_nonblocking(true)?;
        // It would block once all is read; a broken connection shows at the next read.
        while self.0.stream.read(&mut self.0.chunk).is_ok_and(|n| n > 0) {}
        self.0.stream.set_nonblocking(false)?;
        Ok(())
    }
}

/// One whole answer at the start of `bytes` and its length; none while it is
/// incomplete.
fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let (line, after) = (&bytes[1..end.max(1)], end + 2);
    let number = || -> Result<i64> {
        let text = str::from_utf8(line).unwrap_or_default();
        text.parse()
            .with_context(|| format!("Redis sent {text:?} for a number"))
    };
    match bytes[0] {
        b'+' => Ok(Some((Reply::Text(line.to_vec()), after))),
        b':' => Ok(Some((Reply::Number(number()?), after))),
        b'-' => bail!("Redis answers {}", String::from_utf8_lossy(line)),
        b'$' => {
            let Ok(length) = usize::try_from(number()?) else {
                return Ok(Some((Reply::Nil, after)));
            };
            Ok(bytes
                .get(after..after + length)
                .filter(|_| bytes.len() >= after + length + 2)
                .map(|text| (Reply::Text(text.to_vec()), after + length + 2)))
        }
        b'*' => {
            let mut at = after;
            let mut list = Vec::new();
            for _ in 0..number()?.max(0) {
                let Some((reply, length)) = parse(&bytes[at..])? else {
                    return Ok(None);
                };
                at += length;
                list.push(reply);
            }
            Ok(Some((Reply::List(list), at)))
        }
        other => bail!("Redis sent a reply of type {:?}", char::from(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_only_whole() {
        let bytes = b"*3\r\n$1\r\na\r\n:7\r\n$-1\r\n+OK\r\n";
        let list = Reply::List(vec![Reply::Text(b"a".into()), Reply::Number(7), Reply::Nil]);
        assert_eq!(parse(bytes).expect("valid"), Some((list, 20)));
        for short in 0..20 {
            assert_eq!(parse(&bytes[..short]).expect("valid"), None, "{short}");
        }
        assert!(parse(b"-ERR no\r\n").is_err());
        assert!(parse(b"?\r\n").is_err());
    }

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut out = Vec::new();
        command(&mut out, &[b"GET", b"k"]);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    }
}
