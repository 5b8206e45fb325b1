//! Cutting BTF down (`Documentation/bpf/btf.rst`).
//!
//! Kept whole, with everything that lies inside them: `net_device`, and what leads
//! from it to the inode number of its namespace. What they refer to is kept hollow:
//! a pointer's target becomes `void`, another structure loses its members but not
//! its size. One type of each other kind comes along, because a reader has to step
//! over them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

/// `BTF_KIND_*`.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const ENUM64: u32 = 19;
    pub(super) const LAST: u32 = ENUM64;
}

/// Structures that are kept whole.
const WHOLE: [&str; 3] = ["net_device", "net", "ns_common"];
/// Structures whose pointers keep their targets.
const FOLLOWED: [&str; 2] = ["net_device", "net"];
const FUNCTIONS: [&str; 2] = ["netif_carrier_off", "netif_carrier_on"];

const HEADER_BYTES: usize = 24;
const TYPE_BYTES: usize = 12;

/// A type as words: name, info, size or type, and what follows.
#[derive(Clone, Debug)]
struct Type {
    words: Vec<u32>,
}

impl Type {
    fn kind(&self) -> u32 {
        self.words[1] >> 24 & 0x1f
    }

    fn is_composite(&self) -> bool {
        matches!(self.kind(), kind::STRUCT | kind::UNION)
    }

    /// Which words are types.
    fn references(&self) -> Vec<usize> {
        let every = |first, step| (first..self.words.len()).step_by(step).collect();
        match self.kind() {
            // PTR, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, VAR, DECL_TAG, TYPE_TAG
            2 | 8..=12 | kind::VAR | kind::DECL_TAG | 18 => vec![2],
            kind::ARRAY => vec![3, 4],
            kind::STRUCT | kind::UNION => every(4, 3),
            kind::FUNC_PROTO => [2].into_iter().chain(every(4, 2)).collect::<Vec<_>>(),
            kind::DATASEC => every(3, 3),
            _ => vec![],
        }
    }

    /// Which words are names.
    fn names(&self) -> Vec<usize> {
        let every = |first, step| (first..self.words.len()).step_by(step);
        let mut names = vec![0];
        match self.kind() {
            kind::STRUCT | kind::UNION | kind::ENUM64 => names.extend(every(3, 3)),
            kind::ENUM | kind::FUNC_PROTO => names.extend(every(3, 2)),
            _ => {}
        }
        names
    }

    /// Without its entries.
    fn hollow(&mut self) {
        self.words.truncate(3);
        self.words[1] &= !0xffff;
    }
}

struct Btf<'a> {
    types: Vec<Type>,
    strings: &'a [u8],
}

impl<'a> Btf<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let u32_at = |at: usize| -> Result<u32> {
            let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
            Ok(u32::from_le_bytes(*word.context("cut short")?))
        };
        ensure!(bytes.starts_with(&[0x9f, 0xeb, 1]), "no BTF of version 1");
        let header = u32_at(4)? as usize;
        let section = |at| -> Result<&[u8]> {
            let start = header + u32_at(at)? as usize;
            let end = start + u32_at(at + 4)? as usize;
            bytes.get(start..end).context("cut short")
        };
        let (mut rest, strings) = (section(8)?, section(16)?);
        let void = Type { words: vec![0; 3] };
        let mut types = vec![void];
        while !rest.is_empty() {
            let words = |bytes: &[u8]| -> Vec<u32> {
                let (words, _) = bytes.as_chunks();
                words.iter().map(|word| u32::from_le_bytes(*word)).collect()
            };
            let (fixed, _) = rest.split_at_checked(TYPE_BYTES).context("cut short")?;
            let info = words(fixed)[1];
            let entries = (info & 0xffff) as usize;
            let more = match info >> 24 & 0x1f {
                kind::INT | kind::VAR | kind::DECL_TAG => 4,
                kind::ARRAY => 12,
                kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => entries * 12,
                kind::ENUM | kind::FUNC_PROTO => entries * 8,
                1..=kind::LAST => 0,
                unknown => anyhow::bail!("a type of kind {unknown}"),
            };
            let (whole, next) = rest
                .split_at_checked(TYPE_BYTES + more)
                .context("cut short")?;
            types.push(Type {
                words: words(whole),
            });
            rest = next;
        }
        Ok(Self { types, strings })
    }

    fn string(&self, offset: u32) -> Result<&'a [u8]> {
        let from = self
            .strings
            .get(offset as usize..)
            .context("no such string")?;
        let end = from
            .iter()
            .position(|byte| *byte == 0)
            .context("cut short")?;
        Ok(&from[..end])
    }

    fn is_called(&self, found: &Type, names: &[&str]) -> bool {
        let name = self.string(found.words[0]).unwrap_or_default();
        names.iter().any(|wanted| wanted.as_bytes() == name)
    }
}

