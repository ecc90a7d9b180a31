//! What the app asks the journal for (HubSpot: webhooks journal, subscriptions).

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CONTACTS, lifecycle::UNINSTALLED, type_id};
use crate::{
    hubspot::Error,
    model::{AccountKey, ObjectType, PropertyName},
};

/// All that can happen to a record.
const RECORD_ACTIONS: [&str; 5] = ["CREATE", "UPDATE", "DELETE", "MERGE", "RESTORE"];
/// All that can happen to an association.
const ASSOCIATION_ACTIONS: [&str; 2] = ["ASSOCIATION_ADDED", "ASSOCIATION_REMOVED"];
/// A deletion for privacy.
const PRIVACY_ACTION: &str = "GDPR_DELETE";

/// The kinds of subscriptions that are ours to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// Records of one type, and changes of some of their properties.
    Object,
    /// Associations of records of one type.
    Association,
    /// Records deleted for privacy.
    GdprPrivacyDeletion,
    /// The app's being installed or uninstalled, in all accounts.
    AppLifecycleEvent,
}

/// What a subscription asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Its kind.
    pub kind: Kind,
    /// The account; none for all of them.
    pub account: Option<AccountKey>,
    /// HubSpot's id of the object type, or of the event type.
    pub type_id: String,
    /// What has to happen.
    pub actions: BTreeSet<String>,
    /// The properties whose changes count.
    pub properties: BTreeSet<PropertyName>,
    /// HubSpot's ids of the object types at the other end.
    pub associated_type_ids: BTreeSet<String>,
}

/// What there can be one subscription for.
pub type Slot<'a> = (Kind, Option<&'a AccountKey>, &'a str);

impl Wanted {
    /// All that happens to an account's records of a type; none where HubSpot has
    /// no such type.
    pub fn records(
        account: &AccountKey,
        object_type: &ObjectType,
        properties: impl IntoIterator<Item = PropertyName>,
    ) -> Option<Self> {
        Some(Self {
            properties: properties.into_iter().collect(),
            ..Self::of(Kind::Object, account, object_type, &RECORD_ACTIONS)?
        })
    }

    /// What happens to the associations of an account's records of a type to
    /// others; none where HubSpot has no such type.
    pub fn associations<'a>(
        account: &AccountKey,
        from: &ObjectType,
        to: impl IntoIterator<Item = &'a ObjectType>,
    ) -> Option<Self> {
        let to = to.into_iter().filter_map(type_id).map(str::to_owned);
        Some(Self {
            associated_type_ids: to.collect(),
            ..Self::of(Kind::Association, account, from, &ASSOCIATION_ACTIONS)?
        })
    }

    /// Deletions for privacy of an account's records of a type; none where
    /// HubSpot has none.
    pub fn privacy_deletions(account: &AccountKey, object_type: &ObjectType) -> Option<Self> {
        let kind = Kind::GdprPrivacyDeletion;
        let wanted = Self::of(kind, account, object_type, &[PRIVACY_ACTION])?;
        (object_type.as_str() == CONTACTS).then_some(wanted)
    }

    /// The app's being uninstalled, from any account.
    pub fn uninstalls() -> Self {
        Self {
            kind: Kind::AppLifecycleEvent,
            account: None,
            type_id: UNINSTALLED.to_owned(),
            actions: BTreeSet::new(),
            properties: BTreeSet::new(),
            associated_type_ids: BTreeSet::new(),
        }
    }

    fn of(
        kind: Kind,
        account: &AccountKey,
        object_type: &ObjectType,
        actions: &[&str],
    ) -> Option<Self> {
        Some(Self {
            kind,
            account: Some(account.clone()),
            type_id: type_id(object_type)?.to_owned(),
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            properties: BTreeSet::new(),
            associated_type_ids: BTreeSet::new(),
        })
    }

    /// What there can be one subscription for.
    pub fn slot(&self) -> Slot<'_> {
        (self.kind, self.account.as_ref(), &self.type_id)
    }

    /// Whether a subscription of the same slot does what is wanted. Of the app's
    /// own life and of privacy deletions there is nothing more to say.
    pub fn is_met_by(&self, held: &Self) -> bool {
        self.slot() == held.slot()
            && match self.kind {
                Kind::Object => self.actions == held.actions && self.properties == held.properties,
                Kind::Association => {
                    self.actions == held.actions
                        && self.associated_type_ids == held.associated_type_ids
                }
                Kind::GdprPrivacyDeletion | Kind::AppLifecycleEvent => true,
            }
    }

    /// The body of the request that makes it.
    pub(super) fn request(&self) -> Result<Bytes, Error> {
        let no_number = Error::Unsendable("the account's id is no number");
        let portal = |account: &AccountKey| account.as_str().parse::<u64>();
        let portal = self.account.as_ref().map(portal).transpose();
        let portal = portal.map_err(|_| no_number)?;
        let (kind, actions) = (self.kind, &self.actions);
        let body = match self.kind {
            Kind::Object => json!({
                "subscriptionType": kind, "portalId": portal, "objectTypeId": self.type_id,
                "actions": actions, "properties": self.properties, "objectIds": [],
            }),
            Kind::Association => json!({
                "subscriptionType": kind, "portalId": portal, "objectTypeId": self.type_id,
                "actions": actions, "associatedObjectTypeIds": self.associated_type_ids,
                "objectIds": [],
            }),
            Kind::GdprPrivacyDeletion => json!({
                "subscriptionType": kind, "portalId": portal, "objectTypeId": self.type_id,
                "actions": actions,
            }),
            Kind::AppLifecycleEvent => json!({
                "subscriptionType": kind, "eventTypeId": self.type_id, "properties": [],
            }),
        };
        Ok(body.to_string().into())
    }
}

