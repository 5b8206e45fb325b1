//! Reading strings: names, hosts, paths and the files behind them.
//!
//! The empty string means "not set" for every key that may be left out.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::Password;
use super::reader::Section;

/// The longest path the kernel takes, without its NUL (`PATH_MAX`, limits.h).
const MAX_PATH_BYTES: usize = 4095;

/// The longest path of a unix socket, without its NUL (`sun_path`, unix(7)).
const MAX_SOCKET_BYTES: usize = 107;

impl Section<'_, '_> {
    /// A string that may be left out; `check` says what is wrong with one.
    pub(super) fn optional_text(
        &mut self,
        key: &'static str,
        check: impl FnOnce(&str) -> Result<(), &'static str>,
    ) -> Option<String> {
        let text = match self.value(key)? {
            DeValue::String(text) => text.as_ref(),
            value => {
                self.refuse_type(key, "a string", value);
                return None;
            }
        };
        if text.is_empty() {
            return None;
        }
        match check(text) {
            Ok(()) => Some(text.to_owned()),
            Err(reason) => {
                self.refuse(key, reason);
                None
            }
        }
    }

    /// A host name or an IP address.
    pub(super) fn host(&mut self, key: &'static str, default: &str) -> String {
        self.required(key, "must be a host name or an IP address");
        self.optional_text(key, host)
            .unwrap_or_else(|| default.to_owned())
    }

    /// An absolute path that may be left out.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.optional_text(key, absolute_path).map(PathBuf::from)
    }

    /// An absolute path that may be left out but not be empty.
    pub(super) fn directory(&mut self, key: &'static str, default: PathBuf) -> PathBuf {
        self.required(key, "must be the absolute path of a directory");
        self.path(key).unwrap_or(default)
    }

    /// The absolute path of a unix socket.
    pub(super) fn socket(&mut self, key: &'static str) -> Option<PathBuf> {
        self.optional_text(key, |text| {
            absolute_path(text)?;
            (text.len() <= MAX_SOCKET_BYTES)
                .then_some(())
                .ok_or("must be at most 107 bytes long, as unix(7) allows for a socket")
        })
        .map(PathBuf::from)
    }

    /// The absolute path of a file that can be read now.
    pub(super) fn file(&mut self, key: &'static str) -> Option<PathBuf> {
        let path = self.path(key)?;
        match open_regular(&path) {
            Ok(_) => Some(path),
            Err(error) => {
                self.refuse(key, &format!("must be a file that can be read: {error}"));
                None
            }
        }
    }

    /// The password in the file that `key` names as `path`.
    pub(super) fn password(&mut self, key: &'static str, path: Option<&Path>) -> Option<Password> {
        let contents = match read_password(path?) {
            Ok(contents) => contents,
            Err(error) => {
                self.refuse(key, &format!("must be a file that can be read: {error}"));
                return None;
            }
        };
        match Password::from_file_contents(contents) {
            Ok(password) => Some(password),
            Err(wrong) => {
                self.refuse(key, &format!("must hold one line, the password: {wrong}"));
                None
            }
        }
    }

    fn required(&mut self, key: &'static str, reason: &str) {
        if self.is_given(key) && !self.is_set(key) {
            self.refuse(key, reason);
        }
    }
}

fn host(text: &str) -> Result<(), &'static str> {
    if text.starts_with('[') {
        return Err(
            "must be a host name or an IP address; an IPv6 address stands without brackets",
        );
    }
    // RFC 1123 names, and the underscore that containers' names have.
    let name = text.len() <= 253
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if name || text.parse::<IpAddr>().is_ok() {
        Ok(())
    } else {
        Err("must be a host name or an IP address, without a port")
    }
}

fn absolute_path(text: &str) -> Result<(), &'static str> {
    if !text.starts_with('/') {
        Err("must be an absolute path")
    } else if text.contains('\0') || text.len() > MAX_PATH_BYTES {
        Err("must be an absolute path of at most 4095 bytes without NUL")
    } else {
        Ok(())
    }
}

/// Opens a regular file: reading a named pipe or a device could wait for ever.
fn open_regular(path: &Path) -> io::Result<File> {
    if path.metadata()?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

fn read_password(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(Password::MAX_BYTES + 1).unwrap_or(u64::MAX);
    let mut contents = Vec::new();
    open_regular(path)?.take(limit).read_to_end(&mut contents)?;
    Ok(contents)
}
