//! Tap netdevs: the honest test port. `TUNSETCARRIER` calls `netif_carrier_on`
//! and `netif_carrier_off` as a NIC's driver does, so linkwatch treats a tap as
//! it treats a front-panel port (`net/core/link_watch.c`).

use std::fs::{File, OpenOptions};
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::namespace::Namespace;
use crate::sys::{Ifreq, ioctl_int};

/// `_IOW('T', 202, int)` and `_IOW('T', 226, int)` of `linux/if_tun.h`.
const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNSETCARRIER: libc::Ioctl = 0x4004_54e2;
/// `_IOW('T', 218, unsigned int)`.
const TUNSETIFINDEX: libc::Ioctl = 0x4004_54da;

/// A socket for interface ioctls (netdevice(7)) in one namespace.
///
/// Each call is one system call: the fastest way to change a netdev, for storms.
pub struct Links(OwnedFd);

impl Links {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    pub(crate) fn call(&self, mut request: Ifreq, call: libc::Ioctl, what: &str) -> Result<Ifreq> {
        request.ioctl(self.0.as_fd(), call, what)?;
        Ok(request)
    }

    fn change_flags(&self, name: &str, set: u16, clear: u16) -> Result<()> {
        let flags = self
            .call(Ifreq::new(name)?, libc::SIOCGIFFLAGS, "SIOCGIFFLAGS")?
            .flags();
        let wanted = Ifreq::new(name)?.with_flags((flags | set) & !clear);
        self.call(wanted, libc::SIOCSIFFLAGS, "SIOCSIFFLAGS")?;
        Ok(())
    }

    /// Sets the netdev administratively up.
    pub fn up(&self, name: &str) -> Result<()> {
        self.change_flags(name, IFF_UP, 0)
    }

    /// Sets the netdev administratively down.
    pub fn down(&self, name: &str) -> Result<()> {
        self.change_flags(name, 0, IFF_UP)
    }

    /// Turns promiscuous mode on or off: a link message that changes nothing of
    /// what is published.
    pub fn promiscuous(&self, name: &str, on: bool) -> Result<()> {
        if on {
            self.change_flags(name, IFF_PROMISC, 0)
        } else {
            self.change_flags(name, 0, IFF_PROMISC)
        }
    }

    /// Sets the MTU, in bytes.
    pub fn set_mtu(&self, name: &str, mtu: u16) -> Result<()> {
        let request = Ifreq::new(name)?.with_int(i32::from(mtu));
        self.call(request, libc::SIOCSIFMTU, "SIOCSIFMTU")?;
        Ok(())
    }

    /// Renames a netdev, which must be down on kernels before 6.2.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let request = Ifreq::new(from)?.with_name(to)?;
        self.call(request, libc::SIOCSIFNAME, "SIOCSIFNAME")?;
        Ok(())
    }

    /// The netdev's ifindex.
    pub fn ifindex(&self, name: &str) -> Result<u32> {
        let answer = self.call(Ifreq::new(name)?, libc::SIOCGIFINDEX, "SIOCGIFINDEX")?;
        Ok(u32::try_from(answer.int())?)
    }
}

/// `IFF_UP` (`linux/if.h`) as `ifr_flags` has it.
const IFF_UP: u16 = 1;
/// `IFF_PROMISC`.
const IFF_PROMISC: u16 = 0x100;

/// A tap netdev in a namespace.
///
/// Dropping it leaves the netdev to the namespace, which removes all of its
/// netdevs at once; [`Tap::delete`] removes it now.
pub struct Tap {
    name: String,
    // None only within delete and drop.
    file: Option<OwnedFd>,
    namespace: Namespace,
    links: Arc<Links>,
}

impl Tap {
    /// Makes one tap: administratively down, carrier on, MTU 1500.
    pub fn create(namespace: &Namespace, name: &str) -> Result<Self> {
        let mut taps = Self::create_all(namespace, &[name])?;
        taps.pop().context("no tap was made")
    }

