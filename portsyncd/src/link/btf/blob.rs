//! BTF as it comes from the kernel: where each type begins, and what it says.
//!
//! The format is that of `Documentation/bpf/btf.rst` and `linux/btf.h`. Types have
//! no index: they stand one after the other, in records whose length depends on
//! their kind. One pass notes where each begins; nothing else is built. Every
//! access is checked, and nothing in the bytes is trusted.

use super::BtfError;

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
/// `struct btf_header`, as far as version 1 always has it.
const HEADER_BYTES: usize = 24;
/// `struct btf_type`, before what depends on the kind.
const TYPE_BYTES: usize = 12;
/// `struct btf_member`.
const MEMBER_BYTES: usize = 12;
/// A chain of typedefs and qualifiers is never as long.
const LONGEST_CHAIN: u32 = 32;

/// `BTF_KIND_*` (`linux/btf.h`), as far as anything here asks for it.
pub(super) mod kind {
    pub(in super::super) const INT: u32 = 1;
    pub(in super::super) const PTR: u32 = 2;
    pub(in super::super) const ARRAY: u32 = 3;
    pub(in super::super) const STRUCT: u32 = 4;
    pub(in super::super) const UNION: u32 = 5;
    pub(in super::super) const ENUM: u32 = 6;
    pub(in super::super) const TYPEDEF: u32 = 8;
    pub(in super::super) const VOLATILE: u32 = 9;
    pub(in super::super) const CONST: u32 = 10;
    pub(in super::super) const RESTRICT: u32 = 11;
    pub(in super::super) const FUNC: u32 = 12;
    pub(in super::super) const FUNC_PROTO: u32 = 13;
    pub(in super::super) const TYPE_TAG: u32 = 18;
    pub(in super::super) const FLOAT: u32 = 16;
    pub(in super::super) const ENUM64: u32 = 19;
}

/// BTF whose types have been counted.
#[derive(Debug)]
pub(super) struct Blob<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where type `n + 1` begins in `types`; type 0 is `void`.
    starts: Vec<u32>,
}

/// One type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type<'a> {
    pub(super) id: u32,
    name: u32,
    info: u32,
    /// The size in bytes, or the type that this one refers to.
    word: u32,
    /// What follows, as much as the kind says.
    rest: &'a [u8],
}

/// A member of a structure or a union.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) name: u32,
    pub(super) type_id: u32,
    /// From the start of the structure that has it.
    pub(super) bit: u32,
    /// 0 for one that is no bitfield.
    pub(super) bitfield: u32,
}

impl<'a> Blob<'a> {
    /// Notes where each type begins, and has `seen` look at it.
    pub(super) fn read(
        bytes: &'a [u8],
        mut seen: impl FnMut(&Self, &Type<'a>),
    ) -> Result<Self, BtfError> {
        let cut = BtfError::CutShort("header");
        let header = bytes.get(..HEADER_BYTES).ok_or(cut.clone())?;
        let magic = u16::from_ne_bytes([header[0], header[1]]);
        if magic != MAGIC || header[2] != VERSION {
            return Err(BtfError::Header);
        }
        let field = |at| u32_at(header, at).ok_or(cut.clone());
        let header_bytes = field(4)? as usize;
        if header_bytes < HEADER_BYTES {
            return Err(BtfError::Header);
        }
        let body = bytes.get(header_bytes..).ok_or(cut.clone())?;
        let section = |start: u32, length: u32, what| {
            let start = start as usize;
            let end = start.checked_add(length as usize);
            end.and_then(|end| body.get(start..end))
                .ok_or(BtfError::CutShort(what))
        };
        let mut blob = Self {
            types: section(field(8)?, field(12)?, "types")?,
            strings: section(field(16)?, field(20)?, "strings")?,
            starts: Vec::new(),
        };
        // The shortest records are those of pointers, the most common ones not much
        // longer: no growing on the way.
        blob.starts.reserve(blob.types.len() / (2 * TYPE_BYTES));
        let mut start = 0;
        while start < blob.types.len() {
            let id = u32::try_from(blob.starts.len() + 1).map_err(|_| BtfError::Header)?;
            let found = Type::at(blob.types, start, id)?;
            blob.starts
                .push(u32::try_from(start).map_err(|_| BtfError::Header)?);
            start += TYPE_BYTES + found.rest.len();
            seen(&blob, &found);
        }
        Ok(blob)
    }

    /// The type `id`.
    pub(super) fn get(&self, id: u32) -> Result<Type<'a>, BtfError> {
        let start = self.start(id).ok_or(BtfError::Dangling(id))?;
        Type::at(self.types, start, id)
    }

    /// Where the type `id` begins, in bytes from the first one's start.
    pub(super) fn start(&self, id: u32) -> Option<usize> {
        let index = id.checked_sub(1)?;
        self.starts.get(index as usize).map(|start| *start as usize)
    }

