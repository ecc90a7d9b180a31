//! Webhooks: the app's subscriptions, and the events that changes become.
//!
//! HubSpot: webhooks guide, and real traffic for the fields that it leaves out.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::changes::{Change, Fact};
use crate::crm::ObjectType;
use crate::definitions::Sensitivity;
use crate::links::{Key, Links};
use crate::values::webhook_form;

/// Most subscriptions of an app (HubSpot: 1,000).
pub(crate) const SUBSCRIPTIONS_MAX: usize = 1_000;

/// One subscription of the app; every account that installed it has the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Its number.
    pub id: u64,
    /// `contact.creation`, `object.propertyChange`, …
    pub event_type: String,
    /// The property of a property change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property_name: Option<String>,
    /// The object type of a generic subscription: `0-1`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_type_id: Option<String>,
    /// Whether it makes events.
    pub active: bool,
    /// When it was made.
    #[serde(skip)]
    pub(crate) created_at: i64,
}

/// One event, in the form in which it is sent. What a type of event lacks is left out.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub event_id: u64,
    pub subscription_id: u64,
    pub portal_id: u64,
    pub app_id: u64,
    pub occurred_at: i64,
    pub subscription_type: String,
    pub attempt_number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_type_id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_sensitive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_flag: Option<&'static str>,
    pub change_source: &'static str,
    pub source_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_object_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged_object_ids: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_object_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_properties_moved: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub association_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_object_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_object_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub association_removed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_primary_association: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_object_type_id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_object_type_id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub association_type_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub association_category: Option<&'static str>,
}

/// The app's subscriptions, and what turns changes into events.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    pub all: BTreeMap<u64, Subscription>,
    next: u64,
    app: u64,
    rng: StdRng,
    last_event: u64,
}

impl Subscriptions {
    pub(crate) fn new(app: u64, seed: u64) -> Self {
        Self {
            all: BTreeMap::new(),
            next: 6_527_594,
            app,
            rng: StdRng::seed_from_u64(seed ^ 0x3e6),
            last_event: 0,
        }
    }

    /// Adds a subscription; an error is a sentence for a 400.
    pub(crate) fn add(
        &mut self,
        event_type: &str,
        property: Option<&str>,
        object_type_id: Option<&str>,
        active: bool,
        now: i64,
    ) -> Result<Subscription, String> {
        check(event_type, property, object_type_id)?;
        let same = self.all.values().find(|held| {
            held.event_type == event_type
                && held.property_name.as_deref() == property
                && held.object_type_id.as_deref() == object_type_id
        });
        if let Some(held) = same {
            return Err(format!("Subscription {} is the same", held.id));
        }
        if self.all.len() >= SUBSCRIPTIONS_MAX {
            return Err(format!(
                "An app has at most {SUBSCRIPTIONS_MAX} subscriptions"
            ));
        }
        self.next += 1;
        let subscription = Subscription {
            id: self.next,
            event_type: event_type.to_owned(),
            property_name: property.map(str::to_owned),
            object_type_id: object_type_id.map(str::to_owned),
            active,
            created_at: now,
        };
        self.all.insert(self.next, subscription.clone());
        Ok(subscription)
    }

    /// The events of one operation: all of one moment, in no order.
    pub(crate) fn events(&mut self, portal: u64, changes: &[Change]) -> Vec<Event> {
        let mut events = Vec::new();
        for change in changes {
            let matching: Vec<(u64, String)> = self
                .all
                .values()
                .filter(|subscription| subscription.active && wants(subscription, &change.fact))
                .map(|subscription| (subscription.id, subscription.event_type.clone()))
                .collect();
            for (id, event_type) in matching {
                let mut event = Event {
                    event_id: self.event_id(),
                    subscription_id: id,
                    portal_id: portal,
                    app_id: self.app,
                    occurred_at: change.at,
                    change_source: change.source.name(),
                    source_id: change.source.id(self.app),
                    subscription_type: event_type,
                    ..Event::default()
                };
                fill(&mut event, &change.fact);
                events.push(event);
            }
        }
        events.shuffle(&mut self.rng);
        events
    }

    /// An event's number: not unique, one in some hundreds is the one before again.
    fn event_id(&mut self) -> u64 {
        if self.last_event == 0 || !self.rng.random_bool(1.0 / 256.0) {
            self.last_event = self.rng.random_range(1..4_294_967_296);
        }
        self.last_event
    }
}