    /// Makes one tap that gets this ifindex, which must be free.
    pub fn create_as(namespace: &Namespace, name: &str, ifindex: u32) -> Result<Self> {
        let ifindex = i32::try_from(ifindex)?;
        let file = namespace.run({
            let name = name.to_owned();
            move || open(&name, Some(ifindex))
        })??;
        Ok(Self {
            name: name.to_owned(),
            file: Some(file.into()),
            namespace: namespace.clone(),
            links: Arc::new(namespace.links()?),
        })
    }

    /// Makes many taps: 514 of them take about 0.1 s.
    pub fn create_all<S: AsRef<str>>(namespace: &Namespace, names: &[S]) -> Result<Vec<Self>> {
        let links = Arc::new(namespace.links()?);
        let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
        // A tap belongs to the namespace of the thread that opens /dev/net/tun.
        let files = namespace.run({
            let names = names.clone();
            move || {
                names
                    .iter()
                    .map(|name| open(name, None))
                    .collect::<Result<Vec<_>>>()
            }
        })??;
        Ok(names
            .into_iter()
            .zip(files)
            .map(|(name, file)| Self {
                name,
                file: Some(file.into()),
                namespace: namespace.clone(),
                links: Arc::clone(&links),
            })
            .collect())
    }

    /// The netdev's present name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells the kernel that the carrier is there or lost, as a driver does.
    pub fn carrier(&self, on: bool) -> Result<()> {
        let file = self.file.as_ref().context("the tap is closed")?;
        ioctl_int(file.as_fd(), TUNSETCARRIER, i32::from(on))
            .with_context(|| format!("ioctl TUNSETCARRIER {on} on {}", self.name))
    }

    /// Sets it administratively up.
    pub fn up(&self) -> Result<()> {
        self.links.up(&self.name)
    }

    /// Sets it administratively down.
    pub fn down(&self) -> Result<()> {
        self.links.down(&self.name)
    }

    /// Turns promiscuous mode on or off.
    pub fn promiscuous(&self, on: bool) -> Result<()> {
        self.links.promiscuous(&self.name, on)
    }

    /// Sets its MTU, in bytes.
    pub fn set_mtu(&self, mtu: u16) -> Result<()> {
        self.links.set_mtu(&self.name, mtu)
    }

    /// Renames it; it should be down.
    pub fn rename(&mut self, to: &str) -> Result<()> {
        self.links.rename(&self.name, to)?;
        to.clone_into(&mut self.name);
        Ok(())
    }

    /// Its ifindex.
    pub fn ifindex(&self) -> Result<u32> {
        self.links.ifindex(&self.name)
    }

    /// Removes these netdevs, of one namespace, at once, as the end of syncd does.
    pub fn delete_all(mut taps: Vec<Self>) -> Result<()> {
        let Some(first) = taps.first() else {
            return Ok(());
        };
        first.namespace.rtnl()?.delete_group(&taps)?;
        for tap in &mut taps {
            drop(tap.file.take());
        }
        Ok(())
    }

    /// Removes the netdev; when this returns the kernel has.
    pub fn delete(mut self) -> Result<()> {
        // Closing the file would do, but not at once while a child that is just
        // being spawned, by another test too, still has a copy of it.
        let ifindex = self.ifindex()?;
        self.namespace.rtnl()?.delete(ifindex)?;
        drop(self.file.take());
        Ok(())
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if let Some(file) = mem::take(&mut self.file) {
            self.namespace.abandon(file);
        }
    }
}

fn open(name: &str, ifindex: Option<i32>) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .context(
            "cannot open /dev/net/tun: the kernel needs its tun driver, and who is not root needs \
             the mode 666 that udev gives the file",
        )?;
    if let Some(ifindex) = ifindex {
        ioctl_int(file.as_fd(), TUNSETIFINDEX, ifindex)
            .with_context(|| format!("ioctl TUNSETIFINDEX {ifindex} for {name}"))?;
    }
    let flags = u16::try_from(libc::IFF_TAP | libc::IFF_NO_PI)?;
    Ifreq::new(name)?
        .with_flags(flags)
        .ioctl(file.as_fd(), TUNSETIFF, "TUNSETIFF")?;
    Ok(file)
}
