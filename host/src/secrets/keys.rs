//! The keys that are derived from the one secret, and what they do.

use std::{fmt, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    Error, Secret,
    master::{self, Origin},
};
use crate::model::KeyKind;

/// The first byte of what is sealed today.
const SEAL_VERSION: u8 = 1;
/// XChaCha20's nonce, in bytes; long enough to be drawn at random.
const NONCE_BYTES: usize = 24;

/// The keys that everything at rest is protected by.
pub struct Keys {
    seal: XChaCha20Poly1305,
    sessions: Zeroizing<[u8; 32]>,
    match_index: Zeroizing<[u8; 32]>,
    check: [u8; 16],
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

impl Keys {
    /// The keys derived from one secret (HKDF with SHA-256, RFC 5869).
    pub fn derive(master: &[u8; master::BYTES]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(b"jimo-connect"), master);
        let tokens = expand::<32>(&hkdf, b"tokens/1");
        Self {
            seal: XChaCha20Poly1305::new((&*tokens).into()),
            sessions: expand(&hkdf, b"sessions/1"),
            match_index: expand(&hkdf, b"match-index/1"),
            check: *expand(&hkdf, b"check/1"),
        }
    }

    /// The keys of the secret that `setting` gives (base64 of 32 bytes), else
    /// of the file in the data directory, which is made on first start.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] and [`Error::File`].
    pub fn load(setting: Option<&Secret>, data_dir: &Path) -> Result<(Self, Origin), Error> {
        let (master, origin) = master::load(setting, data_dir)?;
        Ok((Self::derive(&master), origin))
    }

    /// A value that tells these keys from others and nothing else. Kept beside
    /// sealed data and digests, it lets a start with the wrong secret be
    /// refused before anything is written.
    pub fn check_value(&self) -> [u8; 16] {
        self.check
    }

    /// Encrypts `plaintext` (XChaCha20-Poly1305, random nonce). `context` says
    /// what it is and whose, such as `account/acc_7/refresh_token`; only the
    /// same context opens it.
    pub fn seal(&self, context: &str, plaintext: &[u8]) -> Vec<u8> {
        let nonce = rand::random::<[u8; NONCE_BYTES]>();
        let payload = Payload {
            msg: plaintext,
            aad: &associated_data(context),
        };
        let sealed = self
            .seal
            .encrypt(&XNonce::from(nonce), payload)
            .expect("the cipher takes any text shorter than 256 GiB");
        let mut out = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        out.push(SEAL_VERSION);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Decrypts what [`Keys::seal`] gave for the same context.
    ///
    /// # Errors
    ///
    /// [`Error::Unopenable`].
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (&version, rest) = sealed.split_first().ok_or(Error::Unopenable)?;
        let (nonce, sealed) = rest
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(Error::Unopenable)?;
        if version != SEAL_VERSION {
            return Err(Error::Unopenable);
        }
        let payload = Payload {
            msg: sealed,
            aad: &associated_data(context),
        };
        self.seal
            .decrypt(&XNonce::from(*nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| Error::Unopenable)
    }

    /// [`Keys::open`] for a text.
    ///
    /// # Errors
    ///
    /// [`Error::Unopenable`].
    pub fn open_text(&self, context: &str, sealed: &[u8]) -> Result<Secret, Error> {
        let plain = self.open(context, sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| Error::Unopenable)?;
        Ok(Secret::from(text))
    }

    /// What the match index keeps of a normalised match key: a keyed digest
    /// that cannot be turned back by trying addresses without the key.
    /// `context` keeps connections and object types apart.
    pub fn digest_match_key(&self, context: &str, kind: KeyKind, normalised: &str) -> [u8; 16] {
        let kind: &[u8] = match kind {
            KeyKind::Email => b"email",
            KeyKind::Id => b"id",
            KeyKind::Number => b"number",
        };
        let full = mac(
            &self.match_index,
            &[context.as_bytes(), kind, normalised.as_bytes()],
        );
        let mut digest = [0; 16];
        digest.copy_from_slice(&full[..16]);
        digest
    }

    /// A code that only this host can make for a session and a purpose, such as
    /// the hidden field of a form.
    pub fn session_code(&self, session_hash: &[u8; 32], purpose: &str) -> Secret {
        let code = mac(&self.sessions, &[session_hash, purpose.as_bytes()]);
        Secret::from(URL_SAFE_NO_PAD.encode(code))
    }
}

fn expand<const N: usize>(hkdf: &Hkdf<Sha256>, label: &[u8]) -> Zeroizing<[u8; N]> {
    let mut key = Zeroizing::new([0; N]);
    hkdf.expand(label, &mut *key)
        .expect("HKDF gives up to 8,160 bytes");
    key
}

/// HMAC-SHA-256 over parts, each after its length: no two lists of parts agree.
fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn associated_data(context: &str) -> Vec<u8> {
    let mut data = vec![SEAL_VERSION];
    data.extend_from_slice(context.as_bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::derive(&[7; 32])
    }

    #[test]
    fn keys_never_print() {
        assert_eq!(format!("{:?}", keys()), "Keys(***)");
    }

    #[test]
    fn what_is_sealed_opens_for_its_context_alone() {
        let sealed = keys().seal("account/acc_1", b"token");
        assert_eq!(
            &**keys().open("account/acc_1", &sealed).expect("opens"),
            b"token"
        );
        assert!(keys().open("account/acc_2", &sealed).is_err());
        assert!(
            Keys::derive(&[8; 32])
                .open("account/acc_1", &sealed)
                .is_err()
        );
        assert_ne!(sealed, keys().seal("account/acc_1", b"token"));
    }

    #[test]
    fn any_changed_or_missing_byte_is_noticed() {
        let sealed = keys().seal("c", b"token");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys().open("c", &changed).is_err(), "byte {at}");
            assert!(keys().open("c", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn digests_keep_contexts_kinds_and_secrets_apart() {
        let digest = keys().digest_match_key("con_1/contacts", KeyKind::Email, "ana@example.com");
        assert_eq!(
            digest,
            keys().digest_match_key("con_1/contacts", KeyKind::Email, "ana@example.com")
        );
        for other in [
            keys().digest_match_key("con_2/contacts", KeyKind::Email, "ana@example.com"),
            keys().digest_match_key("con_1/contacts", KeyKind::Id, "ana@example.com"),
            Keys::derive(&[8; 32]).digest_match_key(
                "con_1/contacts",
                KeyKind::Email,
                "ana@example.com",
            ),
        ] {
            assert_ne!(digest, other);
        }
    }
}
