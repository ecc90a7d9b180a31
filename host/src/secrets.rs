//! Secrets: a text that never prints, keys derived from one secret, and
//! encryption at rest.
//!
//! Architecture invariant: what is sealed can be opened only under the context
//! it was sealed for, so a value moved to another row does not open there.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::model::KeyKind;

/// The one secret that all keys are derived from, in bytes.
const MASTER_BYTES: usize = 32;
/// The file in the data directory that holds it when no setting gives it.
const KEY_FILE: &str = "secret.key";
/// The most that is read of the key file: base64 of 32 bytes, and space around.
const KEY_FILE_BYTES_MAX: u64 = 256;
/// The first byte of what is sealed today.
const SEAL_VERSION: u8 = 1;
/// XChaCha20's nonce, in bytes; long enough to be drawn at random.
const NONCE_BYTES: usize = 24;
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

/// Why a secret is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text given is not base64 of 32 bytes.
    #[error(
        "the secret key must be {MASTER_BYTES} bytes in base64, such as `openssl rand -base64 32` prints"
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

/// Where the one secret came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A setting gave it.
    Setting,
    /// It was in the data directory.
    File,
    /// It was made just now, because there was none. Whoever finds sealed data
    /// all the same has lost the key to it.
    Made,
}

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
    pub fn derive(master: &[u8; MASTER_BYTES]) -> Self {
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
        let (master, origin) = match setting {
            Some(text) => (decode_master(text.expose())?, Origin::Setting),
            None => load_file(&data_dir.join(KEY_FILE))?,
        };
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

fn decode_master(text: &str) -> Result<Zeroizing<[u8; MASTER_BYTES]>, Error> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| Error::Malformed)?);
    let master = bytes.as_slice().try_into().map_err(|_| Error::Malformed)?;
    Ok(Zeroizing::new(master))
}

fn load_file(path: &Path) -> Result<(Zeroizing<[u8; MASTER_BYTES]>, Origin), Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    if let Some(text) = read_key(path).map_err(failed)? {
        return Ok((decode_master(&text)?, Origin::File));
    }
    let master = Zeroizing::new(rand::random::<[u8; MASTER_BYTES]>());
    if make_key(path, &master).map_err(failed)? {
        return Ok((master, Origin::Made));
    }
    // Another process of the same data directory was quicker: its key it is.
    let text = read_key(path)
        .map_err(failed)?
        .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    Ok((decode_master(&text)?, Origin::File))
}

fn read_key(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Zeroizing::new(String::new());
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Writes the key file whole or not at all; false when there was one already.
fn make_key(path: &Path, master: &[u8; MASTER_BYTES]) -> io::Result<bool> {
    let part = path.with_extension(format!("key.{:016x}", rand::random::<u64>()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = Zeroizing::new(STANDARD.encode(master) + "\n");
    let linked = options
        .open(&part)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        // Unlike a rename, a link never replaces what another process made.
        .and_then(|()| match std::fs::hard_link(&part, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        });
    let _ = std::fs::remove_file(&part);
    let made = linked?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::derive(&[7; 32])
    }

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::from("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
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

    #[test]
    fn the_key_file_is_made_once_and_for_its_owner_alone() {
        let directory = std::env::temp_dir().join(format!("jimo-keys-{:x}", rand::random::<u64>()));
        std::fs::create_dir(&directory).expect("directory");
        let (first, made) = Keys::load(None, &directory).expect("made");
        let (second, read) = Keys::load(None, &directory).expect("read");
        assert_eq!((made, read), (Origin::Made, Origin::File));
        assert_eq!(first.check_value(), second.check_value());
        let files: Vec<_> = std::fs::read_dir(&directory).expect("lists").collect();
        assert_eq!(files.len(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(directory.join(KEY_FILE)).expect("file");
            assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    #[test]
    fn a_setting_is_base64_of_32_bytes() {
        let text = |bytes: &[u8]| Secret::from(STANDARD.encode(bytes));
        let nowhere = Path::new("/nonexistent");
        let (given, origin) = Keys::load(Some(&text(&[7; 32])), nowhere).expect("32 bytes");
        assert_eq!(origin, Origin::Setting);
        assert_eq!(given.check_value(), keys().check_value());
        assert!(Keys::load(Some(&text(&[7; 31])), nowhere).is_err());
        assert!(Keys::load(Some(&text(&[7; 33])), nowhere).is_err());
        assert!(Keys::load(Some(&Secret::from("not base64!")), nowhere).is_err());
        assert!(Keys::load(None, nowhere).is_err());
    }

    #[test]
    fn tokens_differ_and_fit_an_address() {
        let token = random_token();
        assert_eq!(token.expose().len(), 43);
        assert_ne!(token, random_token());
        assert_ne!(hash_token(&token), hash_token(&random_token()));
    }
}
