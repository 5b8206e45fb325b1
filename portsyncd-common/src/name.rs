//! The name of a netdev: at most 15 bytes, kept inline.

use core::fmt;

/// Size of the kernel's name buffer, with the terminating NUL (`linux/if.h`).
pub const IFNAMSIZ: usize = 16;

/// A netdev's name: 1 to 15 bytes, NUL-padded, any bytes but NUL.
///
/// The kernel does not promise UTF-8 (`dev_valid_name` in `net/core/dev.c`
/// refuses only `/`, `:` and white space), so neither does this type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct IfName([u8; IFNAMSIZ]);

/// The bytes cannot be the name of a netdev.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAnIfName {
    /// No bytes at all.
    Empty,
    /// More than 15 bytes.
    TooLong,
    /// A byte that `dev_valid_name` refuses: NUL, `/`, `:` or white space.
    BadByte,
}

impl fmt::Display for NotAnIfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a netdev's name cannot be empty",
            Self::TooLong => "a netdev's name has at most 15 bytes",
            Self::BadByte => "a netdev's name has no NUL, '/', ':' or white space",
        })
    }
}

impl core::error::Error for NotAnIfName {}

impl IfName {
    /// Takes a name from bytes without a terminator.
    ///
    /// # Errors
    /// Says which rule of `dev_valid_name` the bytes break.
    pub fn new(bytes: &[u8]) -> Result<Self, NotAnIfName> {
        if bytes.is_empty() {
            return Err(NotAnIfName::Empty);
        }
        if bytes.len() >= IFNAMSIZ {
            return Err(NotAnIfName::TooLong);
        }
        if bytes
            .iter()
            .any(|&b| b == 0 || b == b'/' || b == b':' || b.is_ascii_whitespace() || b == 0x0b)
        {
            return Err(NotAnIfName::BadByte);
        }
        let mut name = [0; IFNAMSIZ];
        name[..bytes.len()].copy_from_slice(bytes);
        Ok(Self(name))
    }

    /// Takes a name from the kernel's NUL-padded buffer.
    ///
    /// # Errors
    /// As [`IfName::new`]; a buffer without a NUL is too long.
    pub fn from_buffer(buffer: &[u8; IFNAMSIZ]) -> Result<Self, NotAnIfName> {
        let end = buffer.iter().position(|&b| b == 0).unwrap_or(IFNAMSIZ);
        Self::new(&buffer[..end])
    }

    /// The name's bytes, without padding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|&b| b == 0).unwrap_or(IFNAMSIZ);
        &self.0[..end]
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match core::str::from_utf8(self.as_bytes()) {
            Ok(name) => f.pad(name),
            Err(_) => write!(f, "{}", self.as_bytes().escape_ascii()),
        }
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl core::str::FromStr for IfName {
    type Err = NotAnIfName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_to_fifteen_bytes() {
        assert_eq!(IfName::new(b""), Err(NotAnIfName::Empty));
        assert_eq!(
            IfName::new(b"Ethernet1234567").unwrap().as_bytes(),
            b"Ethernet1234567"
        );
        assert_eq!(IfName::new(b"Ethernet12345678"), Err(NotAnIfName::TooLong));
        assert_eq!(
            IfName::from_buffer(&[b'x'; IFNAMSIZ]),
            Err(NotAnIfName::TooLong)
        );
    }

    #[test]
    fn bytes_that_the_kernel_refuses_are_refused() {
        for bad in [&b"a b"[..], b"a/b", b"a:b", b"a\0b", b"a\tb", b"a\x0bb"] {
            assert_eq!(IfName::new(bad), Err(NotAnIfName::BadByte), "{bad:?}");
        }
    }
}
