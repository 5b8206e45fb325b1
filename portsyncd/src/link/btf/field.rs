//! Finding a field of a structure, however deep it sits in anonymous structures
//! and unions, and proving that it is what it is taken for.

use super::BtfError;
use super::blob::{Blob, Member, Type, kind};

/// Anonymous structures are never nested as deep.
const DEEPEST: u32 = 8;

/// What a field must be to be read by the carrier hook.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// An integer of one of these sizes in bytes, signed or not.
    Integer {
        sizes: &'static [u32],
        signed: bool,
        wanted: &'static str,
    },
    /// One byte: an integer, or a bitfield of eight bits in an enumeration.
    Byte,
    /// `char[n]`.
    Text(u32),
    /// A structure of four bytes that holds one `int`: `atomic_t`.
    Atomic,
    /// A pointer.
    Pointer,
    /// A structure.
    Structure,
}

/// A field that is what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// In bytes from the structure's start.
    pub(super) offset: u32,
    /// In bytes.
    pub(super) size: u32,
    /// Its type, without typedefs.
    pub(super) type_id: u32,
}

/// The field `name` of `structure`; `field` is what errors call it.
pub(super) fn find(
    blob: &Blob<'_>,
    structure: &Type<'_>,
    name: &str,
    field: &'static str,
    shape: Shape,
) -> Result<Field, BtfError> {
    let found = search(blob, structure, name, field, DEEPEST)?;
    let found = found.ok_or(BtfError::NoField(field))?;
    let (size, type_id) = shape.of(blob, &found, field)?;
    let misplaced = |wrong| BtfError::Place {
        field,
        bit: found.bit,
        wrong,
    };
    if found.bit % 8 != 0 {
        return Err(misplaced("is not on a byte"));
    }
    let offset = found.bit / 8;
    let natural = if matches!(shape, Shape::Text(_) | Shape::Byte) {
        1
    } else {
        size.min(8)
    };
    if natural > 0 && !offset.is_multiple_of(natural) {
        return Err(misplaced("is not aligned"));
    }
    if offset
        .checked_add(size)
        .is_none_or(|end| end > structure.size())
    {
        return Err(misplaced("is beyond the end of its structure"));
    }
    Ok(Field {
        offset,
        size,
        type_id,
    })
}

/// The member `name` of `structure` or of an anonymous member of it, its place
/// counted from the start of `structure`.
fn search(
    blob: &Blob<'_>,
    structure: &Type<'_>,
    name: &str,
    field: &'static str,
    deeper: u32,
) -> Result<Option<Member>, BtfError> {
    // In bits: where the member before ended, and where the last one must.
    let mut end = 0;
    let bound = u64::from(structure.size()) * 8;
    let mut found = None;
    for member in structure.members() {
        let misplaced = |wrong| BtfError::Place {
            field,
            bit: member.bit,
            wrong,
        };
        if structure.kind() == kind::UNION {
            end = 0;
        }
        if u64::from(member.bit) < end {
            return Err(misplaced("lies over the one before it"));
        }
        end = u64::from(member.bit) + bits(blob, &member)?;
        if end > bound {
            return Err(misplaced("is beyond the end of its structure"));
        }
        if structure.kind() == kind::UNION && member.bit != 0 {
            return Err(misplaced("is a union's, and not at its start"));
        }
        let here = if blob.member_is_called(&member, name) {
            Some(member)
        } else if blob.member_is_called(&member, "") {
            let inner = blob.bare(member.type_id)?;
            if !matches!(inner.kind(), kind::STRUCT | kind::UNION) {
                // An unnamed bitfield: padding.
                continue;
            }
            let deeper = deeper.checked_sub(1);
            let deeper = deeper.ok_or(BtfError::Dangling(member.type_id))?;
            match search(blob, &inner, name, field, deeper)? {
                Some(within) => Some(Member {
                    bit: member
                        .bit
                        .checked_add(within.bit)
                        .ok_or_else(|| misplaced("is beyond all bounds"))?,
                    ..within
                }),
                None => None,
            }
        } else {
            None
        };
        if here.is_some() && found.replace(here).is_some() {
            return Err(misplaced("is the second of its name"));
        }
    }
    Ok(found.flatten())
}

