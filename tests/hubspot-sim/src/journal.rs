//! The webhooks journal: what is subscribed to, and the files that events are published in.
//!
//! HubSpot: webhooks journal guide. Subscriptions are an account's; the journal is one stream of
//! files for the app, each found by the one before, kept for three days.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::changes::{Change, Fact};
use crate::crm::ObjectType;
use crate::definitions::Sensitivity;
use crate::links::{Key, Links};
use crate::values::{iso, webhook_form};

/// Most events in a file (HubSpot: 10,000, or 5 MB).
const FILE_EVENTS_MAX: usize = 10_000;
/// How long files are kept.
const KEPT_MS: i64 = 3 * 86_400_000;

/// The event type of an installation.
pub(crate) const INSTALLED: &str = "4-1909196";
/// The event type of an uninstallation.
pub(crate) const UNINSTALLED: &str = "4-1916193";

/// What a subscription asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wanted {
    pub subscription_type: String,
    /// The account; none for the life of the app.
    #[serde(default)]
    pub portal_id: Option<u64>,
    #[serde(default, alias = "eventTypeId")]
    pub object_type_id: String,
    #[serde(default)]
    pub actions: Vec<String>,
    #[serde(default)]
    pub properties: Vec<String>,
    #[serde(default)]
    pub object_ids: Vec<u64>,
    #[serde(default)]
    pub associated_object_type_ids: Vec<String>,
}

/// A subscription.
#[derive(Debug, Clone)]
pub(crate) struct JournalSubscription {
    pub id: u64,
    pub created_at: i64,
    pub updated_at: i64,
    pub wanted: Wanted,
}

/// A published file.
#[derive(Debug)]
pub(crate) struct File {
    pub offset: String,
    pub published_at: i64,
    /// Events, each with its account.
    pub events: Vec<(u64, Value)>,
}

/// The journal of the app.
#[derive(Debug)]
pub(crate) struct Journal {
    pub subscriptions: BTreeMap<u64, JournalSubscription>,
    next: u64,
    waiting: Vec<(u64, Value)>,
    files: VecDeque<File>,
    rng: StdRng,
}

impl Journal {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            subscriptions: BTreeMap::new(),
            next: 900_000,
            waiting: Vec::new(),
            files: VecDeque::new(),
            rng: StdRng::seed_from_u64(seed ^ 0x10e),
        }
    }

    /// Makes a subscription, or replaces the one of the same account and type.
    pub(crate) fn subscribe(&mut self, wanted: Wanted, now: i64) -> JournalSubscription {
        let same = self.subscriptions.values_mut().find(|held| {
            held.wanted.portal_id == wanted.portal_id
                && held.wanted.subscription_type == wanted.subscription_type
                && held.wanted.object_type_id == wanted.object_type_id
        });
        if let Some(held) = same {
            held.wanted = wanted;
            held.updated_at = now;
            return held.clone();
        }
        self.next += 1;
        let made = JournalSubscription {
            id: self.next,
            created_at: now,
            updated_at: now,
            wanted,
        };
        self.subscriptions.insert(made.id, made.clone());
        made
    }

    /// Takes in the changes of one operation in an account that has the app.
    pub(crate) fn record(&mut self, portal: u64, changes: &[Change]) {
        let wanted: Vec<Wanted> = self
            .subscriptions
            .values()
            .filter(|held| held.wanted.portal_id == Some(portal))
            .map(|held| held.wanted.clone())
            .collect();
        for wanted in &wanted {
            let events = events_for(wanted, portal, changes);
            self.waiting
                .extend(events.into_iter().map(|event| (portal, event)));
        }
    }

    /// Takes in that the app was installed or uninstalled.
    pub(crate) fn lifecycle(&mut self, portal: u64, event_type: &str, at: i64) {
        let asked = self.subscriptions.values().any(|held| {
            held.wanted.subscription_type == "APP_LIFECYCLE_EVENT"
                && held.wanted.object_type_id == event_type
        });
        if asked {
            let action = if event_type == INSTALLED {
                "APP_INSTALL"
            } else {
                "APP_UNINSTALL"
            };
            let event = json!({
                "type": "appLifecycleEvent",
                "portalId": portal,
                "occurredAt": iso(at),
                "action": action,
                "objectTypeId": event_type,
            });
            self.waiting.push((portal, event));
        }
    }

    /// Publishes what waits, and drops what is too old.
    pub(crate) fn publish(&mut self, now: i64) {
        while !self.waiting.is_empty() {
            let count = self.waiting.len().min(FILE_EVENTS_MAX);
            let events = self.waiting.drain(..count).collect();
            let offset = self.offset();
            self.files.push_back(File {
                offset,
                published_at: now,
                events,
            });
        }
        while self
            .files
            .front()
            .is_some_and(|file| file.published_at < now - KEPT_MS)
        {
            self.files.pop_front();
        }
    }

    fn offset(&mut self) -> String {
        let (a, b): (u64, u64) = (self.rng.random(), self.rng.random());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    /// The files after an offset, or all; those without an event of an account are passed over.
    /// `None` if there is no such offset, or no longer.
    pub(crate) fn after(&self, offset: Option<&str>, portal: Option<u64>) -> Option<Vec<&File>> {
        let start = match offset {
            None => 0,
            Some(offset) => 1 + self.files.iter().position(|file| file.offset == offset)?,
        };
        let concerns =
            |file: &&File| portal.is_none_or(|portal| file.events.iter().any(|e| e.0 == portal));
        Some(self.files.iter().skip(start).filter(concerns).collect())
    }

    /// Whether anything was not read by who has read up to an offset.
    pub(crate) fn has_more_after(&self, offset: Option<&str>) -> bool {
        let more = self.after(offset, None);
        !self.waiting.is_empty() || more.is_none_or(|files| !files.is_empty())
    }

    /// A file by its offset.
    pub(crate) fn file(&self, offset: &str) -> Option<&File> {
        self.files.iter().find(|file| file.offset == offset)
    }
}

