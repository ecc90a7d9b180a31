//! What a simulator is started with, and the knobs that a test may turn while it runs.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// Everything a simulator is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// What all ids, disorder and faults are drawn from.
    pub seed: u64,
    /// The clock that stamps changes, ages tokens and fills rate windows.
    pub clock: Clock,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The one app that accounts install.
    pub app: App,
    /// Where webhooks go, as configured in the app: also the address that signatures cover.
    /// Until it is set, changes make no deliveries.
    pub webhook_target: Option<String>,
    /// The rate limits of the accounts.
    pub limits: Limits,
    /// How webhooks behave.
    pub webhooks: WebhookKnobs,
    /// How the objects API behaves.
    pub api: ApiKnobs,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            clock: Clock::real(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            app: App::default(),
            webhook_target: None,
            limits: Limits::default(),
            webhooks: WebhookKnobs::default(),
            api: ApiKnobs::default(),
        }
    }
}

/// The app that is installed, as its developer configured it.
#[derive(Debug, Clone)]
pub struct App {
    /// The app's id, in every event.
    pub id: u64,
    /// The OAuth client id.
    pub client_id: String,
    /// The OAuth client secret, which also signs webhooks.
    pub client_secret: String,
    /// The key of the app's developer, for the webhook management API.
    pub developer_key: String,
    /// The redirect addresses registered; when empty, HTTPS and loopback ones are accepted.
    pub redirect_uris: Vec<String>,
    /// The scopes that an install must ask for; when `None`, any set goes.
    pub required_scopes: Option<Vec<String>>,
    /// The scopes that an install may ask for besides; it may ask for no others so.
    pub optional_scopes: Vec<String>,
    /// The account that the consent page grants at once, without a person.
    pub auto_approve: Option<u64>,
    /// Whether each refresh gives another refresh token and ends the one before.
    pub rotate_refresh_tokens: bool,
}

impl Default for App {
    fn default() -> Self {
        Self {
            id: 39_522_895,
            client_id: "c1d2e3f4-0000-4000-8000-00000000c1d2".to_owned(),
            client_secret: "5e6f7a8b-0000-4000-8000-000000005e6f".to_owned(),
            developer_key: "d0e1f2a3-0000-4000-8000-00000000d0e1".to_owned(),
            redirect_uris: Vec::new(),
            required_scopes: None,
            optional_scopes: vec!["crm.objects.owners.read".to_owned()],
            auto_approve: None,
            rotate_refresh_tokens: false,
        }
    }
}

/// Rate limits of one account (HubSpot: usage guidelines). `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Calls in any 10 seconds.
    pub per_ten_seconds: Option<u32>,
    /// Calls in a day of the account's time zone.
    pub per_day: Option<u32>,
    /// Searches in a second, shared with all other apps of the account.
    pub search_per_second: Option<u32>,
    /// Batch calls to associations in any 10 seconds, a budget of their own.
    pub associations_per_ten_seconds: Option<u32>,
    /// Searches that other apps make in each second.
    pub foreign_searches_per_second: u32,
    /// Seconds to put in a `Retry-After` on 429; HubSpot documents none there.
    pub retry_after_seconds: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::marketplace()
    }
}

impl Limits {
    /// An OAuth app of the marketplace: 110 calls per 10 s, no daily limit.
    #[must_use]
    pub fn marketplace() -> Self {
        Self {
            per_ten_seconds: Some(110),
            per_day: None,
            search_per_second: Some(5),
            associations_per_ten_seconds: Some(150),
            foreign_searches_per_second: 0,
            retry_after_seconds: None,
        }
    }

    /// A privately distributed app in a Professional account: 190 per 10 s, 625,000 a day.
    #[must_use]
    pub fn private_professional() -> Self {
        Self {
            per_ten_seconds: Some(190),
            per_day: Some(625_000),
            ..Self::marketplace()
        }
    }

    /// A privately distributed app in a Free or Starter account: 100 per 10 s, 250,000 a day.
    #[must_use]
    pub fn private_starter() -> Self {
        Self {
            per_ten_seconds: Some(100),
            per_day: Some(250_000),
            associations_per_ten_seconds: Some(100),
            ..Self::marketplace()
        }
    }

    /// No limits at all.
    #[must_use]
    pub fn unlimited() -> Self {
        Self {
            per_ten_seconds: None,
            per_day: None,
            search_per_second: None,
            associations_per_ten_seconds: None,
            foreign_searches_per_second: 0,
            retry_after_seconds: None,
        }
    }
}

