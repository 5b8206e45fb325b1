//! What goes to STATE_DB and what comes back.

use portsyncd::internals::db::{Encoder, answers};
use portsyncd::table::{Change, Origin, PortState};
use portsyncd_common::IfName;
use redis::Value;

/// Answers in pieces are the same answers; the first byte says how long the pieces are.
pub(crate) fn answers_in_pieces(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first() else {
        return;
    };
    let length = usize::from(*length).max(1);
    let whole = answers([rest]);
    let pieces = answers(rest.chunks(length));
    assert_eq!(whole, pieces);
    assert!(whole.taken <= rest.len());
    assert!(whole.outcomes.len() <= rest.len() / 2);
}

/// A change's commands, read by the redis crate's own parser.
pub(crate) fn row(bytes: &[u8]) {
    let Some((header, name)) = bytes.split_first_chunk::<6>() else {
        return;
    };
    let Ok(name) = IfName::new(name) else {
        return;
    };
    let [bits, separator, mtu @ ..] = *header;
    let bit = |number: u8| bits >> number & 1 == 1;
    let state = PortState {
        oper_up: bit(0),
        admin_up: bit(1),
        mtu: u32::from_ne_bytes(mtu),
    };
    let change = Change {
        name,
        delete: bit(2),
        set: bit(3).then_some(state),
        was: None,
        origin: Origin::LinkMessage,
        since_ns: 0,
    };
    let separator = char::from(separator & 0x7f);
    let alias = bit(4).then_some("PORT");
    let out = Encoder::new(separator, alias).encode(&change);
    let word = |up| if up { "up" } else { "down" };
    let mut expected = Vec::new();
    for table in ["PORT_TABLE"].into_iter().chain(alias) {
        let key = [format!("{table}{separator}").as_bytes(), name.as_bytes()].concat();
        if change.delete {
            expected.push(vec![b"DEL".to_vec(), key.clone()]);
        }
        if change.set.is_some() {
            let mtu = state.mtu.to_string();
            let mut words = vec![b"HSET".to_vec(), key];
            for text in [
                "state",
                "ok",
                "netdev_oper_status",
                word(state.oper_up),
                "admin_status",
                word(state.admin_up),
                "mtu",
                &mtu,
            ] {
                words.push(text.into());
            }
            expected.push(words);
        }
    }
    assert_eq!(commands(&out, expected.len()), expected);
}

/// The `count` commands that `bytes` are, and nothing else.
fn commands(bytes: &[u8], count: usize) -> Vec<Vec<Vec<u8>>> {
    let mut parser = redis::Parser::new();
    let mut rest = bytes;
    let commands = (0..count).map(|_| {
        let Ok(Value::Array(words)) = parser.parse_value(&mut rest) else {
            panic!("no command in {}", bytes.escape_ascii());
        };
        let words = words.into_iter().map(|word| match word {
            Value::BulkString(bytes) => bytes,
            other => panic!("no word: {other:?}"),
        });
        words.collect()
    });
    let commands = commands.collect();
    assert!(parser.parse_value(&mut rest).is_err(), "there is more");
    commands
}
