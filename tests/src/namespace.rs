//! A network namespace that exists only as long as its test.
//!
//! It has no name in `/run/netns` (but see [`NamedNamespace`]): a thread that
//! left the process's own namespace keeps it. Jobs given to that thread open
//! sockets, make taps and spawn children inside; the file descriptors they
//! return can then be used from any thread.

use std::any::Any;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::rtnl::Rtnl;
use crate::sys;
use crate::tap::Links;

type Job = Box<dyn FnOnce() + Send>;

/// A private network namespace with `lo` up. Clones share it; it vanishes with
/// its netdevs and the children spawned in it when the last clone is dropped.
#[derive(Clone)]
pub struct Namespace(Arc<Inner>);

struct Inner {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    handle: PathBuf,
    /// Taps whose owner is gone: their netdevs go with the namespace, all at
    /// once, because closing them one by one takes 20 ms each.
    abandoned: Mutex<Vec<OwnedFd>>,
}

impl Namespace {
    /// Makes a namespace. Needs `CAP_SYS_ADMIN` (root, or a user namespace of
    /// one's own).
    pub fn new() -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("namespace".into())
            .spawn(move || {
                let left = unshare(CloneFlags::CLONE_NEWNET)
                    .context(
                        "unshare(CLONE_NEWNET): a network namespace needs CAP_SYS_ADMIN; \
                         run as root, or inside `unshare --user --map-root-user`",
                    )
                    .map(|()| {
                        let (pid, tid) = (nix::unistd::getpid(), nix::unistd::gettid());
                        PathBuf::from(format!("/proc/{pid}/task/{tid}/ns/net"))
                    });
                if ready.send(left).is_ok() {
                    for job in queue {
                        job();
                    }
                }
            })
            .context("cannot start a thread for the namespace")?;
        let handle = is_ready
            .recv()
            .context("the namespace's thread ended at once")??;
        let namespace = Self(Arc::new(Inner {
            jobs: Some(jobs),
            thread: Some(thread),
            handle,
            abandoned: Mutex::default(),
        }));
        namespace.links()?.up("lo")?;
        Ok(namespace)
    }

    /// Runs `job` on the namespace's thread and waits for its result.
    ///
    /// The job must not call `run` again.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.0.run(job)
    }

    /// A socket for interface ioctls on the namespace's netdevs.
    pub fn links(&self) -> Result<Links> {
        let fd = self.run(|| {
            socket(
                AddressFamily::Inet,
                SockType::Datagram,
                SockFlag::SOCK_CLOEXEC,
                None,
            )
            .context("socket(AF_INET, SOCK_DGRAM)")
        })??;
        Ok(Links::new(fd))
    }

    /// A socket that dumps the namespace's netdevs.
    pub fn rtnl(&self) -> Result<Rtnl> {
        self.run(Rtnl::open)?
    }

    /// Spawns a child inside; it is killed when the namespace goes, or when this
    /// process dies.
    pub fn spawn(&self, mut command: Command) -> Result<Child> {
        sys::die_with_parent(&mut command);
        self.run(move || {
            let program = command.get_program().to_owned();
            command
                .spawn()
                .with_context(|| format!("cannot run {}", program.display()))
        })?
    }

    /// The namespace's file, for `setns(2)`; valid while the namespace lives.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.handle
    }

    pub(crate) fn abandon(&self, tap: OwnedFd) {
        self.0
            .abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(tap);
    }
}

impl Inner {
    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (done, result) = mpsc::channel();
        let job: Job = Box::new(move || {
            // The receiver waits below; it can only be gone if its thread is.
            drop(done.send(catch_unwind(AssertUnwindSafe(job))));
        });
        let jobs = self
            .jobs
            .as_ref()
            .context("the namespace is being torn down")?;
        jobs.send(job)
            .map_err(|_| anyhow!("the namespace's thread has ended"))?;
        result
            .recv()
            .context("the namespace's thread has ended")?
            .map_err(|panic| anyhow!("a job in the namespace panicked: {}", panic_text(&*panic)))
    }

    /// Deletes the netdevs in one request, so that closing the taps is quick.
    fn delete_netdevs(&self) -> Result<()> {
        self.run(|| Rtnl::open()?.delete_all_taps())?
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let taps = std::mem::take(
            self.abandoned
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        // An error only makes the close below slower.
        if !taps.is_empty() && self.delete_netdevs().is_err() {
            eprintln!("closing {} taps one by one", taps.len());
        }
        drop(taps);
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // The loop over the jobs cannot panic: each job's panic is caught.
            drop(thread.join());
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// A name in `/run/netns` for a namespace, as `ip netns` would make it, removed
/// on drop.
pub struct NamedNamespace {
    name: String,
    path: PathBuf,
}

impl NamedNamespace {
    /// Gives `namespace` a name that no other process uses.
    pub fn new(namespace: &Namespace) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "psd-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new("/run/netns").join(&name);
        fs::create_dir_all("/run/netns").context("cannot make /run/netns")?;
        File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
        // From here on drop removes the file, mounted or not.
        let named = Self { name, path };
        mount(
            Some(namespace.path()),
            &named.path,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .with_context(|| format!("cannot bind the namespace to {}", named.path.display()))?;
        Ok(named)
    }

    /// The name, as the `netns` key takes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for NamedNamespace {
    fn drop(&mut self) {
        if umount2(&self.path, MntFlags::MNT_DETACH).is_err() {
            eprintln!("{} was not mounted", self.path.display());
        }
        if let Err(error) = fs::remove_file(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}
