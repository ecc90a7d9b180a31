//! A text that never prints, and the tokens made of it.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The random part of a token, in bytes.
const TOKEN_BYTES: usize = 32;

/// A text that prints as `***` and is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself, for the one place that must send or check it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// For settings.
impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::from(text))
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// In constant time for texts of one length.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A new token: 256 random bits in URL-safe base64.
pub fn random_token() -> Secret {
    let bytes = Zeroizing::new(rand::random::<[u8; TOKEN_BYTES]>());
    Secret::from(URL_SAFE_NO_PAD.encode(*bytes))
}

/// What is kept of a token that [`random_token`] made. No key is needed: 256
/// random bits cannot be guessed from their hash.
pub fn hash_token(token: &Secret) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"jimo-connect token 1\0");
    hash.update(token.expose().as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::from("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }

    #[test]
    fn tokens_differ_and_fit_an_address() {
        let token = random_token();
        assert_eq!(token.expose().len(), 43);
        assert_ne!(token, random_token());
        assert_ne!(hash_token(&token), hash_token(&random_token()));
    }
}
