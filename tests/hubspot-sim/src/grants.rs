//! Grants: authorization codes, refresh and access tokens, and whom they speak for.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

use crate::config::ACCESS_TOKEN_LIFE;

/// How long an authorization code may wait to be exchanged.
const CODE_LIFE_MS: i64 = 5 * 60_000;

/// The user who installs, in every account.
pub(crate) const USER_ID: u64 = 69_531_640;

/// An installed app: what the account granted it.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub refresh_token: String,
    pub scopes: Vec<String>,
    pub revoked: bool,
}

#[derive(Debug)]
struct Code {
    portal: u64,
    scopes: Vec<String>,
    redirect_uri: String,
    challenge: Option<(String, bool)>,
    expires_at: i64,
}

/// An access token: an account's, or the app's own (client credentials, no account).
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub portal: Option<u64>,
    pub scopes: Vec<String>,
    pub expires_at: i64,
}

/// Why a code was not exchanged: `status` of the error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Code,
    RedirectUri,
    CodeVerifier,
    RefreshToken,
}

/// All grants of the app.
#[derive(Debug)]
pub(crate) struct Grants {
    codes: HashMap<String, Code>,
    by_portal: HashMap<u64, Grant>,
    by_refresh: HashMap<String, u64>,
    access: HashMap<String, Access>,
    rng: StdRng,
}

/// What a token call answers with.
pub(crate) struct Issued {
    pub access_token: String,
    pub refresh_token: String,
    pub portal: u64,
    pub scopes: Vec<String>,
}

