//! What can be wrong with BTF, or unlike what the carrier hook expects.

/// The layout of the kernel's structures could not be learned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// It is not BTF of this machine's byte order, or of a version we know.
    #[error("its header is not that of BTF version 1 in this machine's byte order")]
    Header,
    /// It ends within its header, its types or its strings.
    #[error("it is cut short in its {0}")]
    CutShort(&'static str),
    /// A type of a kind that came after this daemon was made.
    #[error("type {id} is of kind {kind}, which this version does not know")]
    Kind {
        /// The type.
        id: u32,
        /// Its kind.
        kind: u32,
    },
    /// A type refers to one that is not there, or to itself.
    #[error("type {0} leads nowhere")]
    Dangling(u32),
    /// There is no structure or function of this name.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// There are several of this name, and they may differ.
    #[error("it has several of the name {0}")]
    Ambiguous(&'static str),
    /// A structure has no such field.
    #[error("there is no {0}")]
    NoField(&'static str),
    /// A field is not of the type that the carrier hook reads.
    #[error("{field} is {found}, not {wanted}")]
    Unlike {
        /// The field.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A field lies where none can lie.
    #[error("{field} at bit {bit} {wrong}")]
    Place {
        /// The field.
        field: &'static str,
        /// Where it would be, in bits from the structure's start.
        bit: u32,
        /// What is wrong with that.
        wrong: &'static str,
    },
}
