//! Calls in the app's own name, with a token that is kept in memory alone.

use tokio::sync::Mutex;

use super::Error;
use crate::{
    hubspot::{
        self, Client,
        journal::SCOPES,
        oauth::{App, AppToken, Freshness, GrantError, freshness},
    },
    secrets::Secret,
};

/// The way to the journal.
pub(super) struct Access {
    client: Client,
    app: App,
    token: Mutex<Option<AppToken>>,
}

impl Access {
    pub(super) fn new(client: Client, app: App) -> Self {
        Self {
            client,
            app,
            token: Mutex::default(),
        }
    }

    /// The app.
    pub(super) fn app(&self) -> &App {
        &self.app
    }

    /// Calls with the app's token; once more, with a fresh one, where HubSpot does
    /// not take the one that there was.
    pub(super) async fn call<T, F>(&self, call: impl Fn(Client, Secret) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, hubspot::Error>>,
    {
        let token = self.token(None).await?;
        match call(self.client.clone(), token.clone()).await {
            Err(hubspot::Error::Unauthorized) => {
                let fresh = self.token(Some(&token)).await?;
                Ok(call(self.client.clone(), fresh).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// A token that is good for a while, and another than `refused`.
    async fn token(&self, refused: Option<&Secret>) -> Result<Secret, GrantError> {
        // Whoever comes meanwhile waits for the same one.
        let mut held = self.token.lock().await;
        let now = self.client.clock().now();
        if let Some(token) = &*held
            && Some(&token.token) != refused
            && freshness(token.issued_at, token.expires_at, now) == Freshness::Fresh
        {
            return Ok(token.token.clone());
        }
        let fresh = self.client.app_token(&self.app, &SCOPES).await?;
        let token = fresh.token.clone();
        *held = Some(fresh);
        Ok(token)
    }
}
