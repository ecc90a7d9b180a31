//! What a preview found, for people: users by their names, records with links to
//! them.

use std::collections::HashMap;

use super::{
    super::super::{
        Error, Visit,
        format::{self, Shown},
        record_links::RecordLinks,
        users::Person,
    },
    fields::draft,
};
use crate::{
    model::{ConnectionId, ObjectType, RecordId, UserId},
    sync::previews::{self, Previewed},
    web::api::{
        connections,
        mapping_document::{Document, FieldDocument},
    },
};

/// What a preview found.
pub struct PreviewView {
    /// How many users were looked at, of how many.
    pub users: String,
    /// How many the project has, where not all were looked at.
    pub total: Option<String>,
    /// Whether the project has no users.
    pub is_empty: bool,
    /// What was found, object type by object type.
    pub types: Vec<TypeView>,
    /// Whether links to records lead to another site.
    pub are_elsewhere: bool,
}

/// What was found of one object type.
pub struct TypeView {
    /// `Contacts`.
    pub label: String,
    /// `contact`.
    pub singular: String,
    pub matched: String,
    /// Whether more may match: HubSpot has more records than were looked at.
    pub at_least: bool,
    /// How many of a hundred.
    pub percent: u64,
    /// How many users have nothing to be matched by, where any.
    pub unidentified: Option<String>,
    /// The names of the variables, and whether their fields are not saved yet; those
    /// that are not come first.
    pub variables: Vec<(String, bool)>,
    pub samples: Vec<SampleView>,
    /// Some that would not be fed.
    pub unmatched: Vec<Person>,
    /// How many users match several records, and how many records several users;
    /// where any.
    pub users_of_several: Option<String>,
    pub records_of_several: Option<String>,
    pub several: Vec<SeveralView>,
    /// How many more there are than are named: of such users, and of such records.
    pub more_users: Option<String>,
    pub more_records: Option<String>,
}

/// What a user would show.
pub struct SampleView {
    pub person: Person,
    pub record: RecordView,
    /// A value, nothing, or why there is none.
    pub values: Vec<Result<Option<Shown>, &'static str>>,
}

/// A record, with its page in HubSpot.
pub struct RecordView {
    pub name: String,
    pub link: Option<String>,
}

/// Users and records that match one another.
pub struct SeveralView {
    pub users: Vec<Person>,
    pub records: Vec<RecordView>,
    /// How many more records, or users where these are several, are not named.
    pub unnamed: Option<String>,
}

/// Why a value would not be shown, for people.
fn reason(word: &str) -> &'static str {
    match word {
        "redacted" => "HubSpot hides it",
        "malformed" => "It cannot be read as this type",
        "too_long" => "It has more than 700 characters",
        "out_of_range" => "It is out of range",
        "unknown_choice" => "Its label is not known",
        _ => "HubSpot does not let us read it",
    }
}

