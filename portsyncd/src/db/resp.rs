//! The few words of RESP2 that the hot path speaks
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).
//!
//! Requests are appended to one buffer that is used again and again. Answers to
//! the commands sent here are simple strings, errors and integers, each one line.

/// Appends a command.
pub(super) fn command(out: &mut Vec<u8>, arguments: &[&[u8]]) {
    length(out, b'*', arguments.len());
    for argument in arguments {
        bulk(out, argument);
    }
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn length(out: &mut Vec<u8>, mark: u8, value: usize) {
    out.push(mark);
    let mut digits = Decimal::default();
    out.extend_from_slice(digits.write(value as u64));
    out.extend_from_slice(b"\r\n");
}

/// Room for a number in decimal, without allocating.
#[derive(Default)]
pub(super) struct Decimal([u8; 20]);

impl Decimal {
    /// The digits of `value`.
    pub(super) fn write(&mut self, mut value: u64) -> &[u8] {
        let mut at = self.0.len();
        loop {
            at -= 1;
            self.0[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return &self.0[at..];
            }
        }
    }
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// `+`: the command was done.
    Done,
    /// `:`: it was done, with this result.
    Number(i64),
    /// `-`: Redis's words.
    Error(&'a [u8]),
    /// Not an answer to a command of ours.
    Unexpected(&'a [u8]),
}

/// Takes the first whole answer off `bytes`; `None` while it is incomplete.
pub(super) fn take_answer<'a>(bytes: &mut &'a [u8]) -> Option<Answer<'a>> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, rest) = (&bytes[..end], &bytes[end + 2..]);
    *bytes = rest;
    Some(match line.split_first() {
        Some((b'+', _)) => Answer::Done,
        Some((b':', digits)) => match str::from_utf8(digits).map(str::parse) {
            Ok(Ok(number)) => Answer::Number(number),
            _ => Answer::Unexpected(line),
        },
        Some((b'-', error)) => Answer::Error(error),
        _ => Answer::Unexpected(line),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        let mut out = Vec::new();
        command(&mut out, &[b"DEL", b"PORT_TABLE|Ethernet0"]);
        assert_eq!(out, b"*2\r\n$3\r\nDEL\r\n$20\r\nPORT_TABLE|Ethernet0\r\n");
    }

    #[test]
    fn numbers_are_written_whole() {
        for value in [0, 7, 10, 9100, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(
                Decimal::default().write(value),
                value.to_string().as_bytes()
            );
        }
    }

    #[test]
    fn answers_are_taken_one_by_one_and_only_whole() {
        let mut bytes: &[u8] = b":4\r\n+OK\r\n-OOM no\r\n$3\r\n:1\r";
        assert_eq!(take_answer(&mut bytes), Some(Answer::Number(4)));
        assert_eq!(take_answer(&mut bytes), Some(Answer::Done));
        assert_eq!(take_answer(&mut bytes), Some(Answer::Error(b"OOM no")));
        assert_eq!(take_answer(&mut bytes), Some(Answer::Unexpected(b"$3")));
        assert_eq!(take_answer(&mut bytes), None);
        assert_eq!(bytes, b":1\r");
    }
}
