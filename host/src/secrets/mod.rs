//! Secrets: a text that never prints, keys derived from one secret, and
//! encryption at rest.
//!
//! Architecture invariant: what is sealed can be opened only under the context
//! it was sealed for, so a value moved to another row does not open there.

mod keys;
mod master;
mod text;

use std::{io, path::PathBuf};

pub use keys::Keys;
pub use master::Origin;
pub use text::{Secret, hash_token, random_token};

/// Why a secret is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text given is not base64 of 32 bytes.
    #[error(
        "the secret key must be {} bytes in base64, such as `openssl rand -base64 32` prints",
        master::BYTES
    )]
    Malformed,
    /// The key file could not be read or made.
    #[error("the key file {} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What should be opened was sealed with another key or for another
    /// context, or was changed since.
    #[error("sealed data cannot be opened: it was changed, or sealed with another secret key")]
    Unopenable,
}