impl PreviewView {
    /// Of a preview of a document. Object types of which nothing is told are left
    /// out where the document maps nothing of them, but where none is said to be
    /// `saved`: then it is asked how they match.
    ///
    /// # Errors
    ///
    /// The store's own.
    pub async fn load(
        visit: &Visit,
        id: ConnectionId,
        document: &Document,
        mut preview: previews::Preview,
        saved: Option<&Document>,
    ) -> Result<Self, Error> {
        let project = visit.session.project.id;
        let links = RecordLinks::new(&visit.host, &visit.surroundings);
        let are_elsewhere = links.are_elsewhere();
        let plugin = connections::plugin(&visit.host, project, id).await?;
        let place = |object_type: &ObjectType| {
            let mut types = plugin.description().object_types.iter();
            types.position(|described| described.name == *object_type)
        };
        preview.types.sort_by_key(|one| place(&one.object_type));
        let told: Vec<previews::PreviewedType> = preview
            .types
            .into_iter()
            .filter(|one| {
                let object = document.get(&one.object_type);
                saved.is_none() || object.is_some_and(|object| !object.fields.is_empty())
            })
            .collect();
        let shown = told.clone();
        let (people, records) = visit
            .host
            .store
            .read(move |tx| {
                let (mut people, mut records) = (HashMap::new(), HashMap::new());
                for one in &shown {
                    for user in users(one) {
                        // One that is gone since is not shown.
                        if let Ok(user) = tx.user(project, user) {
                            people.insert(user.id, Person::from(user));
                        }
                    }
                    for record in records_of(one) {
                        let (object, link) = links.of(tx, id, &one.object_type, &record)?;
                        let name = format!("{object} {record}");
                        let key = (one.object_type.clone(), record);
                        records.insert(key, (name, link));
                    }
                }
                Ok((people, records))
            })
            .await?;
        let calendar = visit.calendar();
        let looked_at = preview.users;
        let types = told.into_iter().map(|one| {
            let described = plugin.description().object_type(&one.object_type);
            let record = |record: &RecordId| {
                let found = records.get(&(one.object_type.clone(), record.clone()));
                let (name, link) = found.cloned().unwrap_or_default();
                RecordView { name, link }
            };
            let person = |user: &UserId| people.get(user).cloned();
            let fields = document
                .get(&one.object_type)
                .map(|object| &object.fields[..]);
            let fields = fields.unwrap_or_default();
            let (of_users, of_records): (Vec<_>, Vec<_>) = one
                .several
                .iter()
                .partition(|several| several.records.len() > 1);
            let is_added = |field: &FieldDocument| {
                let held = saved.and_then(|saved| saved.get(&one.object_type));
                held.is_none_or(|held| draft::find(held, field).is_none())
            };
            // What is asked about comes first.
            let mut places: Vec<usize> = (0..fields.len()).collect();
            places.sort_by_key(|place| !is_added(&fields[*place]));
            TypeView {
                label: described.map_or_else(String::new, |said| said.label.clone()),
                singular: described
                    .map_or_else(String::new, |said| said.singular_label.to_lowercase()),
                matched: count(one.matched),
                at_least: one.at_least,
                percent: (one.matched * 100).checked_div(looked_at).unwrap_or(0) as u64,
                unidentified: some(looked_at.saturating_sub(one.identified)),
                variables: places
                    .iter()
                    .map(|place| {
                        let field = &fields[*place];
                        (field.variable.clone(), is_added(field))
                    })
                    .collect(),
                samples: one
                    .samples
                    .iter()
                    .filter_map(|sample| {
                        Some(SampleView {
                            person: person(&sample.user)?,
                            record: record(&sample.record),
                            values: places
                                .iter()
                                .filter_map(|place| {
                                    let property = fields[*place].property.as_str();
                                    Some(value(property, sample.values.get(*place)?, &calendar))
                                })
                                .collect(),
                        })
                    })
                    .collect(),
                unmatched: one.unmatched.iter().filter_map(person).collect(),
                users_of_several: some(one.users_of_several),
                records_of_several: some(one.records_of_several),
                several: one
                    .several
                    .iter()
                    .map(|several| SeveralView {
                        users: several.users.iter().filter_map(person).collect(),
                        records: several.records.iter().map(record).collect(),
                        unnamed: some(several.unnamed),
                    })
                    .collect(),
                more_users: some(one.users_of_several.saturating_sub(of_users.len())),
                more_records: some(one.records_of_several.saturating_sub(of_records.len())),
            }
        });
        Ok(Self {
            users: count(looked_at),
            total: (preview.total > looked_at).then(|| count(preview.total)),
            is_empty: preview.total == 0,
            types: types.collect(),
            are_elsewhere,
        })
    }
}

fn value(
    property: &str,
    previewed: &Previewed,
    calendar: &format::Calendar,
) -> Result<Option<Shown>, &'static str> {
    match previewed {
        Ok(value) => Ok(value
            .as_ref()
            .map(|value| calendar.value_of(property, value))),
        Err(word) => Err(reason(word)),
    }
}

fn count(count: usize) -> String {
    format::count(count as i128)
}

fn some(how_many: usize) -> Option<String> {
    (how_many > 0).then(|| count(how_many))
}

fn users(one: &previews::PreviewedType) -> Vec<UserId> {
    let samples = one.samples.iter().map(|sample| sample.user);
    let several = one.several.iter().flat_map(|several| &several.users);
    samples
        .chain(one.unmatched.iter().copied())
        .chain(several.copied())
        .collect()
}

fn records_of(one: &previews::PreviewedType) -> Vec<RecordId> {
    let samples = one.samples.iter().map(|sample| sample.record.clone());
    let several = one.several.iter().flat_map(|several| &several.records);
    samples.chain(several.cloned()).collect()
}
