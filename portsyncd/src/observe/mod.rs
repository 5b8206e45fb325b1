//! What stands beside the road: metrics, health, the link journal, the files on disk, the HTTP
//! listener.
//!
//! All of it lives on one thread of its own, the observer. The road writes atomics
//! ([`Meters`]) and puts what was acknowledged into a channel ([`Teller`]); it never waits, and an
//! observer that is behind gets everything anew. The observer never touches the kernel or Redis,
//! and decides nothing that the road does.
//!
//! ```text
//!  road ──▶ Meters (atomics) ─────────────┐
//!    └────▶ Teller ──▶ Ports, Ledger ─────┼──▶ /metrics /status /ports /events /
//!                        │                └──▶ health
//!                        └──▶ port_state.json, metrics.json
//! ```

mod exposition;
mod files;
mod health;
mod http;
#[cfg(feature = "internals")]
pub mod internals;
mod ledger;
mod meters;
mod page;
mod picture;
mod ports;
mod report;
mod teller;
mod told;
mod usage;
mod window;

use std::cell::{RefCell, RefMut};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::gettid;
use tokio::sync::{Notify, watch};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, warn};

pub(crate) use meters::Meters;
pub(crate) use teller::Teller;
pub(crate) use told::{Standing, Told};

use crate::config::{Config, ExportFormat};
use files::Keepers;
use http::Viewers;
use picture::Picture;
use teller::Hearing;

/// A storm is taken in gulps: the observer wakes up this often at most.
const GULP: Duration = Duration::from_millis(40);
/// At the end viewers have this long to go.
const LINGER: Duration = Duration::from_millis(200);
/// The end of the files and the listener is waited for this long: flash under load takes its time, and
/// with the road's own end it makes less than the 5 s that systemd gives.
const END_WITHIN: Duration = Duration::from_millis(1900);
/// The road comes first where both want a processor.
const NICE: i32 = 5;
/// At a start the observer waits for PortInitDone, or for trouble, but not for longer: reading the
/// files and opening the listeners would take a processor from the road, or from Redis.
const HEAD_START: Duration = Duration::from_millis(100);

/// A running observer.
#[derive(Debug)]
pub(crate) struct Observing {
    ended: Receiver<()>,
}

/// What the observer's tasks share; they are all on one thread.
struct Observer {
    hearing: RefCell<Hearing>,
    picture: RefCell<Picture>,
    viewers: Viewers,
    /// What `/metrics` answers.
    export_format: ExportFormat,
    state_due: Notify,
    metrics_due: Notify,
    /// The certificates have to be read again.
    reload_due: Notify,
    /// The listeners close.
    closing: watch::Sender<bool>,
}

/// Starts the observer. The teller works also where the thread could not be started.
pub(crate) fn start(config: &Config, meters: Arc<Meters>) -> (Teller, Observing) {
    let (mut teller, hearing) = teller::channel(Arc::clone(&meters));
    let (end, ended) = sync_channel(1);
    let config = config.clone();
    let started = thread::Builder::new()
        .name("observer".into())
        .spawn(move || run(&config, meters, hearing, &end));
    match started {
        Ok(started) => teller.wakes(started.thread().clone()),
        Err(error) => {
            error!(%error, "no metrics and no state file: their thread cannot be started");
        }
    }
    (teller, Observing { ended })
}

impl Observing {
    /// Waits until everything is saved; the teller must be gone. A disk that hangs is not waited for.
    pub(crate) fn finish(self) {
        use std::sync::mpsc::RecvTimeoutError::Timeout;
        if self.ended.recv_timeout(END_WITHIN) == Err(Timeout) {
            warn!(
                "stopped before the state and metrics files were saved: the disk does not answer"
            );
        }
    }
}

fn run(config: &Config, meters: Arc<Meters>, hearing: Hearing, end: &SyncSender<()>) {
    let thread = Some(gettid());
    let nicer = getpriority_process(thread).map(|nice| (nice + NICE).min(19));
    // Where that is not allowed, the scheduler is fair.
    let _ = nicer.and_then(|nice| setpriority_process(thread, nice));
    thread::park_timeout(HEAD_START);
    match observe(config, meters, hearing) {
        // Nobody waits for it where the daemon was killed.
        Ok(()) => drop(end.send(())),
        Err(error) => {
            error!(%error, "no metrics and no state file: their runtime cannot be started");
        }
    }
}

fn observe(config: &Config, meters: Arc<Meters>, hearing: Hearing) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut picture = Picture::new(meters, config.health.clone(), config.performance.clone());
    let keepers = Rc::new(Keepers::new(config));
    files::restore(&keepers, &mut picture);
    let observer = Rc::new(Observer {
        hearing: RefCell::new(hearing),
        picture: RefCell::new(picture),
        viewers: Viewers::new(),
        export_format: config.metrics.export_format,
        state_due: Notify::new(),
        metrics_due: Notify::new(),
        reload_due: Notify::new(),
        closing: watch::Sender::new(false),
    });
    LocalSet::new().block_on(&runtime, async {
        let serving = http::serve(&config.metrics, &observer);
        for keeping in [true, false] {
            let (keepers, observer) = (Rc::clone(&keepers), Rc::clone(&observer));
            tokio::task::spawn_local(async move {
                if keeping {
                    keepers.keep_state(&observer).await;
                } else {
                    keepers.keep_metrics(&observer).await;
                }
            });
        }
        observer.state_due.notify_one();
        observer.metrics_due.notify_one();
        observer.hear().await;
        keepers.save_last(&mut observer.picture());
        observer.viewers.close();
        observer.closing.send_replace(true);
        let _ = timeout(LINGER, serving.closed()).await;
    });
    runtime.shutdown_background();
    Ok(())
}

impl Observer {
    /// What is known. Never held over an await.
    fn picture(&self) -> RefMut<'_, Picture> {
        self.picture.borrow_mut()
    }

    /// Takes in what the road tells until it is gone.
    async fn hear(&self) {
        let mut rested = Instant::now();
        loop {
            let told = poll_fn(|context| {
                let mut hearing = self.hearing.borrow_mut();
                match hearing.from.poll_recv(context) {
                    Poll::Ready(Some(told)) => {
                        hearing.taken(&told);
                        Poll::Ready(Some(told))
                    }
                    other => other,
                }
            });
            let Some(told) = told.await else {
                return;
            };
            self.take(told);
            if Instant::now() < rested {
                sleep_until(rested).await;
            }
            self.catch_up();
            rested = Instant::now() + GULP;
        }
    }

    /// Takes in everything that was told by now.
    fn catch_up(&self) {
        loop {
            let mut hearing = self.hearing.borrow_mut();
            let Ok(told) = hearing.from.try_recv() else {
                break;
            };
            hearing.taken(&told);
            drop(hearing);
            self.take(told);
        }
        self.viewers.flush();
        let picture = self.picture();
        if picture.ports.dirty {
            self.state_due.notify_one();
        }
        if picture.ledger_dirty {
            self.metrics_due.notify_one();
        }
    }

    fn take(&self, told: Told) {
        if matches!(told, Told::Reloaded(_)) {
            self.reload_due.notify_one();
        }
        self.picture()
            .take(told, |transition| self.viewers.tell(&transition));
    }
}
