//! A HubSpot that behaves like the real one, over real HTTP.
//!
//! It is written from HubSpot's documentation alone and shares no code with what is tested against
//! it, so that two readings of that documentation check each other. The same seed and the same
//! calls give the same ids, disorder and faults; time is a clock that tests turn.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use hubspot_sim::{Config, Simulator};
//!
//! let sim = Simulator::start(Config::default()).await?;
//! let account = sim.account(48_975_575);
//! account.install(&["oauth", "crm.objects.contacts.read"]);
//! sim.set_webhook_target("http://127.0.0.1:8080/webhooks/hubspot");
//! sim.subscribe_defaults();
//! let ana = account.create("contacts", &[("email", "ana@example.com")])?;
//! account.patch("contacts", ana, &[("firstname", "Ana")])?;
//! sim.settle().await;
//! assert_eq!(account.record("contacts", ana)?.value("firstname"), Some("Ana"));
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod account;
mod answer;
mod association_batch;
mod associations;
mod batch;
mod calculated;
mod changes;
mod clock;
mod config;
mod consent;
mod control;
mod control_account;
mod control_choices;
mod control_http;
mod crm;
mod defaults;
mod definitions;
mod delivery;
mod fault;
mod faults;
mod filter;
mod gate;
mod grants;
mod journal;
mod journal_http;
mod journal_subscriptions;
mod limits;
mod linking;
mod links;
mod merging;
mod oauth;
mod objects;
mod owners;
mod pipelines;
mod properties;
mod record;
mod render;
mod request;
mod search;
mod search_index;
mod server;
mod sign;
mod simulator;
mod standing;
mod state;
mod subscriptions;
mod trouble;
mod truth;
mod values;
mod webhooks;
mod written;

pub use clock::Clock;
pub use config::{AccountSpec, ApiKnobs, App, Config, Limits, WebhookKnobs};
pub use control::{Account, Link};
pub use crm::{Error, ObjectType, PropertyFault};
pub use definitions::{Choice, Kind, PropertySpec, Sensitivity};
pub use delivery::{Attempt, Settled};
pub use faults::{FaultRule, Route, Trouble};
pub use links::{Category, LinkType};
pub use record::Source;
pub use sign::{v1 as sign_v1, v3 as sign_v3};
pub use simulator::Simulator;
pub use standing::Tokens;
pub use state::Call;
pub use truth::{Existence, TrueLink, TrueRecord, TrueValue, Truth};
pub use webhooks::Subscription;