    /// The type `id` without the typedefs and qualifiers around it.
    pub(super) fn bare(&self, id: u32) -> Result<Type<'a>, BtfError> {
        let mut at = self.get(id)?;
        for _ in 0..LONGEST_CHAIN {
            match at.kind() {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    at = self.get(at.word)?;
                }
                _ => return Ok(at),
            }
        }
        Err(BtfError::Dangling(id))
    }

    fn has_name(&self, offset: u32, name: &str) -> bool {
        let rest = self.strings.get(offset as usize..);
        let rest = rest.and_then(|rest| rest.strip_prefix(name.as_bytes()));
        rest.and_then(<[u8]>::first) == Some(&0)
    }

    /// Whether the type is called `name`.
    pub(super) fn is_called(&self, found: &Type<'_>, name: &str) -> bool {
        self.has_name(found.name, name)
    }

    /// Whether the member is called `name`; an anonymous one is called "".
    pub(super) fn member_is_called(&self, member: &Member, name: &str) -> bool {
        self.has_name(member.name, name)
    }
}

impl<'a> Type<'a> {
    fn at(types: &'a [u8], start: usize, id: u32) -> Result<Self, BtfError> {
        let cut = BtfError::CutShort("types");
        let here = types.get(start..).ok_or(cut.clone())?;
        let word = |at| u32_at(here, at).ok_or(cut.clone());
        let (name, info, size_or_type) = (word(0)?, word(4)?, word(8)?);
        let (kind, entries) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        // `btf_type_size` of libbpf.
        let rest = match kind {
            // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
            2 | 7..=12 | 16 | 18 => 0,
            // INT, VAR, DECL_TAG
            1 | 14 | 17 => 4,
            kind::ARRAY => 12,
            // STRUCT, UNION, DATASEC, ENUM64
            4 | 5 | 15 | kind::ENUM64 => entries * MEMBER_BYTES,
            // ENUM, FUNC_PROTO
            kind::ENUM | kind::FUNC_PROTO => entries * 8,
            _ => return Err(BtfError::Kind { id, kind }),
        };
        Ok(Self {
            id,
            name,
            info,
            word: size_or_type,
            rest: here.get(TYPE_BYTES..TYPE_BYTES + rest).ok_or(cut)?,
        })
    }

    /// Its kind, of [`kind`] or another.
    pub(super) fn kind(&self) -> u32 {
        self.info >> 24 & 0x1f
    }

    /// The size in bytes of an integer, an enumeration, a structure or a union.
    pub(super) fn size(&self) -> u32 {
        self.word
    }

    /// Whether [`size`](Self::size) is one.
    pub(super) fn has_size(&self) -> bool {
        matches!(
            self.kind(),
            kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::FLOAT | kind::ENUM64
        )
    }

    /// What a pointer points to, or the prototype of a function.
    pub(super) fn target(&self) -> u32 {
        self.word
    }

    /// An integer's `BTF_INT_SIGNED`, and whether it fills its bytes.
    pub(super) fn integer(&self) -> Option<(bool, bool)> {
        const SIGNED: u32 = 1;
        let word = u32_at(self.rest, 0).filter(|_| self.kind() == kind::INT)?;
        let (encoding, offset, bits) = (word >> 24 & 0xf, word >> 16 & 0xff, word & 0xff);
        let whole = offset == 0 && Some(bits) == self.word.checked_mul(8);
        Some((encoding & SIGNED != 0, whole))
    }

    /// An array's element type and its length.
    pub(super) fn array(&self) -> Option<(u32, u32)> {
        let here = (self.kind() == kind::ARRAY).then_some(self.rest)?;
        Some((u32_at(here, 0)?, u32_at(here, 8)?))
    }

    /// The types of a prototype's parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = u32> + use<'a> {
        let entries = if self.kind() == kind::FUNC_PROTO {
            self.rest
        } else {
            &[]
        };
        entries.chunks_exact(8).filter_map(|entry| u32_at(entry, 4))
    }

    /// The members of a structure or a union.
    pub(super) fn members(&self) -> impl Iterator<Item = Member> + use<'a> {
        /// `kind_flag`: a member's offset has the width of its bitfield above it.
        const BITFIELDS: u32 = 1 << 31;
        let bitfields = self.info & BITFIELDS != 0;
        let entries = match self.kind() {
            kind::STRUCT | kind::UNION => self.rest,
            _ => &[],
        };
        entries.chunks_exact(MEMBER_BYTES).filter_map(move |entry| {
            let (name, type_id, offset) = (u32_at(entry, 0)?, u32_at(entry, 4)?, u32_at(entry, 8)?);
            let (bit, bitfield) = if bitfields {
                (offset & 0x00ff_ffff, offset >> 24)
            } else {
                (offset, 0)
            };
            Some(Member {
                name,
                type_id,
                bit,
                bitfield,
            })
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*word))
}
