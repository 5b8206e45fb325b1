//! Lines to the journal, by its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>), if stderr is
//! the journal.
//!
//! The message holds the event's fields too: what `journalctl` and rsyslog show is `MESSAGE` alone.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// What `journalctl -t` and syslog call the daemon.
const IDENTIFIER: &str = "portsyncd";

/// The longest a line may hold the daemon up when journald does not read. The line is lost then.
const PATIENCE: Duration = Duration::from_millis(100);

/// The longest message, in bytes; an entry has to fit the socket's send buffer.
const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// Writes each line as one entry of the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

/// One entry: what the journal has to know besides the message.
pub(super) struct Entry<'a> {
    journal: &'a Journal,
    fields: String,
}

impl Journal {
    /// The journal, if systemd connected stderr to it and it answers.
    pub(super) fn on_stderr() -> Option<Self> {
        let stream = std::env::var_os("JOURNAL_STREAM")?;
        let (device, inode) = identity(io::stderr()).ok()?;
        if !names(&stream, device, inode) {
            return None;
        }
        Self::at(PathBuf::from(SOCKET)).ok()
    }

    fn at(path: PathBuf) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        // Whether anybody listens; journald ignores an empty entry.
        socket.send_to(&[], &path)?;
        Ok(Self { socket, path })
    }
}

impl<'a> MakeWriter<'a> for Journal {
    type Writer = Entry<'a>;

    fn make_writer(&'a self) -> Entry<'a> {
        Entry {
            journal: self,
            fields: fields(Level::INFO),
        }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Entry<'a> {
        let mut fields = fields(*event.level());
        let mut add = |name: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(fields, "{name}={value}");
        };
        add("TARGET", &event.target());
        if let (Some(file), Some(line)) = (event.file(), event.line()) {
            add("CODE_FILE", &file);
            add("CODE_LINE", &line);
        }
        Entry {
            journal: self,
            fields,
        }
    }
}

impl io::Write for Entry<'_> {
    /// Takes a whole line, which has no line end but its last byte.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let message = line.strip_suffix(b"\n").unwrap_or(line);
        let message = &message[..message.len().min(MAX_MESSAGE_BYTES)];
        let entry = [self.fields.as_bytes(), b"MESSAGE=", message, b"\n"].concat();
        self.journal.socket.send_to(&entry, &self.journal.path)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fields(level: Level) -> String {
    // syslog(3).
    let priority = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 5,
        Level::DEBUG => 6,
        Level::TRACE => 7,
    };
    format!("PRIORITY={priority}\nSYSLOG_IDENTIFIER={IDENTIFIER}\n")
}

/// Whether `JOURNAL_STREAM`'s `device:inode` (both decimal, systemd.exec(5)) is that file. The
/// variable is inherited, so a stderr that was redirected since is not the journal.
fn names(stream: &OsStr, device: u64, inode: u64) -> bool {
    stream.to_str() == Some(&format!("{device}:{inode}"))
}

fn identity(stream: impl AsFd) -> io::Result<(u64, u64)> {
    let metadata = File::from(stream.as_fd().try_clone_to_owned()?).metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::line;
    use super::*;

    /// A socket in journald's place, and what arrives there from `log`.
    fn entries_of(log: impl FnOnce()) -> Vec<String> {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("socket");
        let listener = UnixDatagram::bind(&path).expect("bind");
        let journal = Journal::at(path).expect("somebody listens");
        let subscriber = tracing_subscriber::registry().with(line::to_journal(journal));
        tracing::subscriber::with_default(subscriber, log);
        listener.set_nonblocking(true).expect("nonblocking");
        let mut buffer = vec![0; 1 << 20];
        let mut entries = Vec::new();
        while let Ok(length) = listener.recv(&mut buffer) {
            entries.push(String::from_utf8(buffer[..length].to_vec()).expect("UTF-8"));
        }
        assert_eq!(entries.remove(0), "", "the entry that asks who listens");
        entries
    }

    #[test]
    fn an_entry_has_priority_message_and_fields() {
        let entries = entries_of(|| {
            tracing::error!("a");
            tracing::warn!("b");
            tracing::info!(source = "ebpf", "c");
            tracing::debug!("d");
            tracing::trace!("e\nPRIORITY=0");
        });
        let expected = [
            (3, "a"),
            (4, "b"),
            (5, "c source=\"ebpf\""),
            (6, "d"),
            (7, "e\\nPRIORITY=0"),
        ];
        assert_eq!(entries.len(), expected.len());
        for (entry, (priority, message)) in entries.iter().zip(expected) {
            let lines: Vec<_> = entry.lines().collect();
            assert_eq!(lines[0], format!("PRIORITY={priority}"));
            assert_eq!(lines[1], "SYSLOG_IDENTIFIER=portsyncd");
            assert_eq!(lines[2], format!("TARGET={}", module_path!()));
            assert!(lines[3].starts_with("CODE_FILE=") && lines[3].ends_with("journal.rs"));
            assert!(lines[4].starts_with("CODE_LINE="));
            assert_eq!(lines[5..], [format!("MESSAGE={message}")]);
        }
    }

    #[test]
    fn a_huge_message_is_cut() {
        let entries = entries_of(|| tracing::info!("{}", "x".repeat(1 << 19)));
        assert_eq!(entries.len(), 1);
        assert!(entries[0].ends_with("xxx\n") && entries[0].len() < MAX_MESSAGE_BYTES + 500);
    }

    #[test]
    fn without_a_listener_there_is_no_journal() {
        let dir = tempfile::tempdir().expect("directory");
        Journal::at(dir.path().join("socket")).expect_err("nobody listens");
    }

    #[test]
    fn only_the_very_same_stream_counts() {
        let (one, other) = UnixDatagram::pair().expect("socketpair");
        let (device, inode) = identity(&one).expect("fstat");
        let stream = format!("{device}:{inode}");
        assert!(names(OsStr::new(&stream), device, inode));
        let (device, inode) = identity(&other).expect("fstat");
        assert!(!names(OsStr::new(&stream), device, inode));
        for odd in ["", ":", "1", "a:b", "1:2:3"] {
            assert!(!names(OsStr::new(odd), device, inode));
        }
    }
}
