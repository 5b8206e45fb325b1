//! The kernel's side: capabilities, BTF, the link sources, the carrier hook.

use std::fs;

use rustix::system::uname;

use super::Finding;
use crate::config::{CarrierHook, Link, Source};
use crate::link::btf::KernelTypes;
use crate::link::carrier::{attach, verified};
use crate::link::ebpf::EbpfSource;
use crate::link::gate::Gate;
use crate::link::netlink::NetlinkSource;

const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Capabilities that the daemon needs before it drops them: bit, name (capabilities(7)).
const CAPABILITIES: [(u32, &str); 3] =
    [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (12, "CAP_NET_ADMIN")];

/// Looks at the host. Runs inside a runtime, which the sources' descriptors need.
pub(super) fn examine(link: &Link) -> Vec<Finding> {
    let release = uname().release().to_string_lossy().into_owned();
    let mut findings = vec![Finding::good("kernel", release), capabilities(), btf()];
    let name = link.netns.as_deref().unwrap_or_default();
    match Gate::start(name) {
        Ok(gate) => sources(link, &gate, &mut findings),
        Err(error) => findings.push(Finding::bad(
            "link.netns",
            error.to_string(),
            "the daemon does not start",
        )),
    }
    findings
}

fn capabilities() -> Finding {
    let what = "capabilities";
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    // CAP_SYS_ADMIN stands for the two that were once part of it.
    let admin = effective >> 21 & 1 == 1;
    let missing: Vec<_> = CAPABILITIES
        .iter()
        .filter(|(bit, _)| effective >> bit & 1 == 0 && !(admin && *bit > 37))
        .map(|(_, name)| *name)
        .collect();
    if missing.is_empty() {
        Finding::good(what, "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")
    } else {
        Finding::less(
            what,
            format!("without {}", missing.join(", ")),
            "what needs them is refused below; the unit grants them to the daemon",
        )
    }
}

fn btf() -> Finding {
    let types = fs::read(BTF).map_err(|error| error.to_string());
    let found = types.and_then(|bytes| {
        let types = KernelTypes::read(&bytes, &["netif_carrier_off", "netif_carrier_on"])
            .map_err(|error| error.to_string())?;
        let layout = types.netdev_layout().map_err(|error| error.to_string())?;
        Ok(format!("{BTF}, net_device.ifindex at {}", layout.ifindex))
    });
    match found {
        Ok(found) => Finding::good("BTF", found),
        Err(error) => Finding::less(
            "BTF",
            format!("{BTF}: {error}"),
            "no carrier hook: link.carrier_sampling looks for lost carriers instead",
        ),
    }
}

fn sources(link: &Link, gate: &Gate, findings: &mut Vec<Finding>) {
    let (ring, receive_buffer) = (link.ring_buffer_bytes(), link.netlink_rcvbuf_bytes());
    let ebpf = gate.run(move || EbpfSource::open(ring));
    let netlink = gate.run(move || NetlinkSource::open(receive_buffer));
    let what = "socket filter";
    let insisted = link.source == Source::Ebpf;
    match &ebpf {
        Ok(_) => findings.push(Finding::good(
            what,
            "loads and attaches: the eBPF link source",
        )),
        Err(error) if insisted => findings.push(Finding::bad(
            what,
            error.to_string(),
            "link.source = \"ebpf\": the daemon does not start; \"auto\" would take netlink",
        )),
        Err(error) => findings.push(Finding::less(
            what,
            error.to_string(),
            "link.source = \"auto\" takes the plain netlink socket: more CPU per link message, no \
             carrier hook",
        )),
    }
    if let Ok(source) = &ebpf {
        findings.extend(verifier(source, gate));
    }
    let what = "netlink socket";
    findings.push(match netlink {
        Ok(_) => Finding::good(what, "opens: the plain link source"),
        Err(error) => Finding::bad(
            what,
            error.to_string(),
            "no link source is left without eBPF",
        ),
    });
    for (what, mode, follows) in [
        (
            "fentry",
            CarrierHook::Fentry,
            "link.carrier_hook = \"auto\" tries a kprobe",
        ),
        (
            "kprobe",
            CarrierHook::Kprobe,
            "without either, link.carrier_sampling looks for lost carriers after the first one",
        ),
    ] {
        let hooked = match &ebpf {
            Err(_) => Err("needs the eBPF link source".to_owned()),
            Ok(source) => source
                .hook_maps()
                .map_err(|error| error.to_string())
                .and_then(|maps| {
                    attach(mode, &maps, gate.netns_inode()).map_err(|error| error.to_string())
                }),
        };
        findings.push(match hooked {
            Ok(_) => Finding::good(what, "attaches to netif_carrier_off and netif_carrier_on"),
            Err(error) => Finding::less(what, error, follows),
        });
    }
}

/// How far the programs are from what the verifier gives up at.
fn verifier(source: &EbpfSource, gate: &Gate) -> Option<Finding> {
    let mut work = vec![source.verified().ok()?];
    let maps = source.hook_maps().ok()?;
    // What is refused is said below.
    let hooks = verified(&maps, gate.netns_inode()).unwrap_or_default();
    work.extend(
        hooks
            .into_iter()
            .filter_map(|(program, work)| Some((program, work.ok()?))),
    );
    let work: Vec<String> = work
        .iter()
        .map(|(program, instructions)| format!("{program} {instructions}"))
        .collect();
    Some(Finding::good(
        "verifier",
        format!("of 1000000 instructions: {}", work.join(", ")),
    ))
}
