//! Tokens of the app itself, in no account's name (HubSpot: authentication
//! overview, client credentials).

use super::{App, Client, GrantError, Repeat, TokenWire, decode};
use crate::{model::Timestamp, secrets::Secret};

/// A token of the app itself.
#[derive(Clone, Debug)]
pub struct AppToken {
    /// Good until `expires_at`.
    pub token: Secret,
    /// When it was asked for.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Client {
    /// Gets a token of the app itself.
    ///
    /// # Errors
    ///
    /// [`GrantError::Misconfigured`] where the app may not have these scopes, and
    /// those that concern the way to HubSpot.
    pub async fn app_token(&self, app: &App, scopes: &[&str]) -> Result<AppToken, GrantError> {
        let issued_at = self.clock().now();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &app.client_id),
            ("client_secret", app.client_secret.expose()),
            ("scope", &scopes.join(" ")),
        ];
        let raw = self.oauth("token", &form, Repeat::Always).await?;
        let token: TokenWire = decode(&raw)?;
        Ok(AppToken {
            issued_at,
            expires_at: token.expires_at(issued_at),
            token: token.access_token,
        })
    }
}
