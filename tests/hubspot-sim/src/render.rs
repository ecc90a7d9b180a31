//! Records as the API writes them.

use serde_json::{Map, Value, json};

use crate::config::ApiKnobs;
use crate::crm::{Account, ObjectType};
use crate::definitions::{Kind, Sensitivity};
use crate::fault::Fault;
use crate::links::Links;
use crate::record::{Record, Version};
use crate::request::{Caller, Params, object_type};
use crate::values::{iso, moment_ms};

/// What an answer carries of each record.
pub(crate) struct Shape {
    object_type: ObjectType,
    names: Vec<String>,
    history: Vec<String>,
    associations: Vec<ObjectType>,
    /// Every property that has a value, as answers to writes carry.
    all: bool,
    sensitive: bool,
    dates_as_ms: bool,
}

/// Associations of a record that an object answer carries before it pages.
const INLINE_LINKS_MAX: usize = 100;

impl Shape {
    /// What a query asks for.
    pub(crate) fn of_query(
        caller: &Caller,
        of: ObjectType,
        params: &Params,
        knobs: &ApiKnobs,
    ) -> Result<Self, Fault> {
        let mut shape = Self::of_names(caller, of, params.list("properties"), knobs);
        shape.history = params.list("propertiesWithHistory");
        shape.associations = params
            .list("associations")
            .iter()
            .map(|name| object_type(name))
            .collect::<Result<_, _>>()?;
        Ok(shape)
    }

    /// These properties, besides the ones that every answer carries.
    pub(crate) fn of_names(
        caller: &Caller,
        object_type: ObjectType,
        asked: Vec<String>,
        knobs: &ApiKnobs,
    ) -> Self {
        let mut names: Vec<String> = if asked.is_empty() {
            object_type
                .default_properties()
                .iter()
                .map(|&name| name.to_owned())
                .collect()
        } else {
            // What is asked for comes with the id and the stamps.
            [
                "createdate",
                "hs_object_id",
                object_type.modified_property(),
            ]
            .into_iter()
            .map(str::to_owned)
            .chain(asked)
            .collect()
        };
        names.sort_unstable();
        names.dedup();
        Self {
            object_type,
            names,
            history: Vec::new(),
            associations: Vec::new(),
            all: false,
            sensitive: caller.reads_sensitive(object_type),
            dates_as_ms: knobs.dates_as_ms,
        }
    }

    pub(crate) fn with_history(mut self, names: Vec<String>) -> Self {
        self.history = names;
        self
    }

    /// Everything that has a value.
    pub(crate) fn everything(caller: &Caller, object_type: ObjectType, knobs: &ApiKnobs) -> Self {
        let mut shape = Self::of_names(caller, object_type, Vec::new(), knobs);
        shape.all = true;
        shape
    }
}

/// A record in full.
pub(crate) fn record_json(account: &Account, record: &Record, shape: &Shape) -> Value {
    let of = shape.object_type;
    let store = account.store(of);
    let mut properties = Map::new();
    let held: Vec<&str> = if shape.all {
        record.cells().map(|(name, _)| &**name).collect()
    } else {
        Vec::new()
    };
    let names = shape.names.iter().map(String::as_str).chain(held);
    for name in names {
        // Names that do not exist, and what the caller may not see, are left out without a word.
        let Some((_, property)) = store.property(name) else {
            continue;
        };
        if property.sensitivity != Sensitivity::NonSensitive && !shape.sensitive {
            continue;
        }
        let value = record.read(of, name).map(|value| {
            let as_ms = shape.dates_as_ms && property.kind == Kind::Date && record.id % 2 == 1;
            match moment_ms(&value) {
                Some(ms) if as_ms => ms.to_string(),
                _ => value,
            }
        });
        properties.insert(name.to_owned(), json!(value));
    }
    let mut out = json!({
        "id": record.id.to_string(),
        "properties": properties,
        "createdAt": iso(record.created_at),
        "updatedAt": iso(record.updated_at),
        "archived": record.archived_at.is_some(),
        "url": format!(
            "https://app.hubspot.com/contacts/{}/record/{}/{}",
            account.spec.portal, of.type_id(), record.id
        ),
    });
    if let Some(at) = record.archived_at {
        out["archivedAt"] = json!(iso(at));
    }
    if !shape.history.is_empty() {
        out["propertiesWithHistory"] = history_json(account, record, shape);
    }
    let linked: Map<String, Value> = shape
        .associations
        .iter()
        .filter_map(|to| Some((to.name().to_owned(), links_json(account, record, of, *to)?)))
        .collect();
    if !linked.is_empty() {
        out["associations"] = Value::Object(linked);
    }
    out
}

fn history_json(account: &Account, record: &Record, shape: &Shape) -> Value {
    let store = account.store(shape.object_type);
    let write = |version: &Version| {
        json!({
            "value": &*version.value,
            "timestamp": iso(version.at),
            "sourceType": version.source.name(),
            "sourceId": version.source.id(0),
        })
    };
    let mut out = Map::new();
    for name in &shape.history {
        let Some((_, property)) = store.property(name) else {
            continue;
        };
        if property.sensitivity != Sensitivity::NonSensitive && !shape.sensitive {
            continue;
        }
        // Newest first.
        let versions: Vec<Value> = record.cell(name).map_or_else(Vec::new, |cell| {
            std::iter::once(&cell.now)
                .chain(cell.before.iter().rev())
                .map(write)
                .collect()
        });
        out.insert(name.clone(), Value::Array(versions));
    }
    Value::Object(out)
}

/// Associations as object answers carry them: an entry for each type of each association.
fn links_json(
    account: &Account,
    record: &Record,
    from: ObjectType,
    to: ObjectType,
) -> Option<Value> {
    let mut results = Vec::new();
    let mut next = None;
    let linked = account
        .links
        .of((from, record.id), to, 0)
        .filter(|(id, _)| account.is_live((to, *id)));
    for (count, (id, types)) in linked.enumerate() {
        if count == INLINE_LINKS_MAX {
            next = Some(id);
            break;
        }
        for link in types {
            let plain = format!("{}_to_{}", from.singular(), to.singular());
            let name = match account.links.label(from, to, *link).flatten() {
                Some(_) if Links::is_primary(*link) => plain,
                Some(label) => label.to_lowercase().replace(' ', "_"),
                None if Links::primary(from, to).is_some() => format!("{plain}_unlabeled"),
                None => plain,
            };
            results.push(json!({"id": id.to_string(), "type": name}));
        }
    }
    if results.is_empty() {
        return None;
    }
    let mut out = json!({"results": results});
    if let Some(id) = next {
        out["paging"] = json!({"next": {"after": id.to_string()}});
    }
    Some(out)
}
