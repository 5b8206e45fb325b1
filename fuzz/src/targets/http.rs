//! What a client sends to the listener: the service that the daemon runs, over a
//! pipe in memory.

use std::cell::RefCell;

use portsyncd::internals::observe::Listener;

/// What a listener ever answers. 505 and 400 are hyper's words.
const STATUSES: [u16; 9] = [200, 400, 404, 405, 414, 431, 501, 503, 505];

thread_local! {
    static LISTENER: RefCell<Listener> = RefCell::new(Listener::new());
}

pub(crate) fn run(bytes: &[u8]) {
    let answer = LISTENER.with_borrow_mut(|listener| listener.answer(bytes));
    if answer.is_empty() {
        return;
    }
    let first = answer.split(|byte| *byte == b'\r').next();
    let first = String::from_utf8_lossy(first.unwrap_or_default());
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    assert!(first.starts_with("HTTP/1."), "{first:?}");
    assert!(
        status.is_some_and(|status: u16| STATUSES.contains(&status)),
        "{first:?}"
    );
    if status == Some(200) {
        let asked = bytes
            .windows(4)
            .any(|word| word == b"GET " || word == b"HEAD");
        assert!(asked, "200 for {:?}", bytes.escape_ascii().to_string());
    }
}
