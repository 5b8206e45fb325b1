//! A bridge, to enslave ports to and release them from (`linux/sockios.h`).

use anyhow::Result;

use crate::namespace::Namespace;
use crate::sys::Ifreq;
use crate::tap::{Links, Tap};

const SIOCBRADDBR: libc::Ioctl = 0x89a0;
const SIOCBRADDIF: libc::Ioctl = 0x89a2;
const SIOCBRDELIF: libc::Ioctl = 0x89a3;

/// A bridge netdev. It goes with its namespace.
pub struct Bridge {
    name: String,
    links: Links,
}

impl Bridge {
    /// Makes a bridge and sets it up.
    pub fn create(namespace: &Namespace, name: &str) -> Result<Self> {
        let links = namespace.links()?;
        // Reads IFNAMSIZ bytes of name, with which a struct ifreq begins.
        links.call(Ifreq::new(name)?, SIOCBRADDBR, "SIOCBRADDBR")?;
        links.up(name)?;
        Ok(Self {
            name: name.to_owned(),
            links,
        })
    }

    /// Makes `port` a port of the bridge.
    pub fn enslave(&self, port: &Tap) -> Result<()> {
        let request = Ifreq::new(&self.name)?.with_int(i32::try_from(port.ifindex()?)?);
        self.links.call(request, SIOCBRADDIF, "SIOCBRADDIF")?;
        Ok(())
    }

    /// Releases `port`: the kernel multicasts an `RTM_DELLINK` of `AF_BRIDGE`
    /// with `IFLA_MASTER` although the netdev lives on.
    pub fn release(&self, port: &Tap) -> Result<()> {
        let request = Ifreq::new(&self.name)?.with_int(i32::try_from(port.ifindex()?)?);
        self.links.call(request, SIOCBRDELIF, "SIOCBRDELIF")?;
        Ok(())
    }
}
