//! A port's row in STATE_DB, as commands.

use portsyncd_common::IfName;

use super::keys;
use super::resp::{self, Decimal};
use crate::table::{Change, PortState};

/// Encodes changes into commands on `PORT_TABLE|<port>`, and on a second table
/// where `database.state_table_alias` asks for one.
#[derive(Debug)]
pub(super) struct RowEncoder {
    /// `PORT_TABLE|`, and perhaps `<alias>|`.
    prefixes: Vec<Vec<u8>>,
    key: Vec<u8>,
}

impl RowEncoder {
    pub(super) fn new(separator: char, alias: Option<&str>) -> Self {
        let tables = std::iter::once(keys::PORT_TABLE).chain(alias);
        Self {
            prefixes: tables
                .map(|table| keys::row(table, separator, "").into_bytes())
                .collect(),
            key: Vec::new(),
        }
    }

    /// How many tables each change is written to.
    pub(super) fn tables(&self) -> usize {
        self.prefixes.len()
    }

    /// Appends the question whether a row of `name` is there that portsyncd wrote.
    pub(super) fn look(&mut self, out: &mut Vec<u8>, name: &IfName) {
        if let Some(prefix) = self.prefixes.first() {
            self.key.clear();
            self.key.extend_from_slice(prefix);
            self.key.extend_from_slice(name.as_bytes());
            let field = keys::OPER_STATUS.as_bytes();
            resp::command(out, &[b"HEXISTS", &self.key, field]);
        }
    }

    /// Appends `change`'s commands: for each table a deletion, a write, or both.
    pub(super) fn encode(&mut self, out: &mut Vec<u8>, change: &Change) {
        for prefix in &self.prefixes {
            self.key.clear();
            self.key.extend_from_slice(prefix);
            self.key.extend_from_slice(change.name.as_bytes());
            if change.delete {
                resp::command(out, &[b"DEL", &self.key]);
            }
            if let Some(state) = &change.set {
                hset(out, &self.key, *state);
            }
        }
    }
}

/// One HSET of exactly our four fields (`linksync.cpp`, `LinkSync::onMsg`): the
/// row has other writers.
fn hset(out: &mut Vec<u8>, key: &[u8], state: PortState) {
    let word = |up: bool| -> &[u8] { if up { b"up" } else { b"down" } };
    let mut mtu = Decimal::default();
    resp::command(
        out,
        &[
            b"HSET",
            key,
            b"state",
            b"ok",
            keys::OPER_STATUS.as_bytes(),
            word(state.oper_up),
            keys::ADMIN_STATUS.as_bytes(),
            word(state.admin_up),
            b"mtu",
            mtu.write(u64::from(state.mtu)),
        ],
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Origin;

    #[test]
    fn a_recreated_port_is_deleted_and_then_written_in_every_table() {
        let mut encoder = RowEncoder::new('|', Some("PORT"));
        let change = Change {
            name: "Ethernet0".parse().unwrap(),
            delete: true,
            set: Some(PortState {
                oper_up: false,
                admin_up: true,
                mtu: 9100,
            }),
            was: None,
            origin: Origin::LinkMessage,
            since_ns: 0,
        };
        let mut out = Vec::new();
        encoder.encode(&mut out, &change);
        let text = String::from_utf8(out).unwrap();
        let words: Vec<_> = text
            .split("\r\n")
            .filter(|word| !word.starts_with(['*', '$']) && !word.is_empty())
            .collect();
        let fields = "state ok netdev_oper_status down admin_status up mtu 9100";
        assert_eq!(
            words.join(" "),
            format!(
                "DEL PORT_TABLE|Ethernet0 HSET PORT_TABLE|Ethernet0 {fields} \
                 DEL PORT|Ethernet0 HSET PORT|Ethernet0 {fields}"
            )
        );
    }
}
