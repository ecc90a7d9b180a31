//! The app's standing in an account: installed, granted scopes, revoked, routed.

use serde::{Deserialize, Serialize};

use crate::control::{Account, Done};
use crate::journal::{INSTALLED, UNINSTALLED};
use crate::state::Shared;

/// The tokens of an installed app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Good for 30 minutes of the simulator's clock.
    pub access_token: String,
    /// Good until revoked or uninstalled.
    pub refresh_token: String,
}

/// The app's standing in the account.
impl Account {
    /// Installs the app without the consent page; answers with its tokens.
    pub fn install(&self, scopes: &[&str]) -> Tokens {
        let now = self.shared.clock.now_ms();
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let mut state = self.shared.lock();
        state.journal.lifecycle(self.portal, INSTALLED, now);
        let issued = state.grants.install(self.portal, scopes, now);
        Tokens {
            access_token: issued.access_token,
            refresh_token: issued.refresh_token,
        }
    }

    /// Whether the app is installed.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.shared.lock().grants.installed(self.portal)
    }

    /// The scopes that the app has here.
    #[must_use]
    pub fn granted(&self) -> Vec<String> {
        let state = self.shared.lock();
        state
            .grants
            .grant(self.portal)
            .map_or_else(Vec::new, |grant| grant.scopes.clone())
    }

    /// Ends the refresh token; access tokens live on to their end.
    pub fn revoke_grant(&self) {
        let mut state = self.shared.lock();
        let token = state
            .grants
            .grant(self.portal)
            .map(|grant| grant.refresh_token.clone());
        if let Some(token) = token {
            state.grants.revoke(&token);
        }
    }

    /// Uninstalls the app, as the customer would: nobody tells it.
    pub fn uninstall(&self) {
        self.shared.uninstall(self.portal);
    }

    /// Ends the access tokens, as if their time were up.
    pub fn expire_access(&self) {
        let now = self.shared.clock.now_ms();
        self.shared.lock().grants.expire(self.portal, now);
    }

    /// Takes a scope from the app.
    pub fn drop_scope(&self, scope: &str) {
        self.shared.lock().grants.drop_scope(self.portal, scope);
    }

    /// Moves the account's data to another region (`eu1`).
    ///
    /// # Errors
    /// When there is no such account.
    pub fn move_to(&self, region: &str) -> Done {
        let mut state = self.shared.lock();
        region.clone_into(&mut state.world.account(self.portal)?.spec.hosting);
        Ok(())
    }

    /// Answers every call with 488 and the account's region, or no longer.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn misroute(&self, misrouted: bool) -> Done {
        let mut state = self.shared.lock();
        state.world.account(self.portal)?.misrouted = misrouted;
        Ok(())
    }
}

impl Shared {
    /// Ends an installation. Deliveries that wait still go out, as HubSpot's do.
    pub(crate) fn uninstall(&self, portal: u64) {
        let now = self.clock.now_ms();
        let mut state = self.lock();
        if state.grants.uninstall(portal) {
            state.journal.lifecycle(portal, UNINSTALLED, now);
        }
    }
}
