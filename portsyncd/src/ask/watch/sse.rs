//! Server-sent events (WHATWG HTML, 9.2) out of bytes that come in any pieces.

/// The longest line that is kept; the daemon's have a few hundred bytes.
const MOST_LINE: usize = 1 << 20;

/// What came, up to the last whole line.
#[derive(Debug, Default)]
pub(super) struct EventStream {
    line: Vec<u8>,
    kind: String,
    data: String,
}

impl EventStream {
    /// Takes bytes; each event that they complete goes to `tell`: its kind and its data.
    pub(super) fn take(&mut self, bytes: &[u8], mut tell: impl FnMut(&str, &str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() <= MOST_LINE {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                self.end_line(&mut tell);
            }
        }
    }

    fn end_line(&mut self, tell: &mut impl FnMut(&str, &str)) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            if !self.data.is_empty() {
                tell(&self.kind, &self.data);
            }
            self.kind.clear();
            self.data.clear();
        } else if let Some(kind) = line.strip_prefix("event: ") {
            kind.clone_into(&mut self.kind);
        } else if let Some(data) = line.strip_prefix("data: ") {
            self.data.push_str(data);
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let text = b"retry: 2000\nevent: begin\ndata: {\"seq\":1}\n\n:\n\nid: 2\nevent: port\ndata: {}\n\n";
        let expected = [
            ("begin".to_owned(), "{\"seq\":1}".to_owned()),
            ("port".to_owned(), "{}".to_owned()),
        ];
        for cut in 1..text.len() {
            let mut stream = EventStream::default();
            let mut told = Vec::new();
            for piece in text.chunks(cut) {
                stream.take(piece, |kind, data| {
                    told.push((kind.to_owned(), data.to_owned()));
                });
            }
            assert_eq!(told, expected, "pieces of {cut}");
        }
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut stream = EventStream::default();
        for _ in 0..40 {
            stream.take(&vec![b'x'; 65_536], |_, _| {});
        }
        assert!(stream.line.len() <= MOST_LINE);
    }
}
