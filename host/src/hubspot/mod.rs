//! HubSpot: signatures of what it sends, consent and tokens, and its API
//! within each account's request budget.
//!
//! Architecture invariants: every call to an account passes that account's
//! budget. Answers stay bytes: the plugin reads records, this module reads
//! only status, errors and paging. No error and no log line holds a token, a
//! body or a value. Nothing is stored here; who holds grants is above.

mod account;
pub mod budget;
mod choices;
mod day;
mod error;
pub mod gate;
pub mod journal;
pub mod oauth;
pub mod objects;
mod owners;
mod page;
mod pipelines;
pub mod project;
mod properties;
pub mod rates;
mod region;
pub mod retry;
pub mod search;
pub mod signature;
mod transport;
mod window;

use std::{collections::HashMap, sync::Arc, time::Duration};

pub use crate::model::Priority;
pub use account::Details;
pub use budget::Pool;
pub use choices::ChoicesAt;
pub use error::{Error, Fault};
pub use gate::Budgets;
pub use owners::{OWNERS_SCOPE, Owner};
pub use pipelines::{Pipeline, Stage};
pub use properties::{Property, PropertyGroup, PropertyOption};
pub use region::{ApiUrl, BadApiUrl, NoRegion, Region};

use tokio::sync::watch;

use crate::{clock::Clock, model::AccountKey, secrets::Secret, telemetry::HubspotMetrics};

/// The name of the connector whose source this is.
pub const CONNECTOR: &str = "hubspot";

/// The version of HubSpot's API that all paths name: the newest stable one,
/// kept until March 2028 (HubSpot changelog: date-based API versioning).
pub const API_VERSION: &str = "2026-09";
/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call may take from its start to the last byte of its answer.
const TOTAL: Duration = Duration::from_secs(30);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// The most that is read of an answer. A hundred records with all their
/// properties, or a thousand contacts' associations, have a tenth of it.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How the client is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The base of all API calls.
    pub api: ApiUrl,
    /// The share (0 to 1) of each request limit that is used.
    pub share: f64,
    /// How long one call may take.
    pub timeout: Duration,
    /// The most bytes that are read of an answer.
    pub answer_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            api: ApiUrl::default(),
            share: budget::SHARE,
            timeout: TOTAL,
            answer_bytes_max: ANSWER_BYTES_MAX,
        }
    }
}

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up; are there root certificates on this machine?")]
pub struct SetupError(#[from] reqwest::Error);

/// Calls HubSpot. Clones share connections, budgets and what is known of
/// regions.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    config: Config,
    clock: Clock,
    budgets: Budgets,
    metrics: HubspotMetrics,
    /// Regions that a 488 named.
    regions: watch::Sender<HashMap<AccountKey, Region>>,
}

/// In whose name a call is made, and how urgently.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account; its budget is used.
    pub account: AccountKey,
    /// Its access token.
    pub token: Secret,
    /// Where its data is hosted, if that is known. A 488 corrects it.
    pub region: Option<Region>,
    /// Whose turn it is when several wait.
    pub priority: Priority,
}

impl Client {
    /// A client with connections of its own, which counts its calls in `metrics`.
    ///
    /// # Errors
    ///
    /// [`SetupError`] where TLS cannot be set up.
    pub fn new(config: Config, clock: Clock, metrics: HubspotMetrics) -> Result<Self, SetupError> {
        // Only the first provider is installed; all of ours are this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("jimo-connect/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(config.timeout)
            .pool_idle_timeout(IDLE)
            // Over HTTP/2 all accounts' calls would share one connection, its
            // number of streams, and its stalls.
            .http1_only()
            // HubSpot sends none; one would carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy();
        if config.api.is_plain() {
            // No TLS is spoken, so a machine without root certificates will do.
            http = http.tls_certs_only([]);
        }
        let http = http.build()?;
        let budgets = Budgets::new(config.share, clock.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                config,
                clock,
                budgets,
                metrics,
                regions: watch::Sender::default(),
            }),
        })
    }

    /// The budgets of all accounts.
    pub fn budgets(&self) -> &Budgets {
        &self.inner.budgets
    }

    /// The regions that HubSpot named when it was called in another one, to be
    /// kept and told in [`Caller::region`] at the next start.
    pub fn regions(&self) -> watch::Receiver<HashMap<AccountKey, Region>> {
        self.inner.regions.subscribe()
    }

    /// The clock that all is stamped with.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }
}

#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod tests;
