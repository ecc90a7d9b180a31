//! HubSpot's properties, searched and grouped, each to be added to a draft.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use askama::Template;
use axum::response::Html;

use super::{
    super::{
        super::super::{
            Error, Frame, Visit,
            extract::{Path, Query},
            format::{self, Shown, type_name},
            html,
        },
        Shell, Tab,
    },
    draft::{self, Working},
    many,
    shown::{self, Known, Note, Sample},
};
use crate::{
    host::Host,
    model::{ConnectionId, ObjectType, PropertyName, Shown as Show, VariableType},
    plugin::ObjectTypeDescription,
    store::variables::Variable,
    sync::definitions,
    web::{
        self,
        api::{
            connections,
            properties::{self, Property},
            variables::check_name,
        },
    },
};

/// How many properties a page shows, and how many more each time.
const SHOWN: usize = 40;

/// What is looked for.
#[derive(Clone, serde::Deserialize)]
pub struct Search {
    pub(super) object_type: ObjectType,
    #[serde(default)]
    pub(super) q: String,
    /// The name of the one group that is looked in; empty for all.
    #[serde(default)]
    pub(super) group: String,
    /// How many are shown.
    pub(super) shown: Option<usize>,
    /// The property that was added last.
    pub(super) added: Option<String>,
}

