//! The app as a project of HubSpot's developer platform: the files that its
//! command line uploads (HubSpot: app configuration; configure webhooks, both of
//! platform version 2026.09).
//!
//! What it pushes stands in a file, the same for all accounts, property by
//! property. So a property that one customer alone has is pushed only where the
//! file was written since it was mapped; the journal tells of it at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use url::Url;

use super::oauth::{OPTIONAL_SCOPES, SCOPES};
use crate::model::{ObjectType, PropertyName, PushedProperty};

/// The version of HubSpot's platform that the files are written for.
const PLATFORM_VERSION: &str = "2026.09";
/// The most subscriptions that an app may have (HubSpot: webhooks guide).
const SUBSCRIPTIONS_MAX: usize = 1_000;
/// Requests that HubSpot makes at once for each account: its own default.
const CONCURRENT_REQUESTS_MAX: u32 = 10;
/// The object types, with HubSpot's word for one record of each.
const TYPES: [(&str, &str); 3] = [
    ("contacts", "contact"),
    ("companies", "company"),
    ("deals", "deal"),
];
/// What is pushed of each type, whatever is mapped.
const EVENTS: [&str; 5] = [
    "creation",
    "deletion",
    "merge",
    "restore",
    "associationChange",
];
/// Properties that HubSpot lets nobody subscribe to.
const REFUSED: [&str; 2] = ["hs_lastmodifieddate", "num_unique_conversion_events"];
/// Properties that fit beside what is pushed whatever is mapped, which is the
/// events of each type and the deletion of contacts for privacy.
pub const PROPERTIES_MAX: usize = SUBSCRIPTIONS_MAX - TYPES.len() * EVENTS.len() - 1;

/// Who may install an app. It cannot be changed after the first upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Distribution {
    /// Ten accounts that HubSpot is told.
    #[default]
    Private,
    /// Any account; 25 until the app is listed.
    Marketplace,
}

/// What the files say of the app.
#[derive(Clone, Debug)]
pub struct Project {
    /// What people call it.
    pub name: String,
    /// Who may install it.
    pub distribution: Distribution,
    /// Where consents come back to.
    pub redirect_url: Url,
    /// Where deliveries go.
    pub webhooks: Url,
}

