//! The saved files and the listener, for the fuzzers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use super::files::internals::{open_map, read, seal, write};
use super::picture::Picture;
use super::ports::Ports;
use super::teller;
use super::told::{Published, Standing};
use super::{Meters, Observer, Told, Viewers, files, http};
use crate::config::{ExportFormat, Health, Performance};
use crate::table::{Origin, PortState};

const BOOT: &str = "a-boot";

/// `json`, an object's text, with a checksum as a file has it.
#[must_use]
pub fn sealed(json: &[u8]) -> Vec<u8> {
    seal(json.to_vec())
}

/// Reads a state file; what is good is written, read and written again.
///
/// # Panics
/// When the two that were written differ in more than their time.
pub fn read_state_twice(file: &[u8]) {
    let mut written = file.to_vec();
    let mut documents = Vec::new();
    for round in 0..3 {
        let restored = match read(&written, BOOT) {
            Ok(restored) => restored,
            Err(error) => {
                assert_eq!(round, 0, "what was written is refused: {error}");
                return;
            }
        };
        let mut ports = Ports::new();
        ports.restore(restored.ports, restored.outages);
        written = write(&ports, BOOT);
        let mut document = open_map(&written).expect("it was just sealed");
        document.remove("saved_at_secs");
        documents.push(document);
    }
    // The first may hold what is not kept: a journal that is too long, for one.
    assert_eq!(documents[1], documents[2]);
}

/// Reads a metrics file; what is good is loaded, written and loaded again.
///
/// # Panics
/// When a counter is another then.
pub fn read_metrics_twice(file: &[u8]) {
    let Ok(saved) = open_map(file) else {
        return;
    };
    let mut picture = picture();
    picture.ledger.load(&saved);
    let again = files::metrics_bytes(&mut picture);
    let saved = open_map(&again).expect("it was just sealed");
    let mut ledger = super::ledger::Ledger::default();
    ledger.load(&saved);
    assert_eq!(ledger, picture.ledger);
}

fn picture() -> Picture {
    Picture::new(meters(), Health::default(), Performance::default())
}

fn meters() -> Arc<Meters> {
    Arc::new(Meters::new(Arc::default()).expect("metrics of good names"))
}

/// Three ports, one of a name that has to be escaped.
fn whole() -> Told {
    let ports = ["Ethernet0", "Ethernet4", "Ethernet%<\"&>"];
    let ports = ports.map(|name| Standing {
        name: name.parse().expect("a netdev's name"),
        state: Some(PortState {
            oper_up: true,
            admin_up: true,
            mtu: 9100,
        }),
        configured: true,
        downs: 1,
    });
    Told::Whole {
        ports: ports.to_vec(),
        missed: 0,
    }
}

/// The listener's service over a pipe in memory, with three ports to tell of.
pub struct Listener {
    runtime: Runtime,
    observer: Rc<Observer>,
}

/// More than all answers to the requests of one input.
const PIPE_BYTES: usize = 1 << 20;

impl Listener {
    /// Makes one.
    ///
    /// # Panics
    /// When there is no runtime to be had.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it starts a runtime, which a default should not"
    )]
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (_, hearing) = teller::channel(meters());
        let mut picture = picture();
        picture.take(whole(), |_| {});
        let observer = Rc::new(Observer {
            hearing: hearing.into(),
            picture: picture.into(),
            viewers: Viewers::new(),
            export_format: ExportFormat::Prometheus,
            state_due: Notify::new(),
            metrics_due: Notify::new(),
            reload_due: Notify::new(),
            closing: watch::Sender::new(false),
        });
        Self { runtime, observer }
    }

    /// All that a client gets that sends `request`, closes its side then, and goes once
    /// nothing more comes.
    ///
    /// # Panics
    /// When the connection outlives the client and a change that it would have been told of.
    pub fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        const QUIET: Duration = Duration::from_millis(20);
        const WITHIN: Duration = Duration::from_secs(5);
        let (mut client, server) = tokio::io::duplex(PIPE_BYTES);
        let observer = Rc::clone(&self.observer);
        LocalSet::new().block_on(&self.runtime, async {
            let serving = spawn_local(http::internals::speak(server, observer));
            // A connection that is closed before all was sent is an answer, too.
            let _ = client.write_all(request).await;
            let _ = client.shutdown().await;
            let mut answer = Vec::new();
            while let Ok(Ok(1..)) = timeout(QUIET, client.read_buf(&mut answer)).await {}
            drop(client);
            if !serving.is_finished() {
                self.tell_a_change();
            }
            let ended = timeout(WITHIN, serving).await;
            ended
                .expect("the connection ends with its client")
                .expect("no panic");
            answer
        })
    }

    fn tell_a_change(&self) {
        let change = Published {
            name: "Ethernet0".parse().expect("a netdev's name"),
            since_ns: 1,
            acked_ns: 2,
            state: None,
            downs: 0,
            deleted: true,
            origin: Origin::LinkMessage,
        };
        self.observer.take(Told::Published(vec![change]));
        self.observer.take(whole());
        self.observer.catch_up();
    }
}
