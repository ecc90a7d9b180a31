//! HubSpot's JSON and words as they are, odd spellings included. Sources: `D/x` is `developers.hubspot.com/docs/x`,
//! `C/x` is `developers.hubspot.com/changelog/x`; what is marked *observed* was seen in real traffic and is promised nowhere.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::Raw;

/// The contacts' own address.
pub(crate) const EMAIL: &str = "email";
/// The contacts' other addresses, separated by `;` (observed); unique across contacts as `email` is.
pub(crate) const ADDITIONAL_EMAILS: &str = "hs_additional_emails";
/// When a record was created, in all types.
pub(crate) const CREATED: &str = "createdate";
/// Ids that were merged into a record, separated by `;`, in all types (C/updated-merge-functionality-for-contacts-and-companies).
pub(crate) const MERGED_IDS: &str = "hs_merged_object_ids";
/// The same of contacts, as `id:ms;id:ms`. Neither list is complete alone.
pub(crate) const MERGED_VIDS: &str = "hs_calculated_merged_vids";
/// The stage of a deal; whether it is closed is said by the stage.
pub(crate) const DEAL_STAGE: &str = "dealstage";
/// What HubSpot writes in place of a sensitive value that the app may not see (D/api-reference/legacy/webhooks/guide).
pub(crate) const REDACTED: &str = "REDACTED";
/// Separates the items of any value that holds several.
pub(crate) const SEPARATOR: char = ';';

/// The object types that this component understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Object {
    Contacts,
    Companies,
    Deals,
}

impl Object {
    /// All, in the order in which people meet them.
    pub(crate) const ALL: [Object; 3] = [Object::Contacts, Object::Companies, Object::Deals];

    /// The name in the API's addresses and in the contract.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Object::Contacts => "contacts",
            Object::Companies => "companies",
            Object::Deals => "deals",
        }
    }

    /// What people read: many, one.
    pub(crate) fn labels(self) -> (&'static str, &'static str) {
        match self {
            Object::Contacts => ("Contacts", "Contact"),
            Object::Companies => ("Companies", "Company"),
            Object::Deals => ("Deals", "Deal"),
        }
    }

    /// The property that holds when a record was last modified. Contacts alone have another name for it, and asking
    /// them for the usual one silently gives nothing (airbytehq/airbyte#85019).
    pub(crate) fn last_modified(self) -> &'static str {
        match self {
            Object::Contacts => "lastmodifieddate",
            Object::Companies | Object::Deals => "hs_lastmodifieddate",
        }
    }

    /// By the contract's name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|object| object.name() == name)
    }

    /// By the word of a subscription type or an association type: `contact`, `CONTACT`.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|object| object.labels().1.eq_ignore_ascii_case(word))
    }

    /// By HubSpot's id of the type: `0-1` (D/api-reference/latest/crm/understanding-the-crm).
    pub(crate) fn from_type_id(id: &str) -> Option<Self> {
        match id {
            "0-1" => Some(Object::Contacts),
            "0-2" => Some(Object::Companies),
            "0-3" => Some(Object::Deals),
            _ => None,
        }
    }
}

/// An event of a webhook delivery, classic or generic (D/api-reference/legacy/webhooks/guide,
/// D/apps/legacy-apps/public-apps/create-generic-webhook-subscriptions). Any field may be absent; unknown ones are passed over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event<'a> {
    /// `contact.creation`, `object.propertyChange`, …
    #[serde(borrow)]
    pub(crate) subscription_type: Raw<'a>,
    /// The same, as HubSpot's own table of fields calls it; real traffic says `subscriptionType`.
    #[serde(borrow)]
    pub(crate) event_type: Raw<'a>,
    /// Milliseconds since 1970.
    #[serde(borrow)]
    pub(crate) occurred_at: Raw<'a>,
    /// The record's id; beyond 32 bits nowadays.
    #[serde(borrow)]
    pub(crate) object_id: Raw<'a>,
    /// `0-1`, in generic events.
    #[serde(borrow)]
    pub(crate) object_type_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) property_name: Raw<'a>,
    #[serde(borrow)]
    pub(crate) property_value: Raw<'a>,
    /// `CONTACT_TO_COMPANY`, in classic events.
    #[serde(borrow)]
    pub(crate) association_type: Raw<'a>,
    #[serde(borrow)]
    pub(crate) association_removed: Raw<'a>,
    #[serde(borrow)]
    pub(crate) from_object_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) to_object_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) from_object_type_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) to_object_type_id: Raw<'a>,
    /// The winner of a merge.
    #[serde(borrow)]
    pub(crate) primary_object_id: Raw<'a>,
    /// The losers of a merge.
    #[serde(borrow)]
    pub(crate) merged_object_ids: Raw<'a>,
    /// The record that a merge made: contacts and companies get a new id.
    #[serde(borrow)]
    pub(crate) new_object_id: Raw<'a>,
}

