//! What `cargo xtask instructions` counts under callgrind: the road's own work, again and again,
//! without a kernel or a Redis. The first argument is the work, the second how often.
//!
//! Two runs that differ in their number differ in nothing else, so the difference of
//! their instructions is that of the work.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use portsyncd::internals::db::Encoder;
use portsyncd::table::{Change, DumpEnd, NameFilter, PortTable, Verdict};
use portsyncd_common::{IfName, LinkRecord, flag, msg, parse_link_message};

/// The largest SKU that SONiC ships.
const PORTS: u32 = 514;
const STORM_PORTS: u32 = 256;
/// Messages for each port of a storm until Redis takes the next batch.
const FOLDED: u32 = 16;
const UP: u32 = flag::UP | flag::RUNNING | flag::LOWER_UP;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let work = arguments.next().context("which work?")?;
    let rounds: u32 = arguments.next().context("how often?")?.parse()?;
    match work.as_str() {
        "parse" => parse(rounds),
        "link_message" => link_message(rounds),
        "storm" => storm(rounds),
        "dump" => dump(rounds),
        "encode" => encode(rounds),
        other => anyhow::bail!("there is no work {other:?}"),
    }
}

/// A message as the kernel sends it for a port, into a record.
fn parse(rounds: u32) -> Result<()> {
    let message = message(0, UP, 9100);
    let mut record = LinkRecord::default();
    for _ in 0..rounds {
        parse_link_message(black_box(&message[..]), &mut record);
        ensure!(black_box(&record).malformed == 0, "{record:?}");
    }
    Ok(())
}

/// One port changes: the record, the change for Redis, its acknowledgement.
fn link_message(rounds: u32) -> Result<()> {
    let mut bench = Bench::new(PORTS)?;
    for round in 0..rounds {
        bench.take(round % PORTS, round % 2 * UP, round)?;
        ensure!(bench.write() == 1, "one change");
    }
    Ok(())
}

/// Many messages for each port until their changes are taken.
fn storm(rounds: u32) -> Result<()> {
    let mut bench = Bench::new(STORM_PORTS)?;
    for round in 0..rounds {
        for message in 0..STORM_PORTS * FOLDED {
            bench.take(message % STORM_PORTS, message % 2 * UP, round)?;
        }
        ensure!(bench.write() == STORM_PORTS as usize, "one change for each");
    }
    Ok(())
}

/// A dump that finds everything as it was.
fn dump(rounds: u32) -> Result<()> {
    let mut bench = Bench::new(PORTS)?;
    for round in 0..rounds {
        bench.dump(10 + u64::from(round))?;
        ensure!(bench.write() == 0, "nothing has changed");
    }
    Ok(())
}

/// A change's HSET.
fn encode(rounds: u32) -> Result<()> {
    let mut bench = Bench::new(1)?;
    bench.take(0, 0, 1)?;
    bench.table.take_changes(&mut bench.changes);
    let change = *bench.changes.first().context("a change")?;
    let mut encoder = Encoder::new('|', None);
    let mut out = Vec::with_capacity(4096);
    for _ in 0..rounds {
        out.clear();
        encoder.append(&mut out, black_box(&change));
        ensure!(!black_box(&out).is_empty(), "a command");
    }
    Ok(())
}

/// A table in step.
struct Bench {
    table: PortTable,
    changes: Vec<Change>,
    records: Vec<LinkRecord>,
}

impl Bench {
    fn new(ports: u32) -> Result<Self> {
        let names: Vec<IfName> = (0..ports).map(name).collect();
        let mut bench = Self {
            table: PortTable::new(NameFilter::default()),
            changes: Vec::new(),
            records: (0..ports).map(record).collect(),
        };
        bench.table.configured(names.iter(), 1);
        bench.dump(1)?;
        ensure!(bench.write() == names.len(), "a row for each port");
        Ok(bench)
    }

    fn take(&mut self, port: u32, flags: u32, round: u32) -> Result<()> {
        // Made beforehand: only the table's work is to be counted.
        let mut record = self.records[port as usize];
        record.flags = flags;
        record.timestamp_ns = 10 + u64::from(round);
        let verdict = self.table.link_message(black_box(&record));
        ensure!(verdict == Verdict::Accepted, "{verdict:?}");
        Ok(())
    }

    fn dump(&mut self, now_ns: u64) -> Result<()> {
        self.table.dump_begin(now_ns);
        for record in &mut self.records {
            record.timestamp_ns = now_ns;
            let verdict = self.table.dump_entry(black_box(record));
            ensure!(verdict == Verdict::Accepted, "{verdict:?}");
        }
        self.table.dump_end(DumpEnd::Complete);
        Ok(())
    }

    /// Redis takes what is owed and acknowledges it; how many changes that was.
    fn write(&mut self) -> usize {
        self.table.take_changes(&mut self.changes);
        self.table.acked(&self.changes);
        let written = self.changes.len();
        self.changes.clear();
        written
    }
}

fn name(port: u32) -> IfName {
    // Ports of four lanes; such a name always fits.
    format!("Ethernet{}", 4 * port)
        .parse()
        .unwrap_or_else(|error| panic!("{error}"))
}

fn record(port: u32) -> LinkRecord {
    let mut record = LinkRecord::default();
    parse_link_message(&message(port, UP, 9100)[..], &mut record);
    record
}

/// An `RTM_NEWLINK` with the attributes of a tap, about those of a switch's port.
fn message(port: u32, flags: u32, mtu: u32) -> Vec<u8> {
    let mut bytes = vec![0; 32];
    bytes[4..6].copy_from_slice(&msg::NEWLINK.to_ne_bytes());
    bytes[20..24].copy_from_slice(&(port + 2).to_ne_bytes());
    bytes[24..28].copy_from_slice(&flags.to_ne_bytes());
    let mut attribute = |kind: u16, value: &[u8]| {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    };
    let name = [name(port).as_bytes(), b"\0"].concat();
    attribute(3, &name);
    attribute(13, &1000_u32.to_ne_bytes());
    attribute(16, &[6]);
    attribute(17, &[0]);
    attribute(4, &mtu.to_ne_bytes());
    attribute(50, &68_u32.to_ne_bytes());
    attribute(51, &65535_u32.to_ne_bytes());
    for kind in [27, 30, 31, 40, 41, 35] {
        attribute(kind, &1_u32.to_ne_bytes());
    }
    attribute(33, &[1]);
    attribute(6, b"fq_codel\0");
    for kind in [47, 48, 35] {
        attribute(kind, &1_u32.to_ne_bytes());
    }
    attribute(14, &[0; 32]);
    attribute(1, &[0x02; 6]);
    attribute(2, &[0xff; 6]);
    // Statistics, and the address families with their many settings.
    attribute(23, &[0; 200]);
    attribute(7, &[0; 96]);
    attribute(26, &[0; 768]);
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}
