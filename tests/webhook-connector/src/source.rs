//! What the source has: its types of records, and how one element says what it says.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{
    contract::{
        describe::{DefaultMatch, ObjectType, SelectionRule},
        types::UserIdentifier,
    },
    moment,
};

/// The types of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    /// People, who are matched by their address.
    People,
    /// What people pay for, matched by the id of its owner.
    Workspaces,
}

impl Object {
    pub(crate) const ALL: [Self; 2] = [Self::People, Self::Workspaces];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Workspaces => "workspaces",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|object| object.name() == name)
    }

    /// How one of several is selected, the default first.
    pub(crate) fn selections(self) -> &'static [SelectionRule] {
        match self {
            Self::People => &[],
            // Somebody may own several.
            Self::Workspaces => &[SelectionRule::LatestModified, SelectionRule::Largest],
        }
    }

    pub(crate) fn describe(self) -> ObjectType {
        let (label, singular, property, identifier) = match self {
            Self::People => ("People", "Person", "email", UserIdentifier::Email),
            Self::Workspaces => (
                "Workspaces",
                "Workspace",
                "owner_id",
                UserIdentifier::ExternalId,
            ),
        };
        ObjectType {
            name: self.name().to_owned(),
            label: label.to_owned(),
            singular_label: singular.to_owned(),
            default_match: Some(DefaultMatch {
                property: property.to_owned(),
                identifier,
            }),
            through: Vec::new(),
            selections: self.selections().to_vec(),
        }
    }
}

/// A record, as an element tells of it.
#[derive(Debug)]
pub(crate) struct Record {
    /// The element's index.
    pub(crate) element: u32,
    pub(crate) object: Object,
    pub(crate) updated_at_ms: i64,
    pub(crate) deleted: bool,
    /// Its properties' texts, by name, so that they come in one order.
    pub(crate) properties: BTreeMap<String, String>,
}

type Fields<'a> = BTreeMap<String, &'a RawValue>;

impl Record {
    /// Reads an element; none where it is of a type that is not ours. Fails with what is wrong, in words that hold
    /// nothing of the input.
    pub(crate) fn read(element: u32, raw: &RawValue) -> Result<Option<Self>, &'static str> {
        let fields: Fields<'_> =
            serde_json::from_str(raw.get()).map_err(|_| "it is not an object")?;
        let said = |name: &str| fields.get(name).and_then(|raw| said(raw));
        let object_type = said("type").ok_or("its type is missing or not a text")?;
        let Some(object) = Object::named(&object_type) else {
            return Ok(None);
        };
        if said("id").is_none_or(|id| id.is_empty()) {
            return Err("its id is missing or not a text");
        }
        let updated_at = said("updated_at").and_then(|text| moment::read(&text).ok());
        let deleted = match fields.get("deleted").map(|raw| raw.get()) {
            None | Some("null" | "false") => false,
            Some("true") => true,
            Some(_) => return Err("whether it is deleted is neither true nor false"),
        };
        let properties = match fields.get("properties") {
            Some(raw) if !deleted => {
                let properties: Fields<'_> = serde_json::from_str(raw.get())
                    .map_err(|_| "its properties are not an object")?;
                let texts = properties.into_iter().map(|(name, raw)| (name, text(raw)));
                texts.collect()
            }
            _ => BTreeMap::new(),
        };
        Ok(Some(Self {
            element,
            object,
            updated_at_ms: updated_at.ok_or("the moment of its update is missing or not one")?,
            deleted,
            properties,
        }))
    }
}

/// What a JSON text says; none for anything else.
fn said(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// A property's text: of a JSON text what it says, of `null` nothing, of anything else how it is written.
fn text(raw: &RawValue) -> String {
    match raw.get() {
        "null" => String::new(),
        written => said(raw).unwrap_or_else(|| written.to_owned()),
    }
}