impl Search {
    /// Its address, with how many are shown and what was added last.
    pub(super) fn query(&self, shown: usize, added: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("object_type", self.object_type.as_str());
        for (name, value) in [("q", &self.q), ("group", &self.group)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if shown != SHOWN {
            query.append_pair("shown", &shown.to_string());
        }
        if let Some(added) = added {
            query.append_pair("added", added);
        }
        query.finish()
    }

    /// How many are shown.
    pub(super) fn shown(&self) -> usize {
        self.shown.unwrap_or(SHOWN).max(1)
    }
}

#[derive(Template)]
#[template(path = "fields/picker.html")]
struct PickerPage {
    frame: Frame,
    shell: Shell,
    /// The object types, each with its label, and whether it is the one shown.
    types: Vec<(ObjectType, String, bool)>,
    object_type: ObjectType,
    /// `contacts`.
    plural: String,
    search: Search,
    shown: usize,
    /// The groups, each with what people call it, how many properties of it there
    /// are, and whether it is the one looked in.
    groups: Vec<(String, String, usize, bool)>,
    /// What was found, group by group.
    found: Vec<(String, Vec<Item>)>,
    summary: String,
    /// Asks for more of what was found.
    more: Option<String>,
    /// The variables that can be fed by properties of some types, by these.
    lists: Vec<(String, Vec<(String, &'static str)>)>,
    /// How much of the draft is not saved yet.
    changes: usize,
    /// How many fields there are, where these are more than is healthy.
    many: Option<usize>,
    /// Why HubSpot's properties cannot be shown.
    unknown: Option<String>,
    /// What was added last, in a sentence.
    added: Option<String>,
    error: Option<String>,
}

/// A property that can be added.
struct Item {
    name: PropertyName,
    label: String,
    kind: String,
    notes: Vec<Note>,
    sample: Sample,
    /// The variables that it feeds already, and whether that is saved.
    feeds: Vec<(String, bool)>,
    /// None where it cannot be mapped.
    form: Option<ItemForm>,
    /// What was wrong with what was filled in.
    error: Option<String>,
    /// Whether it is asked whether to take over the variable that was filled in.
    asks: bool,
}

/// How a property is to be added.
struct ItemForm {
    /// What was filled in.
    variable: String,
    /// A name for a new variable, which nothing that is filled in stands for. Only
    /// an empty box offers all that can be selected.
    suggested: String,
    /// The list of variables that fit it.
    list: String,
    /// The types that a new variable can have, each with its name, and whether it is
    /// chosen.
    types: Vec<(VariableType, &'static str, bool)>,
}

impl ItemForm {
    /// The variable that is meant.
    fn named(&self) -> &str {
        match &*self.variable {
            "" => &self.suggested,
            variable => variable,
        }
    }
}

/// What was filled in, and could not be added.
pub(super) struct Attempt {
    /// The property.
    pub property: PropertyName,
    /// The variable's name.
    pub variable: String,
    /// The type of a new variable.
    pub variable_type: Option<VariableType>,
    /// Why; none where it asks.
    pub error: Option<String>,
    /// Whether it asks for a confirmation.
    pub asks: bool,
}

/// `GET …/fields/add`.
pub async fn page(
    visit: Visit,
    Path(id): Path<ConnectionId>,
    Query(search): Query<Search>,
) -> Result<Html<String>, Error> {
    show(visit, id, search, None).await
}

/// The page, with what could not be added.
pub(super) async fn show(
    visit: Visit,
    id: ConnectionId,
    search: Search,
    attempt: Option<Attempt>,
) -> Result<Html<String>, Error> {
    let (frame, shell, _) = Shell::load(&visit, id, Tab::Fields).await?;
    let (project, author) = (visit.session.project.id, visit.session.author());
    let plugin = connections::plugin(&visit.host, project, id).await?;
    let described = plugin.description().object_type(&search.object_type);
    let described = described.ok_or(Error::NotFound("object type"))?;
    let (working, variables) = visit
        .host
        .store
        .read(move |tx| {
            Ok((
                Working::load(tx, project, id, author)?,
                tx.variables(project)?,
            ))
        })
        .await?;
    let known = shown::known(&visit.host, (project, id), &search.object_type, true).await;
    let groups = match &known {
        Ok(_) => groups(&visit.host, project, id, &search.object_type).await,
        Err(_) => Vec::new(),
    };
    let (known, unknown) = match known {
        Ok(known) => (Some(known), None),
        Err(why) => (None, Some(why)),
    };
    let listed = Listed {
        described,
        working: &working,
        variables: &variables,
        connection: id,
        calendar: visit.calendar(),
    };
    let properties = known.as_ref().map_or(&[][..], |known| &known.properties);
    let matching: Vec<&Property> = properties
        .iter()
        .filter(|property| is_found(property, &search))
        .collect();
    let total = matching.len();
    let shown = search.shown();
    let (ordered, by_group) = grouped(matching, &groups);
    let mut found = Vec::new();
    let mut left = shown;
    for (label, properties) in ordered {
        let items: Vec<Item> = properties
            .into_iter()
            .take(left)
            .filter_map(|property| Some(listed.item(known.as_ref()?, property, attempt.as_ref())))
            .collect();
        left -= items.len();
        if !items.is_empty() {
            found.push((label, items));
        }
    }
    let summary = match (total, shown.min(total)) {
        (0, _) => "No property found".to_owned(),
        (1, _) => "1 property found".to_owned(),
        (total, shown) if shown == total => format!("{} properties", format::count(total as i128)),
        (total, shown) => format!(
            "{} of {} properties shown",
            format::count(shown as i128),
            format::count(total as i128)
        ),
    };
    let lists = listed.lists(properties);
    let mut all_groups: BTreeMap<&str, usize> = BTreeMap::new();
    for property in properties {
        *all_groups.entry(&property.group).or_default() += 1;
    }
    let groups = groups
        .iter()
        .filter_map(|(name, label)| {
            let count = *all_groups.get(name.as_str())?;
            Some((name.clone(), label.clone(), count, *name == search.group))
        })
        .collect();
    let added = search.added.as_ref().and_then(|added| {
        let properties = known.as_ref()?;
        let property = properties.property(&added.as_str().into())?;
        Some(format!("{} is added. It is not saved yet.", property.label))
    });
    let error = attempt.as_ref().and_then(|attempt| {
        let is_shown = by_group.contains(&attempt.property);
        attempt.error.clone().filter(|_| !is_shown)
    });
    html(&PickerPage {
        frame,
        shell,
        types: plugin
            .description()
            .object_types
            .iter()
            .map(|one| {
                let is_shown = one.name == search.object_type;
                (one.name.clone(), one.label.clone(), is_shown)
            })
            .collect(),
        object_type: search.object_type.clone(),
        plural: described.label.to_lowercase(),
        shown,
        groups,
        found,
        summary,
        more: (total > shown).then(|| search.query(shown + SHOWN, None)),
        lists,
        changes: working.changes().count(),
        many: many(&working.document),
        unknown,
        added,
        error,
        search,
    })
}

/// Whether a property is looked for: each word is in its label or its name. Those
/// that HubSpot itself hides are shown to who asks for them.
fn is_found(property: &Property, search: &Search) -> bool {
    let (label, name) = (property.label.to_lowercase(), property.name.as_str());
    let text = search.q.to_lowercase();
    let mut words = text.split_whitespace();
    (search.group.is_empty() || property.group == search.group)
        && (!property.hidden || !text.trim().is_empty())
        && words.all(|word| label.contains(word) || name.contains(word))
}

/// Properties by group, in the groups' order, and in each by label; and which they
/// are.
fn grouped<'a>(
    mut found: Vec<&'a Property>,
    groups: &[(String, String)],
) -> (Vec<(String, Vec<&'a Property>)>, HashSet<PropertyName>) {
    let names = found.iter().map(|property| property.name.clone()).collect();
    found.sort_by_cached_key(|property| property.label.to_lowercase());
    let mut by_group: HashMap<&str, Vec<&Property>> = HashMap::new();
    for property in found {
        by_group.entry(&property.group).or_default().push(property);
    }
    let mut ordered: Vec<(String, Vec<&Property>)> = groups
        .iter()
        .filter_map(|(name, label)| Some((label.clone(), by_group.remove(name.as_str())?)))
        .collect();
    let mut others: Vec<&Property> = by_group.into_values().flatten().collect();
    if !others.is_empty() {
        others.sort_by_cached_key(|property| property.label.to_lowercase());
        ordered.push(("Other properties".to_owned(), others));
    }
    (ordered, names)
}

/// HubSpot's groups, each with what people call it. Without them, nothing is
/// missing but their headings.
async fn groups(
    host: &Arc<Host>,
    project: crate::model::ProjectId,
    id: ConnectionId,
    object_type: &ObjectType,
) -> Vec<(String, String)> {
    let asked = async {
        let account = properties::account(host, project, id).await?;
        let groups = definitions::groups(host, account, object_type).await?;
        Ok::<_, web::error::Error>(groups)
    };
    match shown::soon(asked).await {
        Ok(groups) => groups
            .iter()
            .filter(|group| !group.label.is_empty())
            .map(|group| (group.name.clone(), group.label.clone()))
            .collect(),
        Err(why) => {
            tracing::debug!(why, "no groups of properties");
            Vec::new()
        }
    }
}

/// What a list of properties is made of, beside HubSpot's own.
struct Listed<'a> {
    described: &'a ObjectTypeDescription,
    working: &'a Working,
    variables: &'a [Variable],
    connection: ConnectionId,
    calendar: format::Calendar,
}

impl Listed<'_> {
    fn item(&self, known: &Known, property: &Property, attempt: Option<&Attempt>) -> Item {
        let attempt = attempt.filter(|attempt| attempt.property == property.name);
        let object = self.working.document.get(&self.described.name);
        let fields = object.into_iter().flat_map(|object| &object.fields);
        let feeds = fields.filter(|field| field.property == property.name);
        let chosen = attempt.and_then(|attempt| attempt.variable_type);
        let chosen = chosen.or(property.suggested_variable_type);
        Item {
            name: property.name.clone(),
            label: property.label.clone(),
            kind: shown::kind(property).to_owned(),
            notes: shown::notes(property),
            sample: shown::sample(known, property, default_show(property), &self.calendar),
            feeds: feeds
                .map(|field| {
                    let saved = self.working.saved.get(&self.described.name);
                    let held = saved.and_then(|saved| draft::find(saved, field));
                    (field.variable.clone(), held.is_some())
                })
                .collect(),
            form: chosen.map(|chosen| ItemForm {
                variable: attempt.map_or_else(String::new, |attempt| attempt.variable.clone()),
                suggested: self.suggested_name(property),
                list: list_of(&property.variable_types),
                types: property
                    .variable_types
                    .iter()
                    .map(|one| (*one, type_name(*one), *one == chosen))
                    .collect(),
            }),
            error: attempt.and_then(|attempt| attempt.error.clone()),
            asks: attempt.is_some_and(|attempt| attempt.asks),
        }
    }

    /// A name for a new variable: the property's, said to be of a company or a deal
    /// where it is, and not that of another.
    fn suggested_name(&self, property: &Property) -> String {
        let name = property.name.as_str();
        let singular = self.described.singular_label.to_lowercase();
        let is_of_people = self.described.default_match.is_some();
        let base = match is_of_people || name.starts_with(&singular) {
            true => name.to_owned(),
            false => format!("{singular}_{name}"),
        };
        let is_taken = |name: &str| {
            let documents = self.working.document.values();
            let mut drafted = documents.flat_map(|object| &object.fields);
            let fed = self.variables.iter().any(|variable| {
                let fed_by = variable.fed_by.as_ref();
                variable.name == name && fed_by.is_some_and(|fed| fed.connection != self.connection)
            });
            fed || drafted.any(|field| field.variable == name) || check_name(name).is_err()
        };
        let mut candidates = std::iter::once(base.clone())
            .chain(std::iter::once(format!("hubspot_{base}")))
            .chain((2..100).map(|number| format!("{base}_{number}")));
        candidates.find(|name| !is_taken(name)).unwrap_or(base)
    }

    /// The variables that fit the properties, by the types that these can become.
    fn lists(&self, properties: &[Property]) -> Vec<(String, Vec<(String, &'static str)>)> {
        let kinds: BTreeMap<String, &Vec<VariableType>> = properties
            .iter()
            .map(|property| (list_of(&property.variable_types), &property.variable_types))
            .collect();
        let lists = kinds.into_iter().map(|(id, types)| {
            let fitting = self.variables.iter().filter(|variable| {
                let fed_by = variable.fed_by.as_ref();
                types.contains(&variable.variable_type) && fed_by.is_none()
            });
            let fitting = fitting.map(|one| (one.name.clone(), type_name(one.variable_type)));
            (id, fitting.collect())
        });
        lists.collect()
    }
}

/// The list of variables of any of these types.
fn list_of(types: &[VariableType]) -> String {
    let types: Vec<&str> = types.iter().map(|one| one.as_str()).collect();
    format!("variables-{}", types.join("-"))
}

/// What a new field shows of a property's choices: what people read, where it can
/// be had.
pub(super) fn default_show(property: &Property) -> Show {
    let labels = property.labels.as_ref();
    match shown::has_choices(property) && labels.is_some_and(|labels| labels.available) {
        true => Show::Label,
        false => Show::InternalValue,
    }
}
