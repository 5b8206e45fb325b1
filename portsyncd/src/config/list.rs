//! Reading arrays: globs and socket addresses.

use std::net::SocketAddr;

use toml::Spanned;
use toml::de::DeValue;

use super::PortGlobs;
use super::reader::Section;

/// The most addresses the metrics listener takes.
const MAX_ADDRESSES: usize = 16;

impl Section<'_, '_> {
    /// Globs over netdev names.
    pub(super) fn port_globs(&mut self, key: &'static str) -> PortGlobs {
        let Some(patterns) = self.strings(key, "globs of netdev names") else {
            return PortGlobs::default();
        };
        PortGlobs::new(patterns).unwrap_or_else(|wrong| {
            self.refuse(key, &format!("must be globs of netdev names: {wrong}"));
            PortGlobs::default()
        })
    }

    /// Addresses to listen on.
    pub(super) fn socket_addresses(
        &mut self,
        key: &'static str,
        default: Vec<SocketAddr>,
    ) -> Vec<SocketAddr> {
        let Some(texts) = self.strings(key, "addresses such as \"127.0.0.1:9090\"") else {
            return default;
        };
        let mut addresses = Vec::new();
        for text in texts {
            match text.parse::<SocketAddr>() {
                Err(_) => self.refuse(
                    key,
                    &format!(
                        "{text:?} must be an IP address and a port, \
                         such as \"127.0.0.1:9090\" or \"[::1]:9090\""
                    ),
                ),
                // Port 0 is a new port each time.
                Ok(address) if address.port() != 0 && addresses.contains(&address) => {
                    self.refuse(key, &format!("names {text:?} twice"));
                }
                Ok(address) => addresses.push(address),
            }
        }
        if addresses.len() > MAX_ADDRESSES {
            self.refuse(key, &format!("must be at most {MAX_ADDRESSES} addresses"));
        }
        addresses
    }

    fn strings(&mut self, key: &'static str, wanted: &str) -> Option<Vec<String>> {
        let wanted = format!("an array of strings, {wanted}");
        let value = self.value(key)?;
        let DeValue::Array(items) = value else {
            self.refuse_type(key, &wanted, value);
            return None;
        };
        let strings: Option<Vec<_>> = items
            .iter()
            .map(|item| match Spanned::get_ref(item) {
                DeValue::String(text) => Some(text.as_ref().to_owned()),
                _ => None,
            })
            .collect();
        if strings.is_none() {
            self.refuse(key, &format!("must be {wanted}"));
        }
        strings
    }
}