/// How webhooks behave. Chances are between 0 and 1 and drawn from the seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookKnobs {
    /// Chance that an event is delivered a second time.
    pub repeats: f64,
    /// Chance that an event is moved behind later ones.
    pub disorder: f64,
    /// How many later events it may be moved behind.
    pub disorder_reach: u32,
    /// Chance that an event is never delivered.
    pub loss: f64,
    /// Keep events back until they are flushed, so that batches depend on the seed alone.
    pub hold: bool,
    /// Whether one body may carry events of several accounts.
    pub mix_accounts: bool,
    /// How long events are gathered before the first attempt, in real milliseconds.
    pub coalesce_ms: u64,
    /// How long an attempt may take, in real milliseconds (HubSpot: 5 seconds).
    pub timeout_ms: u64,
    /// Most events in a body (HubSpot: 100).
    pub batch_max: usize,
}

impl Default for WebhookKnobs {
    fn default() -> Self {
        Self {
            repeats: 0.0,
            disorder: 0.0,
            disorder_reach: 50,
            loss: 0.0,
            hold: false,
            mix_accounts: false,
            coalesce_ms: 20,
            timeout_ms: 5_000,
            batch_max: 100,
        }
    }
}

/// How the objects API behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiKnobs {
    /// How long after a change search still shows what was before (HubSpot: "a few moments").
    pub search_lag_ms: i64,
    /// How far search's order by a time may be off.
    pub search_disorder_ms: i64,
    /// How far the stamp that search filters by may be off from the record's own, either way: it
    /// finds records from outside of the window that is asked for, and misses some within.
    pub search_window_ms: i64,
    /// How long after its creation a record is still 404.
    pub creation_lag_ms: i64,
    /// Whether some dates are written as milliseconds at midnight UTC.
    pub dates_as_ms: bool,
    /// Whether a batch read whose records are all missing is a plain 404, as some have seen.
    pub missing_batch_is_404: bool,
    /// How many associations of one record a batch answer carries before it pages.
    pub associations_page: usize,
    /// Whether the app may not use the webhooks journal.
    pub journal_refused: bool,
    /// Longest URL before 414, in bytes (HubSpot: 8 to 16 kB).
    pub url_bytes_max: usize,
}

impl Default for ApiKnobs {
    fn default() -> Self {
        Self {
            search_lag_ms: 0,
            search_disorder_ms: 0,
            search_window_ms: 0,
            creation_lag_ms: 0,
            dates_as_ms: false,
            missing_batch_is_404: false,
            associations_page: 500,
            journal_refused: false,
            url_bytes_max: 8_192,
        }
    }
}

/// One account, as it is made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountSpec {
    /// The account's id; HubSpot also calls it hub or portal id.
    pub portal: u64,
    /// The customer's own web domain.
    pub domain: String,
    /// IANA name of the time zone in which its days begin.
    pub time_zone: String,
    /// Where its data lives: `na1`, `eu1`, …
    pub hosting: String,
    /// Its currency.
    pub currency: String,
    /// Its kind, as account-info tells it.
    pub account_type: String,
    /// The scopes that its plan lets an app have; when `None`, all that are asked for.
    pub scopes: Option<Vec<String>>,
}

impl AccountSpec {
    /// A plain account.
    #[must_use]
    pub fn new(portal: u64) -> Self {
        Self {
            portal,
            domain: format!("customer-{portal}.example"),
            ..Self::default()
        }
    }

    /// With a web domain.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> Self {
        domain.clone_into(&mut self.domain);
        self
    }

    /// With a time zone, by its IANA name.
    #[must_use]
    pub fn time_zone(mut self, zone: &str) -> Self {
        zone.clone_into(&mut self.time_zone);
        self
    }

    /// With its data elsewhere (`eu1`).
    #[must_use]
    pub fn hosting(mut self, region: &str) -> Self {
        region.clone_into(&mut self.hosting);
        self
    }

    /// With a plan that grants only these scopes.
    #[must_use]
    pub fn scopes(mut self, scopes: &[&str]) -> Self {
        self.scopes = Some(scopes.iter().map(|&s| s.to_owned()).collect());
        self
    }
}

impl Default for AccountSpec {
    fn default() -> Self {
        Self {
            portal: 48_975_575,
            domain: "customer.example".to_owned(),
            time_zone: "UTC".to_owned(),
            hosting: "na1".to_owned(),
            currency: "USD".to_owned(),
            account_type: "STANDARD".to_owned(),
            scopes: None,
        }
    }
}

/// How long an access token lives (HubSpot: 1800 seconds).
pub(crate) const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(1_800);
