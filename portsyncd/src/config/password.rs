//! A password that cannot be printed by accident.

use std::fmt;

/// The Redis password, as read from `redis_password_file`. Its `Debug` shows nothing of it and it
/// has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The longest password file that is read, in bytes.
    pub(super) const MAX_BYTES: usize = 4096;

    /// Takes the contents of a password file: one line, its end cut off.
    ///
    /// # Errors
    /// Says what is wrong with the contents, without showing them.
    pub(super) fn from_file_contents(contents: Vec<u8>) -> Result<Self, &'static str> {
        if contents.len() > Self::MAX_BYTES {
            return Err("the file is longer than 4096 bytes");
        }
        let Ok(text) = String::from_utf8(contents) else {
            return Err("the file is not UTF-8");
        };
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            return Err("the file is empty");
        }
        if line.contains(['\n', '\r', '\0']) {
            return Err("the file holds more than one line");
        }
        Ok(Self(line.to_owned()))
    }

    /// The password itself, for the one place that sends it to Redis.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(contents: &[u8]) -> Result<String, &'static str> {
        Password::from_file_contents(contents.to_vec()).map(|p| p.expose().to_owned())
    }

    #[test]
    fn one_line_end_is_cut_and_nothing_else() {
        assert_eq!(taken(b"s3cret\n"), Ok("s3cret".to_owned()));
        assert_eq!(taken(b"s3cret\r\n"), Ok("s3cret".to_owned()));
        assert_eq!(taken(b" s3 cret "), Ok(" s3 cret ".to_owned()));
    }

    #[test]
    fn what_is_no_password_is_refused() {
        assert!(taken(b"").is_err());
        assert!(taken(b"\n").is_err());
        assert!(taken(b"a\nb\n").is_err());
        assert!(taken(b"\xff\xfe").is_err());
        assert!(taken(&[b'x'; 5000]).is_err());
    }

    #[test]
    fn debug_hides_it() {
        let password = Password::from_file_contents(b"s3cret".to_vec()).expect("good");
        assert_eq!(format!("{password:?}"), "Password(hidden)");
    }
}
