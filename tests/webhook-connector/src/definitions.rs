//! The properties of its records, which nobody else could tell.

use crate::{
    contract::{
        definitions::{ObjectProperties, Property, PropertyChoice},
        types::PropertyDefinition,
    },
    source::Object,
};

/// Names, words for types, labels and groups.
const PEOPLE: [(&str, &str, &str, &str); 6] = [
    ("email", "text", "E-mail", "Person"),
    ("admin", "boolean", "Is an admin", "Person"),
    ("signed_up_at", "datetime", "Signed up at", "Person"),
    ("tags", "list", "Tags", "Person"),
    ("plan", "choice", "Plan", "Subscription"),
    ("seats", "number", "Seats", "Subscription"),
];

const WORKSPACES: [(&str, &str, &str, &str); 5] = [
    ("name", "text", "Name", ""),
    ("owner_id", "number", "Owner's id", ""),
    ("plan", "choice", "Plan", ""),
    ("seats", "number", "Seats", ""),
    ("renews_on", "date", "Renews on", ""),
];

const PLANS: [(&str, &str); 3] = [
    ("free", "Free"),
    ("team", "Team"),
    ("enterprise", "Enterprise"),
];

/// The properties of one type.
pub(crate) fn of(object: Object) -> ObjectProperties {
    let properties = match object {
        Object::People => &PEOPLE[..],
        Object::Workspaces => &WORKSPACES[..],
    };
    let property = |(name, property_type, label, group): &(&str, &str, &str, &str)| Property {
        definition: PropertyDefinition {
            name: (*name).to_owned(),
            property_type: (*property_type).to_owned(),
            field_type: String::new(),
        },
        label: (*label).to_owned(),
        group: (*group).to_owned(),
        choices: match *property_type {
            "choice" => PLANS.map(choice).to_vec(),
            _ => Vec::new(),
        },
    };
    ObjectProperties {
        object_type: object.name().to_owned(),
        properties: properties.iter().map(property).collect(),
    }
}

fn choice((value, label): (&str, &str)) -> PropertyChoice {
    PropertyChoice {
        value: value.to_owned(),
        label: label.to_owned(),
        closed: None,
    }
}