fn check(
    event_type: &str,
    property: Option<&str>,
    object_type_id: Option<&str>,
) -> Result<(), String> {
    let wrong = || format!("{event_type} is not a subscription type");
    let (object, what) = event_type.split_once('.').ok_or_else(wrong)?;
    let known = matches!(
        what,
        "creation" | "deletion" | "propertyChange" | "merge" | "restore" | "associationChange"
    ) || event_type == "contact.privacyDeletion";
    if !known || !matches!(object, "contact" | "company" | "deal" | "object") {
        return Err(wrong());
    }
    if object == "object" && object_type_id.and_then(ObjectType::parse).is_none() {
        return Err("objectTypeId is required for generic subscriptions".to_owned());
    }
    match (what == "propertyChange", property) {
        (true, None) => Err("propertyName is required for property changes".to_owned()),
        (true, Some(name @ ("hs_lastmodifieddate" | "num_unique_conversion_events"))) => {
            Err(format!("{name} can't be subscribed to"))
        }
        _ => Ok(()),
    }
}

/// The record whose subscriptions a fact concerns, and the last part of their type.
fn subject(fact: &Fact) -> (Key, &'static str) {
    match fact {
        Fact::Created(key) => (*key, "creation"),
        Fact::Deleted(key) => (*key, "deletion"),
        Fact::Restored(key) => (*key, "restore"),
        Fact::Erased(key) => (*key, "privacyDeletion"),
        Fact::Property { key, .. } => (*key, "propertyChange"),
        Fact::Merged {
            object_type,
            primary,
            new,
            ..
        } => ((*object_type, new.unwrap_or(*primary)), "merge"),
        Fact::Linked { from, .. } => (*from, "associationChange"),
    }
}

fn wants(subscription: &Subscription, fact: &Fact) -> bool {
    let ((object_type, _), what) = subject(fact);
    let Some((object, kind)) = subscription.event_type.split_once('.') else {
        return false;
    };
    let meant = match subscription.object_type_id.as_deref() {
        Some(id) if object == "object" => ObjectType::parse(id) == Some(object_type),
        _ => object == object_type.singular(),
    };
    let property = match fact {
        Fact::Property { name, fires, .. } => {
            *fires && subscription.property_name.as_deref() == Some(name)
        }
        _ => true,
    };
    meant && kind == what && property
}

fn fill(event: &mut Event, fact: &Fact) {
    let generic = event.subscription_type.starts_with("object.");
    let ((object_type, id), _) = subject(fact);
    event.object_id = Some(id);
    if generic {
        event.object_type_id = Some(object_type.type_id());
    }
    match fact {
        Fact::Created(_) => event.change_flag = Some("CREATED"),
        Fact::Deleted(_) | Fact::Erased(_) => event.change_flag = Some("DELETED"),
        Fact::Restored(_) => {}
        Fact::Property {
            name,
            kind,
            value,
            sensitivity,
            ..
        } => {
            let sensitive = *sensitivity != Sensitivity::NonSensitive;
            event.property_name = Some(name.to_string());
            event.property_value = Some(if sensitive {
                "REDACTED".to_owned()
            } else {
                webhook_form(*kind, value)
            });
            if generic {
                event.is_sensitive = Some(sensitive);
            }
        }
        Fact::Merged {
            primary,
            loser,
            new,
            moved,
            ..
        } => {
            event.primary_object_id = Some(*primary);
            event.merged_object_ids = Some(vec![*loser]);
            event.new_object_id = *new;
            event.number_of_properties_moved = Some(*moved);
        }
        Fact::Linked {
            from,
            to,
            link,
            removed,
        } => {
            event.object_id = None;
            event.object_type_id = None;
            event.association_type =
                Some(format!("{}_TO_{}", from.0.singular(), to.0.singular()).to_ascii_uppercase());
            event.from_object_id = Some(from.1);
            event.to_object_id = Some(to.1);
            event.association_removed = Some(*removed);
            // Captures of deal events lack it.
            if from.0 != ObjectType::Deals {
                event.is_primary_association = Some(Links::is_primary(*link));
            }
            event.change_source = "USER";
            if generic {
                event.from_object_type_id = Some(from.0.type_id());
                event.to_object_type_id = Some(to.0.type_id());
                event.association_type_id = Some(link.type_id);
                event.association_category = Some(link.category.name());
            }
        }
    }
}