/// What becomes of a type in the fixture.
struct Cutter<'a> {
    btf: Btf<'a>,
    /// The types that are kept, by their old ids.
    kept: BTreeMap<u32, Type>,
}

impl Cutter<'_> {
    /// Keeps a type; `outer` says that it is part of something that is kept whole.
    fn keep(&mut self, id: u32, outer: bool) -> Result<()> {
        if id == 0 || self.kept.contains_key(&id) {
            return Ok(());
        }
        let found = self.btf.types.get(id as usize).context("no such type")?;
        let mut found = found.clone();
        let anonymous = found.words[0] == 0;
        let small = found.words[2] <= 8;
        let whole = self.btf.is_called(&found, &WHOLE) || small || (outer && anonymous);
        if found.kind() == kind::PTR && !self.leads_on(found.words[2]) {
            found.words[2] = 0;
        }
        let bulky = found.is_composite() || matches!(found.kind(), kind::DATASEC | kind::ENUM64);
        if bulky && !whole {
            found.hollow();
        }
        self.kept.insert(id, found.clone());
        for at in found.references() {
            self.keep(found.words[at], !bulky || whole)?;
        }
        Ok(())
    }

    /// Whether a pointer to `id` points to one of the structures that are followed.
    fn leads_on(&self, mut id: u32) -> bool {
        while let Some(target) = self.btf.types.get(id as usize) {
            match target.kind() {
                8..=11 | 18 => id = target.words[2],
                kind::STRUCT => return self.btf.is_called(target, &FOLLOWED),
                _ => return false,
            }
        }
        false
    }

    /// The fixture's bytes: the same types in the same order, numbered anew.
    fn write(mut self) -> Result<Vec<u8>> {
        let ids: BTreeMap<u32, u32> = self.kept.keys().copied().zip(1..).collect();
        let mut strings = vec![0];
        let mut placed = BTreeMap::new();
        let mut types = Vec::new();
        for found in self.kept.values_mut() {
            for at in found.references() {
                let old = found.words[at];
                found.words[at] = *ids.get(&old).unwrap_or(&0);
            }
            for at in found.names() {
                let name = self.btf.string(found.words[at])?;
                found.words[at] = if name.is_empty() {
                    0
                } else if let Some(offset) = placed.get(name) {
                    *offset
                } else {
                    let offset = u32::try_from(strings.len())?;
                    strings.extend_from_slice(name);
                    strings.push(0);
                    placed.insert(name, offset);
                    offset
                };
            }
            types.extend(found.words.iter().flat_map(|word| word.to_le_bytes()));
        }
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [HEADER_BYTES, 0, types.len(), types.len(), strings.len()] {
            bytes.extend_from_slice(&u32::try_from(word)?.to_le_bytes());
        }
        bytes.append(&mut types);
        bytes.append(&mut strings);
        Ok(bytes)
    }
}

/// The part of `btf` that the carrier hook's reader needs.
pub(super) fn cut(btf: &[u8]) -> Result<Vec<u8>> {
    let mut cutter = Cutter {
        btf: Btf::parse(btf)?,
        kept: BTreeMap::new(),
    };
    let (mut wanted, mut samples) = (Vec::new(), Vec::new());
    let mut kinds = BTreeSet::new();
    for (id, found) in (0_u32..).zip(&cutter.btf.types).skip(1) {
        let by_name = match found.kind() {
            kind::STRUCT => cutter.btf.is_called(found, &WHOLE),
            kind::FUNC => cutter.btf.is_called(found, &FUNCTIONS),
            _ => false,
        };
        if by_name {
            wanted.push(id);
        } else if kinds.insert(found.kind()) {
            samples.push(id);
        }
    }
    // What is wanted first: a sample may lead to a part of it, which is then whole.
    for id in wanted.into_iter().chain(samples) {
        cutter.keep(id, false)?;
    }
    cutter.write()
}