impl Grants {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            codes: HashMap::new(),
            by_portal: HashMap::new(),
            by_refresh: HashMap::new(),
            access: HashMap::new(),
            rng: StdRng::seed_from_u64(seed ^ 0x0a07),
        }
    }

    fn text(&mut self, bytes: usize) -> String {
        let raw: Vec<u8> = (0..bytes).map(|_| self.rng.random()).collect();
        URL_SAFE_NO_PAD.encode(raw)
    }

    /// A code for an account that consented.
    pub(crate) fn code(
        &mut self,
        portal: u64,
        scopes: Vec<String>,
        redirect_uri: &str,
        challenge: Option<(String, bool)>,
        now: i64,
    ) -> String {
        let code = format!("na1-{}", self.text(24));
        self.codes.insert(
            code.clone(),
            Code {
                portal,
                scopes,
                redirect_uri: redirect_uri.to_owned(),
                challenge,
                expires_at: now + CODE_LIFE_MS,
            },
        );
        code
    }

    /// Exchanges a code, once.
    pub(crate) fn exchange(
        &mut self,
        code: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
        now: i64,
    ) -> Result<Issued, Refused> {
        let held = self.codes.get(code).ok_or(Refused::Code)?;
        if held.expires_at <= now {
            return Err(Refused::Code);
        }
        if held.redirect_uri != redirect_uri {
            return Err(Refused::RedirectUri);
        }
        if let Some((challenge, hashed)) = &held.challenge {
            let given = verifier.ok_or(Refused::CodeVerifier)?;
            let given = if *hashed {
                URL_SAFE_NO_PAD.encode(Sha256::digest(given.as_bytes()))
            } else {
                given.to_owned()
            };
            if given != *challenge {
                return Err(Refused::CodeVerifier);
            }
        }
        let held = self.codes.remove(code).ok_or(Refused::Code)?;
        Ok(self.install(held.portal, held.scopes, now))
    }

    /// Installs the app: a living grant keeps its refresh token.
    pub(crate) fn install(&mut self, portal: u64, scopes: Vec<String>, now: i64) -> Issued {
        let living = self
            .by_portal
            .get(&portal)
            .filter(|grant| !grant.revoked)
            .map(|grant| grant.refresh_token.clone());
        let refresh_token = match living {
            Some(token) => token,
            None => self.new_refresh(portal),
        };
        self.by_portal.insert(
            portal,
            Grant {
                refresh_token: refresh_token.clone(),
                scopes: scopes.clone(),
                revoked: false,
            },
        );
        Issued {
            access_token: self.new_access(Some(portal), scopes.clone(), now),
            refresh_token,
            portal,
            scopes,
        }
    }

    /// Another access token for a refresh token, which may be replaced.
    pub(crate) fn refresh(
        &mut self,
        token: &str,
        rotate: bool,
        now: i64,
    ) -> Result<Issued, Refused> {
        let portal = *self.by_refresh.get(token).ok_or(Refused::RefreshToken)?;
        let scopes = match self.by_portal.get(&portal) {
            Some(grant) if !grant.revoked && grant.refresh_token == token => grant.scopes.clone(),
            _ => return Err(Refused::RefreshToken),
        };
        let mut refresh_token = token.to_owned();
        if rotate {
            self.by_refresh.remove(token);
            refresh_token = self.new_refresh(portal);
            if let Some(grant) = self.by_portal.get_mut(&portal) {
                grant.refresh_token.clone_from(&refresh_token);
            }
        }
        Ok(Issued {
            access_token: self.new_access(Some(portal), scopes.clone(), now),
            refresh_token,
            portal,
            scopes,
        })
    }

    /// A token of the app itself.
    pub(crate) fn app_token(&mut self, scopes: Vec<String>, now: i64) -> String {
        self.new_access(None, scopes, now)
    }

    /// Ends a refresh token; access tokens live on to their end.
    pub(crate) fn revoke(&mut self, token: &str) -> Option<u64> {
        let portal = *self.by_refresh.get(token)?;
        self.by_refresh.remove(token);
        if let Some(grant) = self.by_portal.get_mut(&portal)
            && grant.refresh_token == token
        {
            grant.revoked = true;
        }
        Some(portal)
    }

    /// Uninstalls the app: all its tokens for the account end at once. False if it was not there.
    pub(crate) fn uninstall(&mut self, portal: u64) -> bool {
        let grant = self.by_portal.remove(&portal);
        self.by_refresh.retain(|_, held| *held != portal);
        self.access.retain(|_, held| held.portal != Some(portal));
        grant.is_some()
    }

    /// Ends every access token of an account, as if their time were up.
    pub(crate) fn expire(&mut self, portal: u64, now: i64) {
        for access in self.access.values_mut() {
            if access.portal == Some(portal) {
                access.expires_at = access.expires_at.min(now);
            }
        }
    }

    /// Takes a scope from an account's grant and from all its tokens.
    pub(crate) fn drop_scope(&mut self, portal: u64, scope: &str) {
        if let Some(grant) = self.by_portal.get_mut(&portal) {
            grant.scopes.retain(|held| held != scope);
        }
        for access in self.access.values_mut() {
            if access.portal == Some(portal) {
                access.scopes.retain(|held| held != scope);
            }
        }
    }

    pub(crate) fn grant(&self, portal: u64) -> Option<&Grant> {
        self.by_portal.get(&portal)
    }

    pub(crate) fn by_refresh(&self, token: &str) -> Option<(u64, &Grant)> {
        let portal = *self.by_refresh.get(token)?;
        let grant = self.by_portal.get(&portal)?;
        (!grant.revoked && grant.refresh_token == token).then_some((portal, grant))
    }

    pub(crate) fn access(&self, token: &str) -> Option<&Access> {
        self.access.get(token)
    }

    /// Whether an account has the app: its webhooks go out while it does.
    pub(crate) fn installed(&self, portal: u64) -> bool {
        self.by_portal
            .get(&portal)
            .is_some_and(|grant| !grant.revoked)
    }

    fn new_refresh(&mut self, portal: u64) -> String {
        let token = format!("na1-{}", self.text(30));
        self.by_refresh.insert(token.clone(), portal);
        token
    }

    fn new_access(&mut self, portal: Option<u64>, scopes: Vec<String>, now: i64) -> String {
        // Long, as real ones are: up to 512 characters, and they may grow.
        let token = format!("C{}", self.text(210));
        let life = i64::try_from(ACCESS_TOKEN_LIFE.as_millis()).unwrap_or(i64::MAX);
        self.access.insert(
            token.clone(),
            Access {
                portal,
                scopes,
                expires_at: now + life,
            },
        );
        token
    }
}
