//! `extra_ports`: globs over netdev names, compiled once.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A netdev name has at most 15 bytes (`IFNAMSIZ` less its NUL, linux/if.h), so a pattern has no
/// use for many more, even one with long `[...]` classes.
const MAX_PATTERN_BYTES: usize = 64;

/// Netdevs to publish though `CONFIG_DB` does not list them: names match if any pattern does.
#[derive(Clone, Debug)]
pub struct PortGlobs {
    patterns: Vec<String>,
    set: GlobSet,
}

impl Default for PortGlobs {
    fn default() -> Self {
        Self {
            patterns: Vec::new(),
            set: GlobSet::empty(),
        }
    }
}

impl PartialEq for PortGlobs {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for PortGlobs {}

impl PortGlobs {
    /// The most patterns there may be.
    pub const MAX_PATTERNS: usize = 64;

    /// Compiles `patterns`: `*` is any bytes, `?` one, `[a-z]` one of a class, `{a,b}` either.
    ///
    /// # Errors
    /// Says what is wrong with which pattern.
    pub fn new(patterns: Vec<String>) -> Result<Self, String> {
        if patterns.len() > Self::MAX_PATTERNS {
            return Err(format!("at most {} patterns", Self::MAX_PATTERNS));
        }
        let mut builder = GlobSetBuilder::new();
        for pattern in &patterns {
            let refused = |why: &dyn std::fmt::Display| Err(format!("{pattern:?}: {why}"));
            if pattern.is_empty() || pattern.len() > MAX_PATTERN_BYTES {
                return refused(&format_args!("must have 1 to {MAX_PATTERN_BYTES} bytes"));
            }
            if pattern.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
                return refused(&"no netdev name has a slash, white space or a control character");
            }
            match GlobBuilder::new(pattern).backslash_escape(true).build() {
                Ok(glob) => builder.add(glob),
                Err(error) => return refused(error.kind()),
            };
        }
        let set = builder.build().map_err(|error| error.kind().to_string())?;
        Ok(Self { patterns, set })
    }

    /// Whether a netdev of this name is an extra port.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        !self.patterns.is_empty() && self.set.is_match(as_path(name))
    }

    /// The patterns as they stand in the file.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

fn as_path(name: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt;
    std::path::Path::new(std::ffi::OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(patterns: &[&str]) -> Result<PortGlobs, String> {
        PortGlobs::new(patterns.iter().map(|&p| p.to_owned()).collect())
    }

    #[test]
    fn matches_any_of_the_patterns() {
        let globs = globs(&["Ethernet*", "eth[0-3]", "swp?"]).expect("good patterns");
        for name in ["Ethernet0", "Ethernet", "Ethernet0.10", "eth3", "swp1"] {
            assert!(globs.matches(name.as_bytes()), "{name}");
        }
        for name in ["ethernet0", "eth4", "swp", "swp10", "lo", ""] {
            assert!(!globs.matches(name.as_bytes()), "{name}");
        }
        assert!(globs.matches(b"Ethernet\xff"));
    }

    #[test]
    fn no_pattern_matches_nothing() {
        assert!(!PortGlobs::default().matches(b"Ethernet0"));
        assert!(!PortGlobs::default().matches(b""));
    }

    #[test]
    fn a_refusal_names_the_pattern() {
        for bad in ["eth[0-", "", "a/b", "a b", "{a", "e\n"] {
            let refusal = globs(&["Ethernet*", bad]).expect_err("refused");
            assert!(refusal.starts_with(&format!("{bad:?}: ")), "{refusal}");
        }
        assert!(globs(&vec!["e*"; 65]).is_err());
    }
}
