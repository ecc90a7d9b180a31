//! What this component is: its name and version, HubSpot's object types, and where things stand in HubSpot's bodies.

use crate::contract::describe::{
    BodyDescription, DefaultMatch, Description, ObjectType, SelectionRule,
};
use crate::contract::types::UserIdentifier;
use crate::hubspot::{self, Object};

/// The component's description.
pub(crate) fn describe() -> Description {
    Description {
        connector: "hubspot".to_owned(),
        label: "HubSpot".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        object_types: Object::ALL.iter().copied().map(object_type).collect(),
        // A webhook request's body is the array itself (D/api-reference/legacy/webhooks/guide).
        delivery: BodyDescription {
            elements: vec![],
            account: Some(path("portalId")),
            records: record_paths(&[]),
        },
        // `associatedObjectId` is in the types of a HubSpot engineer's journal tool (sejal27/sej-webhooks-journal); no
        // page of HubSpot's shows an association in a journal file.
        journal_file: Some(BodyDescription {
            elements: path("journalEvents"),
            account: Some(path("portalId")),
            records: record_paths(&["associatedObjectId"]),
        }),
        records_page: Some(BodyDescription {
            elements: path("results"),
            account: None,
            records: vec![path("id")],
        }),
        associations_page: Some(BodyDescription {
            elements: path("results"),
            account: None,
            records: vec![vec!["from".to_owned(), "id".to_owned()]],
        }),
    }
}

/// The selection rules of an object type, the default first.
pub(crate) fn selections(object: Object) -> &'static [SelectionRule] {
    use SelectionRule::{Largest, LatestCreated, LatestModified, Primary};
    match object {
        // A user has one contact by its own match; nothing is selected.
        Object::Contacts => &[],
        Object::Companies => &[Primary, LatestModified, LatestCreated, Largest],
        // HubSpot has no primary deal of a contact.
        Object::Deals => &[LatestModified, LatestCreated, Largest],
    }
}

fn object_type(object: Object) -> ObjectType {
    let (label, singular_label) = object.labels();
    let of_people = object == Object::Contacts;
    ObjectType {
        name: object.name().to_owned(),
        label: label.to_owned(),
        singular_label: singular_label.to_owned(),
        default_match: of_people.then(|| DefaultMatch {
            property: hubspot::EMAIL.to_owned(),
            identifier: UserIdentifier::Email,
        }),
        through: if of_people {
            vec![]
        } else {
            vec![Object::Contacts.name().to_owned()]
        },
        selections: selections(object).to_vec(),
    }
}

/// Where an event names records: its own first, `fromObjectId` where an association change has no other.
fn record_paths(more: &[&str]) -> Vec<Vec<String>> {
    [
        "objectId",
        "fromObjectId",
        "primaryObjectId",
        "newObjectId",
        "mergedObjectIds",
        "toObjectId",
    ]
    .iter()
    .chain(more)
    .map(|key| path(key))
    .collect()
}

fn path(key: &str) -> Vec<String> {
    vec![key.to_owned()]
}
