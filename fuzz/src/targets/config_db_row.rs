//! A row of CONFIG_DB's `PORT`: its key, and its fields as Redis answers HGETALL.
//!
//! The first byte is the length of the key, the key follows, then the answer.

use portsyncd::internals::db::{port_fields, port_name};

pub(crate) fn run(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first() else {
        return;
    };
    let (key, answer) = rest.split_at(usize::from(*length).min(rest.len()));
    if let Some(name) = port_name(key) {
        assert_eq!([b"PORT|", name.as_bytes()].concat(), key);
        let bytes = name.as_bytes();
        assert!((1..=15).contains(&bytes.len()));
        assert!(
            !bytes
                .iter()
                .any(|byte| b"/: \t\n\r\x0b\x0c\0".contains(byte))
        );
    }
    if let Some(fields) = port_fields(answer) {
        for (field, value) in fields {
            assert!(!field.is_empty() && !field.contains(&b'@'));
            assert!(!(field == b"NULL" && value == b"NULL"));
        }
    }
}
