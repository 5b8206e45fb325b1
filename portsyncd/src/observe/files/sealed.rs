//! What a saved file looks like: a JSON object with `format_version` first in meaning and
//! `checksum` last in place, so that it is still a document that people and `jq` can read.
//!
//! The checksum is the SHA-256 of every byte before it. A file is taken whole or not at all.

use std::fmt::Write;

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

/// The version that this daemon writes and reads.
pub(in crate::observe) const FORMAT_VERSION: u64 = 1;

const BEFORE: &str = ",\n  \"checksum\": \"sha256:";
const BEHIND: &str = "\"\n}\n";
/// Of SHA-256 in hexadecimal.
const DIGITS: usize = 64;

/// Why a file cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::observe) enum Broken {
    #[error("it is empty")]
    Empty,
    #[error("its checksum is missing: it was cut short or is none of ours")]
    NoChecksum,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it is not what we write: {0}")]
    Content(String),
    #[error("its format_version is {0}, this daemon knows {FORMAT_VERSION}")]
    Version(u64),
}

/// Closes a JSON object, given as serialised, with its checksum.
pub(in crate::observe) fn seal(mut json: Vec<u8>) -> Vec<u8> {
    while json.pop_if(|byte| *byte != b'}').is_some() {}
    json.pop();
    while json.pop_if(|byte| byte.is_ascii_whitespace()).is_some() {}
    let sum = hex(&json);
    json.extend_from_slice(BEFORE.as_bytes());
    json.extend_from_slice(sum.as_bytes());
    json.extend_from_slice(BEHIND.as_bytes());
    json
}

/// The text of a sealed object without its checksum, once that was found right.
pub(in crate::observe) fn open(bytes: &[u8]) -> Result<Vec<u8>, Broken> {
    if bytes.is_empty() {
        return Err(Broken::Empty);
    }
    let tail = BEFORE.len() + DIGITS + BEHIND.len();
    let (body, tail) = bytes.split_at(bytes.len().saturating_sub(tail));
    let sum = tail
        .strip_prefix(BEFORE.as_bytes())
        .and_then(|rest| rest.strip_suffix(BEHIND.as_bytes()))
        .ok_or(Broken::NoChecksum)?;
    if sum != hex(body).as_bytes() {
        return Err(Broken::Checksum);
    }
    let mut json = body.to_vec();
    json.push(b'}');
    Ok(json)
}

/// As [`open`], parsed, and of a version that we know.
pub(in crate::observe) fn open_map(bytes: &[u8]) -> Result<Map<String, Value>, Broken> {
    let map: Map<String, Value> = serde_json::from_slice(&open(bytes)?)
        .map_err(|error| Broken::Content(error.to_string()))?;
    match map.get("format_version").and_then(Value::as_u64) {
        Some(FORMAT_VERSION) => Ok(map),
        Some(version) => Err(Broken::Version(version)),
        None => Err(Broken::Content("no format_version".into())),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(DIGITS);
    for byte in digest(&SHA256, bytes).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed() -> Vec<u8> {
        seal(br#"{"format_version":1,"cold_starts":3}"#.to_vec())
    }

    #[test]
    fn a_sealed_object_is_json_and_opens() {
        let text = sealed();
        let value: Value = serde_json::from_slice(&text).unwrap();
        assert!(value["checksum"].as_str().unwrap().starts_with("sha256:"));
        assert_eq!(open_map(&text).unwrap()["cold_starts"], 3);
        let pretty = serde_json::to_vec_pretty(&serde_json::json!({"format_version": 1})).unwrap();
        assert!(open_map(&seal(pretty)).is_ok());
    }

    #[test]
    fn what_was_cut_short_or_changed_is_refused() {
        let text = sealed();
        assert_eq!(open(b""), Err(Broken::Empty));
        for end in 1..text.len() {
            assert!(open(&text[..end]).is_err(), "cut at {end}");
        }
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[at] ^= 1 << bit;
                assert!(open(&flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn another_version_is_named() {
        let future = seal(br#"{"format_version":2}"#.to_vec());
        assert_eq!(open_map(&future), Err(Broken::Version(2)));
        let none = seal(b"{}".to_vec());
        assert!(matches!(open_map(&none), Err(Broken::Content(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_sealed(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(open(&bytes).is_err());
            // A sum that is right does not make it JSON.
            let _ = open_map(&seal(bytes));
        }
    }
}
