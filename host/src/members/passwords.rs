//! Passwords: hashed with Argon2id, a few at once.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::Error;
use crate::{secrets::Secret, telemetry::spawn_blocking};

/// Memory, passes and lanes: OWASP's Password Storage Cheat Sheet names these as
/// the least for Argon2id (19 MiB, 2, 1); RFC 9106 tells what they do.
const MEMORY_KIBIBYTES: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The salt, in bytes, as RFC 9106 §3.1 recommends.
const SALT_BYTES: usize = 16;

/// Hashes that are made at once: so much memory, and no more of the cores.
const AT_ONCE: usize = 2;

/// A hash that is no password's, compared with where an address has no account,
/// so that the answer takes as long.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdC4uLg\
                       $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The hashing of passwords.
pub struct Passwords {
    places: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Passwords {
    /// The hash that is kept of a password, with its parameters and salt.
    pub async fn hash(&self, password: &Secret) -> Result<String, Error> {
        let text = composed(password);
        let salt: [u8; SALT_BYTES] = rand::random();
        self.with_place(move || {
            let hash: PasswordHash = argon2()?
                .hash_password_with_salt(text.as_bytes(), &salt)
                .map_err(|_| Error::Hash)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether a password is the one that a hash was kept of. Takes as long
    /// where there is none.
    pub async fn verify(&self, password: &Secret, kept: Option<String>) -> Result<bool, Error> {
        let text = composed(password);
        self.with_place(move || {
            let hash = PasswordHash::new(kept.as_deref().unwrap_or(NOBODYS));
            let hash = hash.map_err(|_| Error::Hash)?;
            let verified = argon2()?.verify_password(text.as_bytes(), &hash);
            Ok(verified.is_ok() && kept.is_some())
        })
        .await
    }

    async fn with_place<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        // Nobody closes it.
        let place = self.places.clone().acquire_owned().await;
        let place = place.map_err(|_| Error::Hash)?;
        // The place is the work's: that goes on where the caller goes.
        let placed = spawn_blocking(move || {
            let _place = place;
            work()
        });
        placed.await.map_err(|_| Error::Hash)?
    }
}

/// In one form, whichever keyboard it was typed on.
fn composed(password: &Secret) -> Zeroizing<String> {
    Zeroizing::new(password.expose().nfc().collect())
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIBIBYTES, PASSES, LANES, None).map_err(|_| Error::Hash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_goes_before_a_hash_is_made_leaves_its_place_to_nobody() {
        let passwords = Passwords::default();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut held = Vec::new();
        for _ in 0..10 * AT_ONCE {
            let (hold, let_go) = mpsc::channel::<()>();
            let (running, most) = (running.clone(), most.clone());
            let hash = passwords.with_place(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // An error says that it is let go.
                let _ = let_go.recv();
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            });
            // Begun, and dropped.
            assert!(hash.now_or_never().is_none());
            held.push(hold);
        }
        assert_eq!(passwords.places.available_permits(), 0);
        drop(held);
        let all = u32::try_from(AT_ONCE).expect("few");
        let _all = passwords.places.acquire_many(all).await.expect("open");
        assert_eq!(running.load(Ordering::SeqCst), 0);
        assert!((1..=AT_ONCE).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_another_is_not() {
        let passwords = Passwords::default();
        let kept = passwords.hash(&Secret::from("caf\u{e9} au lait")).await;
        let kept = kept.expect("hash");
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        for (password, is_it) in [
            ("caf\u{e9} au lait", true),
            // As some keyboards compose it.
            ("cafe\u{301} au lait", true),
            ("cafe au lait", false),
            ("", false),
        ] {
            let kept = Some(kept.clone());
            let verified = passwords.verify(&Secret::from(password), kept).await;
            assert_eq!(verified.expect("verified"), is_it, "{password}");
        }
        let again = passwords.hash(&Secret::from("caf\u{e9} au lait")).await;
        assert_ne!(again.expect("hash"), kept, "salts differ");
    }

    #[tokio::test]
    async fn where_there_is_no_account_as_much_is_computed_and_nothing_fits() {
        let nobodys = PasswordHash::new(NOBODYS).expect("hash");
        let params = Params::try_from(&nobodys).expect("parameters");
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (MEMORY_KIBIBYTES, PASSES, LANES)
        );
        let salt = nobodys.salt.expect("salt");
        assert!(salt.len() >= 14, "as long as a real one, or nearly");
        let passwords = Passwords::default();
        let verified = passwords.verify(&Secret::from(""), None).await;
        assert!(!verified.expect("verified"));
    }
}