/// An event of a journal file (D/api-reference/latest/webhooks-journal/guide). The page shows an object's event alone;
/// the fields of associations and merges are read in every spelling that was seen.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JournalEvent<'a> {
    /// What kind of subscription it answers: objects, associations, privacy deletions, …
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Raw<'a>,
    /// `CREATE`, `UPDATE`, `DELETE`, `MERGE`, `RESTORE`, `ASSOCIATION_ADDED`, `ASSOCIATION_REMOVED`, `GDPR_DELETE`, and
    /// others that are not ours (HubSpot's specification of the journal's subscriptions, 2026-09).
    #[serde(borrow)]
    pub(crate) action: Raw<'a>,
    /// ISO 8601.
    #[serde(borrow)]
    pub(crate) occurred_at: Raw<'a>,
    #[serde(borrow)]
    pub(crate) object_type_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) object_id: Raw<'a>,
    #[serde(default, borrow)]
    pub(crate) property_changes: Option<Properties<'a>>,
    #[serde(borrow)]
    pub(crate) from_object_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) from_object_type_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) to_object_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) to_object_type_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) associated_object_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) associated_object_type_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) association_removed: Raw<'a>,
    #[serde(borrow)]
    pub(crate) primary_object_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) merged_object_ids: Raw<'a>,
    #[serde(borrow)]
    pub(crate) new_object_id: Raw<'a>,
}

/// A record of a page (D/api-reference/latest/crm/using-object-apis).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordBody<'a> {
    #[serde(borrow)]
    pub(crate) id: Raw<'a>,
    #[serde(default, borrow)]
    pub(crate) properties: Option<Properties<'a>>,
    /// ISO 8601.
    #[serde(borrow)]
    pub(crate) created_at: Raw<'a>,
    /// ISO 8601; the same moment as the last-modified property.
    #[serde(borrow)]
    pub(crate) updated_at: Raw<'a>,
    #[serde(borrow)]
    pub(crate) archived: Raw<'a>,
}

/// One record's associations, of a page of them (D/api-reference/crm-associations-v4/guide).
#[derive(Debug, Deserialize)]
pub(crate) struct AssociationsBody<'a> {
    #[serde(borrow)]
    pub(crate) from: Option<From<'a>>,
    #[serde(default, borrow)]
    pub(crate) to: Option<Vec<To<'a>>>,
}

/// The record that was asked about.
#[derive(Debug, Deserialize)]
pub(crate) struct From<'a> {
    #[serde(borrow)]
    pub(crate) id: Raw<'a>,
}

/// One associated record.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct To<'a> {
    /// A number in HubSpot's examples, a text in its specification.
    #[serde(borrow)]
    pub(crate) to_object_id: Raw<'a>,
    #[serde(default, borrow)]
    pub(crate) association_types: Option<Vec<AssociationType<'a>>>,
}

/// One of the types that an association has at once.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AssociationType<'a> {
    #[serde(borrow)]
    pub(crate) category: Raw<'a>,
    #[serde(borrow)]
    pub(crate) type_id: Raw<'a>,
    #[serde(borrow)]
    pub(crate) label: Raw<'a>,
}

impl AssociationType<'_> {
    /// The types that mean primary: contact to company and back, deal to company and back
    /// (D/api-reference/crm-associations-v4/guide, its table of types).
    const PRIMARY: [&'static str; 4] = ["1", "2", "5", "6"];

    /// Whether it is one of HubSpot's own types that mean primary.
    pub(crate) fn is_primary(&self) -> bool {
        self.is_of("HUBSPOT_DEFINED")
            && self
                .type_id
                .is_some_and(|id| Self::PRIMARY.contains(&unquoted(id)))
    }

    /// Whether people of the account made the type.
    pub(crate) fn is_of_people(&self) -> bool {
        self.is_of("USER_DEFINED")
    }

    fn is_of(&self, category: &str) -> bool {
        self.category
            .is_some_and(|written| unquoted(written) == category)
    }
}

/// A text that needs no decoding to be compared.
fn unquoted(raw: &RawValue) -> &str {
    raw.get().trim_matches('"')
}

/// Names of properties with their texts, in HubSpot's order.
#[derive(Debug)]
pub(crate) struct Properties<'a>(pub(crate) Vec<(Cow<'a, str>, Raw<'a>)>);

/// A key that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Properties<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Properties<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object of properties")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut properties = Vec::new();
                while let Some((Key(name), value)) = map.next_entry::<Key<'de>, Raw<'de>>()? {
                    properties.push((name, value));
                }
                Ok(Properties(properties))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// The ids of a list of merged records, as `id` or `id:ms`, without the record's own.
pub(crate) fn merged_ids<'a>(list: &'a str, own: &'a str) -> impl Iterator<Item = &'a str> {
    list.split(SEPARATOR)
        .map(|item| item.split_once(':').map_or(item, |(id, _)| id).trim())
        .filter(move |id| !id.is_empty() && *id != own)
}