/// A file of the project: its path, and what it holds.
pub type File = (&'static str, Value);

impl Project {
    /// The files, with the properties whose changes are pushed.
    pub fn files(&self, pushed: &[PushedProperty]) -> [File; 3] {
        let distribution = match self.distribution {
            Distribution::Private => "private",
            Distribution::Marketplace => "marketplace",
        };
        let project = json!({
            "name": self.name, "srcDir": "src", "platformVersion": PLATFORM_VERSION,
        });
        let app = json!({
            "uid": "jimo_connect",
            "type": "app",
            "config": {
                "name": self.name,
                "description": "Brings HubSpot data to the users that exist in Jimo.",
                "distribution": distribution,
                "auth": {
                    "type": "oauth",
                    "redirectUrls": [self.redirect_url.as_str()],
                    "requiredScopes": SCOPES,
                    "optionalScopes": OPTIONAL_SCOPES,
                    "conditionallyRequiredScopes": [],
                },
                "permittedUrls": {"fetch": [], "iframe": [], "img": []},
            },
        });
        let webhooks = json!({
            "uid": "jimo_connect_webhooks",
            "type": "webhooks",
            "config": {
                "settings": {
                    "targetUrl": self.webhooks.as_str(),
                    "maxConcurrentRequests": CONCURRENT_REQUESTS_MAX,
                },
                "subscriptions": {
                    "crmObjects": [],
                    "legacyCrmObjects": subscriptions(pushed),
                    "hubEvents": [subscription("contact.privacyDeletion", None, true)],
                },
            },
        });
        [
            ("hsproject.json", project),
            ("src/app/app-hsmeta.json", app),
            ("src/app/webhooks/webhooks-hsmeta.json", webhooks),
        ]
    }
}

fn subscriptions(pushed: &[PushedProperty]) -> Vec<Value> {
    let word = |object_type: &ObjectType| {
        let found = TYPES
            .iter()
            .find(|(plural, _)| *plural == object_type.as_str());
        found.map(|(_, singular)| *singular)
    };
    let events = TYPES.iter().flat_map(|(_, singular)| {
        EVENTS.map(|event| subscription(&format!("{singular}.{event}"), None, true))
    });
    let changes = pushed.iter().filter_map(|one| {
        let event = format!("{}.propertyChange", word(&one.object_type)?);
        Some(subscription(&event, Some(&one.property), one.active))
    });
    events.chain(changes).collect()
}

fn subscription(event: &str, property: Option<&PropertyName>, active: bool) -> Value {
    match property {
        Some(name) => json!({"subscriptionType": event, "propertyName": name, "active": active}),
        None => json!({"subscriptionType": event, "active": active}),
    }
}

/// Which properties are pushed: what the file had before, for HubSpot refuses one
/// that lacks it, though only what is used is active; and what is used beside,
/// that which most connections use first, as far as it fits.
pub fn choose(
    before: &[PushedProperty],
    used: &BTreeMap<(ObjectType, PropertyName), usize>,
) -> Vec<PushedProperty> {
    let pushed = |(object_type, property): (ObjectType, PropertyName), active| PushedProperty {
        object_type,
        property,
        active,
    };
    let held = before
        .iter()
        .map(|one| (one.object_type.clone(), one.property.clone()));
    let held: BTreeSet<_> = held.collect();
    let mut more: Vec<_> = used
        .iter()
        .filter(|(name, _)| !held.contains(*name) && can_be_pushed(name))
        .collect();
    more.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let room = PROPERTIES_MAX.saturating_sub(held.len());
    let more = more.into_iter().take(room);
    let mut chosen: Vec<_> = more.map(|(name, _)| pushed(name.clone(), true)).collect();
    chosen.extend(held.into_iter().map(|name| {
        let active = used.contains_key(&name);
        pushed(name, active)
    }));
    chosen.sort();
    chosen
}

/// Whether HubSpot pushes changes of a property to whoever asks.
pub fn can_be_pushed((object_type, property): &(ObjectType, PropertyName)) -> bool {
    let is_known = TYPES
        .iter()
        .any(|(plural, _)| *plural == object_type.as_str());
    is_known && !REFUSED.contains(&property.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(object_type: &str, property: &str) -> (ObjectType, PropertyName) {
        (object_type.into(), property.into())
    }

    fn one(object_type: &str, property: &str, active: bool) -> PushedProperty {
        let (object_type, property) = name(object_type, property);
        PushedProperty {
            object_type,
            property,
            active,
        }
    }

    #[test]
    fn what_was_pushed_stays_in_the_file_and_is_active_while_it_is_used() {
        let before = [one("contacts", "city", true), one("deals", "amount", true)];
        let used = [
            (name("contacts", "city"), 1),
            (name("companies", "name"), 2),
            (name("deals", "hs_lastmodifieddate"), 3),
            (name("tickets", "subject"), 3),
        ];
        assert_eq!(
            choose(&before, &used.into()),
            [
                one("companies", "name", true),
                one("contacts", "city", true),
                one("deals", "amount", false),
            ]
        );
    }

    #[test]
    fn what_most_connections_use_comes_first_and_no_more_than_hubspot_takes() {
        let mut used: BTreeMap<_, _> = (0..SUBSCRIPTIONS_MAX)
            .map(|number| (name("deals", &format!("property_{number}")), 1))
            .collect();
        used.insert(name("deals", "zz_used_most"), 2);
        let chosen = choose(&[], &used);
        assert_eq!(chosen.len(), PROPERTIES_MAX);
        assert!(chosen.contains(&one("deals", "zz_used_most", true)));
        let project = Project {
            name: "Jimo Connect".to_owned(),
            distribution: Distribution::Private,
            redirect_url: "https://connect.example.com/oauth/hubspot/callback"
                .parse()
                .expect("address"),
            webhooks: "https://connect.example.com/webhooks/hubspot"
                .parse()
                .expect("address"),
        };
        let [.., (_, webhooks)] = project.files(&chosen);
        let subscriptions = &webhooks["config"]["subscriptions"];
        let count = |kind: &str| subscriptions[kind].as_array().expect("a list").len();
        let all = count("crmObjects") + count("legacyCrmObjects") + count("hubEvents");
        assert_eq!(all, SUBSCRIPTIONS_MAX);
    }
}
