//! The gate: the one thread that holds the daemon's privileges, for as long as they
//! are needed, and that lives in the network namespace of `link.netns`.
//!
//! In: pieces of work that need either. Out: what came of them. Every other thread
//! gives up its capabilities before it does anything (`crate::privileges`); the gate
//! does when the road calls [`Gate::close`]. It stays for its namespace, in
//! which any thread may open netlink sockets: a socket belongs to the namespace in
//! which it was opened. Redis and the metrics listener never see that namespace.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::LinkError;
use super::netns::Netns;
use crate::privileges;

type Job = Box<dyn FnOnce() + Send>;

/// The way to that thread, which ends when this is dropped.
#[derive(Debug)]
pub struct Gate {
    jobs: mpsc::Sender<Job>,
    netns_inode: u32,
}

impl Gate {
    /// Starts the thread, with the capabilities of the calling one, and has it enter
    /// the namespace `netns` (a name as `ip netns` keeps it; empty: our own). Work may
    /// use the runtime that this is called in.
    ///
    /// # Errors
    /// When there is no such namespace, or it cannot be entered.
    pub fn start(netns: &str) -> Result<Self, LinkError> {
        let netns = Netns::open(netns)?;
        let netns_inode = netns.inode()?;
        let runtime = Handle::current();
        let (jobs, queue) = mpsc::channel::<Job>();
        let (entered, has_entered) = mpsc::channel();
        thread::Builder::new()
            .name("gate".to_owned())
            .spawn(move || {
                let _reactor = runtime.enter();
                let inside = netns.enter();
                drop(netns);
                if entered.send(inside).is_ok() {
                    for job in queue {
                        job();
                    }
                }
            })
            .map_err(LinkError::Thread)?;
        let entered = has_entered.recv();
        entered.map_err(|_| LinkError::GateClosed)??;
        Ok(Self { jobs, netns_inode })
    }

    /// The inode number by which the kernel knows the namespace (`net.ns.inum`).
    #[must_use]
    pub fn netns_inode(&self) -> u32 {
        self.netns_inode
    }

    /// Has `work` done behind the gate, after what was asked before. The answer need
    /// not be waited for.
    pub fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            // A panic ends the daemon in its hook; where there is none, as in tests,
            // the answer stays out.
            if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
                // Nobody may want it any more.
                let _ = answer.send(result);
            }
        });
        // Without the thread the answer stays out.
        let _ = self.jobs.send(job);
        answered
    }

    /// As [`ask`](Self::ask), and blocks until the answer is there.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, LinkError> + Send + 'static,
    ) -> Result<T, LinkError> {
        let (answer, answered) = mpsc::channel();
        // Dropped at once: the answer goes by the other channel.
        drop(self.ask(move || answer.send(work())));
        answered.recv().unwrap_or(Err(LinkError::GateClosed))
    }

    /// Takes the thread's privileges, after what was asked before, and says so in the
    /// log. From then on it can open plain sockets and, if it `sets_down` netdevs, do
    /// that; nothing more.
    pub fn close(&self, sets_down: bool) {
        drop(self.ask(move || {
            let given_up = if sets_down {
                privileges::give_up_but_net_admin()
            } else {
                privileges::give_up()
            };
            match given_up {
                Ok(()) if sets_down => info!(
                    "every capability given up but one thread's CAP_NET_ADMIN: \
                     existing_netdevs = \"replace\" may need it after a restart of swss"
                ),
                Ok(()) => info!("every capability given up"),
                Err(error) => error!(%error, "capabilities not given up"),
            }
        }));
    }
}
