//! What a loader finds in an eBPF object.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind, SymbolScope};

/// The programs, maps and other visible names of an object, a line each: the name,
/// its section, and for a map its definition (`struct bpf_map_def`), which is data.
pub(super) fn interface(object: &[u8]) -> Result<BTreeSet<String>> {
    let elf = object::File::parse(object).context("not an ELF object")?;
    let mut lines = BTreeSet::new();
    for symbol in elf.symbols() {
        let visible = symbol.is_global() && symbol.scope() == SymbolScope::Dynamic;
        let (true, Some(index)) = (visible, symbol.section_index()) else {
            continue;
        };
        let section = elf.section_by_index(index)?;
        let mut line = format!("{} in {}", symbol.name()?, section.name()?);
        if symbol.kind() == SymbolKind::Data {
            let bytes = section.data_range(symbol.address(), symbol.size())?;
            for byte in bytes.context("a symbol reaches beyond its section")? {
                write!(line, " {byte:02x}")?;
            }
        }
        lines.insert(line);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_object_offers_its_program_and_its_maps() {
        let lines = interface(include_bytes!("../../../portsyncd-ebpf/portsyncd-ebpf.o")).unwrap();
        for name in [
            "link_messages in socket",
            "carrier_off_fentry in fentry/netif_carrier_off",
            "carrier_on_fentry in fentry/netif_carrier_on",
            "carrier_off_kprobe in kprobe/netif_carrier_off",
            "carrier_on_kprobe in kprobe/netif_carrier_on",
            "OFF_ND_NET in .rodata",
            "EVENTS in maps",
            "COUNTERS in maps",
            "LICENSE in license",
        ] {
            assert!(
                lines.iter().any(|line| line.starts_with(name)),
                "{name}: {lines:?}"
            );
        }
        assert!(
            !lines.iter().any(|line| line.contains(".text")),
            "{lines:?}"
        );
    }
}
