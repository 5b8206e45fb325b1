//! Everything that is published, for those who missed some of the changes.

use super::PortTable;
use crate::observe::Standing;

impl PortTable {
    /// Every port that has a row or is configured.
    pub(crate) fn standing(&self) -> impl Iterator<Item = Standing> {
        self.ports
            .iter()
            .filter(|(_, port)| port.handed.is_some() || port.listed.config_db)
            .map(|(name, port)| Standing {
                name: *name,
                state: port.handed,
                configured: port.listed.config_db,
                downs: self.carrier_downs(name).unwrap_or(0),
            })
    }
}