/// How many bits a member takes.
fn bits(blob: &Blob<'_>, member: &Member) -> Result<u64, BtfError> {
    if member.bitfield > 0 {
        return Ok(member.bitfield.into());
    }
    let mut bytes = 1_u64;
    let mut found = blob.bare(member.type_id)?;
    // An array of arrays, of no more dimensions than structures are nested.
    for _ in 0..=DEEPEST {
        match found.array() {
            Some((element, length)) => {
                bytes = bytes.saturating_mul(length.into());
                found = blob.bare(element)?;
            }
            None if found.kind() == kind::PTR => return Ok(bytes.saturating_mul(64)),
            None if found.has_size() => {
                return Ok(bytes.saturating_mul(u64::from(found.size()) * 8));
            }
            None => break,
        }
    }
    Err(BtfError::Dangling(member.type_id))
}

impl Shape {
    /// The field's size in bytes and its bare type, if it has this shape.
    fn of(
        self,
        blob: &Blob<'_>,
        member: &Member,
        field: &'static str,
    ) -> Result<(u32, u32), BtfError> {
        let found = blob.bare(member.type_id)?;
        let plain = member.bitfield == 0;
        let fits = match self {
            Self::Integer { sizes, signed, .. } => {
                plain && found.integer() == Some((signed, true)) && sizes.contains(&found.size())
            }
            Self::Byte if plain => matches!(found.integer(), Some((_, true))) && found.size() == 1,
            Self::Byte => member.bitfield == 8 && matches!(found.kind(), kind::ENUM | kind::INT),
            Self::Text(length) => {
                plain && text_length(blob, &found)?.is_some_and(|chars| chars == length)
            }
            Self::Atomic => plain && is_atomic(blob, &found)?,
            Self::Pointer => plain && found.kind() == kind::PTR,
            Self::Structure => plain && found.kind() == kind::STRUCT,
        };
        if !fits {
            return Err(BtfError::Unlike {
                field,
                found: describe(&found, member),
                wanted: self.wanted(),
            });
        }
        let size = match self {
            Self::Byte => 1,
            Self::Text(length) => length,
            Self::Pointer => 8,
            Self::Integer { .. } | Self::Atomic | Self::Structure => found.size(),
        };
        Ok((size, found.id))
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Integer { wanted, .. } => wanted,
            Self::Byte => "one byte or a bitfield of eight bits",
            Self::Text(_) => "char[16]",
            Self::Atomic => "an atomic_t",
            Self::Pointer => "a pointer",
            Self::Structure => "a structure",
        }
    }
}

/// How many `char`s an array has, if it is one of them.
fn text_length(blob: &Blob<'_>, found: &Type<'_>) -> Result<Option<u32>, BtfError> {
    let Some((element, length)) = found.array() else {
        return Ok(None);
    };
    let element = blob.bare(element)?;
    let is_char = matches!(element.integer(), Some((_, true))) && element.size() == 1;
    Ok(is_char.then_some(length))
}

fn is_atomic(blob: &Blob<'_>, found: &Type<'_>) -> Result<bool, BtfError> {
    let mut members = found.members();
    let (Some(counter), None) = (members.next(), members.next()) else {
        return Ok(false);
    };
    let inner = blob.bare(counter.type_id)?;
    Ok(found.kind() == kind::STRUCT
        && found.size() == 4
        && counter.bit == 0
        && counter.bitfield == 0
        && inner.integer() == Some((true, true))
        && inner.size() == 4)
}

fn describe(found: &Type<'_>, member: &Member) -> String {
    let size = found.size();
    match (found.kind(), found.integer(), member.bitfield) {
        (_, _, bits @ 1..) => format!("a bitfield of {bits} bits"),
        (_, Some((signed, _)), _) => {
            let sign = if signed { "signed" } else { "unsigned" };
            format!("a {sign} integer of {size} bytes")
        }
        (kind::PTR, ..) => "a pointer".to_owned(),
        (kind::ARRAY, ..) => "an array".to_owned(),
        (kind::STRUCT, ..) => format!("a structure of {size} bytes"),
        (kind::UNION, ..) => format!("a union of {size} bytes"),
        (kind::ENUM | kind::ENUM64, ..) => format!("an enumeration of {size} bytes"),
        (other, ..) => format!("of kind {other}"),
    }
}