/// The events of one operation that a subscription asks for: one for each record and action,
/// with all its changed properties.
fn events_for(wanted: &Wanted, portal: u64, changes: &[Change]) -> Vec<Value> {
    let Some(of) = ObjectType::parse(&wanted.object_type_id) else {
        return Vec::new();
    };
    let asks = |action: &str| wanted.actions.iter().any(|held| held == action);
    let concerns = |key: Key| {
        key.0 == of && (wanted.object_ids.is_empty() || wanted.object_ids.contains(&key.1))
    };
    let event = |kind: &str, action: &str, key: Key, at: i64| {
        json!({
            "type": kind,
            "portalId": portal,
            "occurredAt": iso(at),
            "action": action,
            "objectTypeId": key.0.type_id(),
            "objectId": key.1,
        })
    };
    let mut events = Vec::new();
    let object = wanted.subscription_type == "OBJECT";
    let mut created = false;
    let mut updates: Option<(Key, i64, Map<String, Value>)> = None;
    for change in changes {
        match &change.fact {
            Fact::Created(key) if object && concerns(*key) => {
                created = true;
                updates.get_or_insert((*key, change.at, Map::new()));
            }
            Fact::Property {
                key,
                name,
                kind,
                value,
                sensitivity,
                fires: true,
            } if object && concerns(*key) && wanted.properties.iter().any(|p| **p == **name) => {
                let value = if *sensitivity == Sensitivity::NonSensitive {
                    webhook_form(*kind, value)
                } else {
                    "REDACTED".to_owned()
                };
                let (_, _, values) = updates.get_or_insert((*key, change.at, Map::new()));
                values.insert(name.to_string(), json!(value));
            }
            Fact::Deleted(key) if object && concerns(*key) && asks("DELETE") => {
                events.push(event("crmObject", "DELETE", *key, change.at));
            }
            Fact::Restored(key) if object && concerns(*key) && asks("RESTORE") => {
                events.push(event("crmObject", "RESTORE", *key, change.at));
            }
            Fact::Erased(key)
                if wanted.subscription_type == "GDPR_PRIVACY_DELETION" && concerns(*key) =>
            {
                events.push(event("gdprPrivacyDeletion", "GDPR_DELETE", *key, change.at));
            }
            Fact::Merged {
                object_type,
                primary,
                loser,
                new,
                ..
            } if object && asks("MERGE") => {
                let key = (*object_type, new.unwrap_or(*primary));
                if concerns(key) {
                    let mut merged = event("crmObject", "MERGE", key, change.at);
                    merged["primaryObjectId"] = json!(primary);
                    merged["mergedObjectIds"] = match new {
                        Some(_) => json!([primary, loser]),
                        None => json!([loser]),
                    };
                    events.push(merged);
                }
            }
            Fact::Linked {
                from,
                to,
                link,
                removed,
            } if wanted.subscription_type == "ASSOCIATION" && concerns(*from) => {
                let action = if *removed {
                    "ASSOCIATION_REMOVED"
                } else {
                    "ASSOCIATION_ADDED"
                };
                let others = &wanted.associated_object_type_ids;
                let other = others.is_empty() || others.iter().any(|id| id == to.0.type_id());
                if asks(action) && other {
                    events.push(json!({
                        "type": "association",
                        "portalId": portal,
                        "occurredAt": iso(change.at),
                        "action": action,
                        "fromObjectTypeId": from.0.type_id(),
                        "fromObjectId": from.1,
                        "toObjectTypeId": to.0.type_id(),
                        "toObjectId": to.1,
                        "associationTypeId": link.type_id,
                        "associationCategory": link.category.name(),
                        "isPrimary": Links::is_primary(*link),
                    }));
                }
            }
            _ => {}
        }
    }
    if let Some((key, at, values)) = updates {
        let action = if created { "CREATE" } else { "UPDATE" };
        if asks(action) {
            let mut changed = event("crmObject", action, key, at);
            changed["propertyChanges"] = Value::Object(values);
            events.push(changed);
        }
    }
    events
}