/// A subscription that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: u64,
    /// The app it is of, where HubSpot says so.
    pub app_id: Option<u64>,
    /// What it asks for.
    pub wanted: Wanted,
}

/// A subscription as HubSpot tells it; any field but the id may be missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wire {
    id: u64,
    app_id: Option<u64>,
    subscription_type: Option<String>,
    portal_id: Option<u64>,
    #[serde(alias = "eventTypeId")]
    object_type_id: Option<String>,
    actions: Option<BTreeSet<String>>,
    properties: Option<BTreeSet<PropertyName>>,
    associated_object_type_ids: Option<BTreeSet<String>>,
    deleted_at: Option<serde_json::Value>,
}

/// What is read of the answer that a subscription was made with.
#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) id: u64,
}

impl Wire {
    /// The subscription; none where it is over, or of a kind that we do not know.
    pub(super) fn read(self) -> Option<Subscription> {
        let kind = serde_json::from_value(self.subscription_type?.into()).ok()?;
        if self.deleted_at.is_some() {
            return None;
        }
        Some(Subscription {
            id: self.id,
            app_id: self.app_id,
            wanted: Wanted {
                kind,
                account: self.portal_id.map(|id| id.to_string().into()),
                type_id: self.object_type_id.unwrap_or_default(),
                actions: self.actions.unwrap_or_default(),
                properties: self.properties.unwrap_or_default(),
                associated_type_ids: self.associated_object_type_ids.unwrap_or_default(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &str) -> Option<Subscription> {
        let wire: Wire = serde_json::from_str(wire).expect("a subscription");
        wire.read()
    }

    fn sent(wanted: &Wanted) -> serde_json::Value {
        serde_json::from_slice(&wanted.request().expect("a request")).expect("JSON")
    }

    #[test]
    fn requests_have_all_that_hubspots_specification_asks_for() {
        let account = AccountKey::from("62515");
        let contacts = ObjectType::from("contacts");
        let records = Wanted::records(&account, &contacts, ["email".into()]);
        assert_eq!(
            sent(&records.expect("a type")),
            json!({
                "subscriptionType": "OBJECT", "portalId": 62_515, "objectTypeId": "0-1",
                "actions": ["CREATE", "DELETE", "MERGE", "RESTORE", "UPDATE"],
                "properties": ["email"], "objectIds": [],
            })
        );
        let to = ["deals", "companies"].map(ObjectType::from);
        let associations = Wanted::associations(&account, &contacts, &to);
        assert_eq!(
            sent(&associations.expect("a type")),
            json!({
                "subscriptionType": "ASSOCIATION", "portalId": 62_515, "objectTypeId": "0-1",
                "actions": ["ASSOCIATION_ADDED", "ASSOCIATION_REMOVED"],
                "associatedObjectTypeIds": ["0-2", "0-3"], "objectIds": [],
            })
        );
        let erased = Wanted::privacy_deletions(&account, &contacts);
        assert_eq!(
            sent(&erased.expect("a type")),
            json!({
                "subscriptionType": "GDPR_PRIVACY_DELETION", "portalId": 62_515,
                "objectTypeId": "0-1", "actions": ["GDPR_DELETE"],
            })
        );
        assert_eq!(
            sent(&Wanted::uninstalls()),
            json!({
                "subscriptionType": "APP_LIFECYCLE_EVENT", "eventTypeId": "4-1916193",
                "properties": [],
            })
        );
    }

    #[test]
    fn what_hubspot_has_no_type_or_number_for_is_not_asked_for() {
        let account = AccountKey::from("62515");
        assert_eq!(Wanted::records(&account, &"tickets".into(), []), None);
        assert_eq!(Wanted::privacy_deletions(&account, &"deals".into()), None);
        let odd = Wanted::records(&"an account".into(), &"deals".into(), []);
        let refused = odd.expect("a type").request();
        assert!(matches!(refused, Err(Error::Unsendable(_))));
    }

    #[test]
    fn a_subscription_is_told_by_what_it_does_not_by_its_order() {
        let held = read(
            r#"{"id":7,"appId":54321,"subscriptionType":"OBJECT","objectTypeId":"0-1","portalId":62515,
                "actions":["UPDATE","CREATE","RESTORE","DELETE","MERGE"],"properties":["city","email"],
                "createdAt":"2026-09-21T14:13:20Z","deletedAt":null,"listIds":null}"#,
        );
        let held = held.expect("one of ours");
        assert_eq!((held.id, held.app_id), (7, Some(54_321)));
        let wanted = |properties: &[&str]| {
            let properties = properties.iter().map(|name| PropertyName::from(*name));
            Wanted::records(&"62515".into(), &"contacts".into(), properties).expect("a type")
        };
        assert!(wanted(&["email", "city"]).is_met_by(&held.wanted));
        assert!(!wanted(&["email"]).is_met_by(&held.wanted));
        assert!(!wanted(&["email", "city", "phone"]).is_met_by(&held.wanted));
        let of_life = read(
            r#"{"id":8,"subscriptionType":"APP_LIFECYCLE_EVENT","objectTypeId":"4-1916193","actions":["APP_UNINSTALL"]}"#,
        );
        assert!(Wanted::uninstalls().is_met_by(&of_life.expect("one of ours").wanted));
    }

    #[test]
    fn what_is_over_or_of_a_kind_that_is_not_ours_is_passed_over() {
        assert_eq!(
            read(r#"{"id":1,"subscriptionType":"LIST_MEMBERSHIP"}"#),
            None
        );
        assert_eq!(read(r#"{"id":1}"#), None);
        let over = r#"{"id":1,"subscriptionType":"OBJECT","deletedAt":"2026-09-21T14:13:20Z"}"#;
        assert_eq!(read(over), None);
    }
}
