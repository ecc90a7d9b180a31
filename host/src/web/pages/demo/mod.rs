//! The demo's HubSpot: a small page where the visitor edits records of the
//! simulated account, beside the Jimo profile that follows.
//!
//! Mounted by the `demo` command alone; nothing of the host knows it.

mod fields;

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension, Router,
    http::HeaderMap,
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use hubspot_sim::{Account, ObjectType, TrueRecord};

use self::fields::{Field, Input, Mapped};
use super::{
    Error, Frame, Section, Visit,
    extract::{Path, Query},
    html,
    profile::{self, Place, Profile},
    record_links::object_names,
    see_other,
    users::Person,
};
use crate::{
    host::Host,
    model::UserId,
    store::users::UserFilter,
    web::{Extra, session::Posted},
};

/// Where these pages are.
pub const PATH: &str = "/demo/hubspot";

/// Sent by the page's script: an answer without a page is enough. 205 asks it
/// to load the page again.
const QUIET: &str = "x-quiet";

/// Users shown beside a record, at most.
const USERS_MAX: usize = 5;

/// The pages of a simulated HubSpot account, for [`crate::host::run_with`].
pub fn extra(account: Account) -> Extra {
    Extra {
        pages: router(account),
        simulated_hubspot: Some(PATH),
    }
}

/// The routes of a simulated HubSpot account.
pub fn router(account: Account) -> Router<Arc<Host>> {
    Router::new()
        .route("/demo/hubspot", get(start))
        .route("/demo/hubspot/{object_type}", get(list).post(create))
        .route("/demo/hubspot/{object_type}/{id}", get(record).post(save))
        .route("/demo/hubspot/{object_type}/{id}/delete", post(delete))
        .layer(Extension(account))
}

async fn start() -> Response {
    see_other("/demo/hubspot/contacts")
}

/// A record, as lists and links show it.
struct Item {
    path: String,
    name: String,
    detail: String,
    users: Vec<Person>,
}

/// What all these pages show.
struct Hub {
    portal: u64,
    /// `Contact`.
    object: String,
    /// Path, name, and whether it is shown.
    types: Vec<(String, &'static str, bool)>,
}

impl Hub {
    fn new(account: &Account, object_type: ObjectType) -> Self {
        let (object, _) = object_names(object_type.name());
        let types = [
            (ObjectType::Contacts, "Contacts"),
            (ObjectType::Companies, "Companies"),
            (ObjectType::Deals, "Deals"),
        ];
        Self {
            portal: account.portal(),
            object,
            types: types
                .into_iter()
                .map(|(of, label)| (format!("{PATH}/{}", of.name()), label, of == object_type))
                .collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "demo_list.html")]
struct ListPage {
    frame: Frame,
    hub: Hub,
    items: Vec<Item>,
}

#[derive(Template)]
#[template(path = "demo_record.html")]
struct RecordPage {
    frame: Frame,
    hub: Hub,
    item: Item,
    action: String,
    fields: Vec<Field>,
    related: Vec<Item>,
    profile: Option<Profile>,
    is_saved: bool,
}

fn known_type(name: &str) -> Result<ObjectType, Error> {
    ObjectType::ALL
        .into_iter()
        .find(|known| known.name() == name)
        .ok_or(Error::NotFound("object type"))
}

fn live_record(account: &Account, of: ObjectType, id: u64) -> Result<TrueRecord, Error> {
    let record = account
        .record(of.name(), id)
        .map_err(|_| Error::NotFound("record"))?;
    if record.existence == hubspot_sim::Existence::Live {
        Ok(record)
    } else {
        Err(Error::NotFound("record"))
    }
}

fn item(record: &TrueRecord) -> Item {
    let value = |name| record.value(name).unwrap_or_default();
    let (name, detail) = match record.object_type {
        ObjectType::Contacts => (
            format!("{} {}", value("firstname"), value("lastname")),
            value("email").to_owned(),
        ),
        ObjectType::Companies => (value("name").to_owned(), value("domain").to_owned()),
        ObjectType::Deals => (value("dealname").to_owned(), value("amount").to_owned()),
    };
    let name = match (name.trim(), detail.as_str()) {
        ("", "") => format!("Record {}", record.id),
        ("", detail) => detail.to_owned(),
        (name, _) => name.to_owned(),
    };
    Item {
        path: format!("{PATH}/{}/{}", record.object_type.name(), record.id),
        name,
        detail,
        users: Vec::new(),
    }
}

/// The Jimo users that a record reaches, as the demo's mapping has it: by the
/// e-mail address of the contact, or of the contacts associated.
async fn users_of(
    visit: &Visit,
    account: &Account,
    record: &TrueRecord,
) -> Result<Vec<Person>, Error> {
    let emails: Vec<String> = if record.object_type == ObjectType::Contacts {
        record
            .value("email")
            .map(str::to_owned)
            .into_iter()
            .collect()
    } else {
        record
            .linked(ObjectType::Contacts)
            .into_iter()
            .filter_map(|id| live_record(account, ObjectType::Contacts, id).ok())
            .filter_map(|contact| contact.value("email").map(str::to_owned))
            .collect()
    };
    let project = visit.session.project.id;
    let users = visit
        .host
        .store
        .read(move |tx| {
            let mut users = Vec::new();
            for email in emails {
                let filter = UserFilter {
                    email: Some(email),
                    ..UserFilter::default()
                };
                users.extend(tx.users(project, &filter, UserId(0), USERS_MAX)?);
            }
            Ok(users)
        })
        .await?;
    Ok(users
        .into_iter()
        .map(Person::from)
        .take(USERS_MAX)
        .collect())
}

async fn list(
    visit: Visit,
    Extension(account): Extension<Account>,
    Path(object_type): Path<String>,
) -> Result<Html<String>, Error> {
    let of = known_type(&object_type)?;
    let truth = account.truth().map_err(refused)?;
    let mut items = Vec::new();
    for record in truth.live(of) {
        let mut item = item(record);
        item.users = users_of(&visit, &account, record).await?;
        items.push(item);
    }
    html(&ListPage {
        frame: visit.frame("Simulated HubSpot", Section::SimulatedHubspot),
        hub: Hub::new(&account, of),
        items,
    })
}

/// Which of several users to show, and what was done before.
#[derive(serde::Deserialize)]
struct RecordQuery {
    user: Option<UserId>,
    #[serde(default)]
    saved: bool,
}

async fn record(
    visit: Visit,
    Extension(account): Extension<Account>,
    Path((object_type, id)): Path<(String, u64)>,
    Query(query): Query<RecordQuery>,
) -> Result<Html<String>, Error> {
    let of = known_type(&object_type)?;
    let record = live_record(&account, of, id)?;
    let mut item = item(&record);
    item.users = users_of(&visit, &account, &record).await?;
    let shown = item
        .users
        .iter()
        .find(|person| Some(person.id) == query.user)
        .or(item.users.first());
    let profile = match shown {
        Some(person) => Some(profile::load(&visit, person.id, Place::Pane).await?),
        None => None,
    };
    let hub = Hub::new(&account, of);
    let mapped = Mapped::load(&visit, &account, of).await?;
    let related = ObjectType::ALL
        .into_iter()
        .filter(|other| *other != of)
        .flat_map(|other| {
            let ids = record.linked(other);
            ids.into_iter().map(move |id| (other, id))
        })
        .filter_map(|(other, id)| live_record(&account, other, id).ok())
        .map(|other| self::item(&other))
        .collect();
    html(&RecordPage {
        frame: visit.frame(
            format!("{} · {}", item.name, hub.object),
            Section::SimulatedHubspot,
        ),
        hub,
        action: item.path.clone(),
        fields: fields::of_record(&account, &record, &mapped),
        item,
        related,
        profile,
        is_saved: query.saved,
    })
}

async fn save(
    Extension(account): Extension<Account>,
    Path((object_type, id)): Path<(String, u64)>,
    headers: HeaderMap,
    visit: Visit,
    posted: Posted<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let of = known_type(&object_type)?;
    let record = live_record(&account, of, id)?;
    let mapped = Mapped::load(&visit, &account, of).await?;
    let shown = fields::of_record(&account, &record, &mapped);
    let changes = fields::changes(&shown, &posted.form).map_err(Error::Refused)?;
    let changes: Vec<(&str, &str)> = changes
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    account.patch(of.name(), id, &changes).map_err(refused)?;
    if !headers.contains_key(QUIET) {
        let path = format!("{PATH}/{}/{id}?saved=true", of.name());
        return Ok(see_other(&path));
    }
    let ids = |people: Vec<Person>| people.into_iter().map(|person| person.id);
    let before = users_of(&visit, &account, &record).await?;
    let record = live_record(&account, of, id)?;
    let after = users_of(&visit, &account, &record).await?;
    Ok(if ids(before).eq(ids(after)) {
        StatusCode::NO_CONTENT.into_response()
    } else {
        StatusCode::RESET_CONTENT.into_response()
    })
}

/// What a contact is made of.
#[derive(serde::Deserialize)]
struct NewContact {
    email: String,
    #[serde(default)]
    firstname: String,
    #[serde(default)]
    lastname: String,
}

async fn create(
    Extension(account): Extension<Account>,
    Path(object_type): Path<String>,
    posted: Posted<NewContact>,
) -> Result<Response, Error> {
    let of = known_type(&object_type)?;
    if of != ObjectType::Contacts {
        return Err(Error::Refused("Only contacts can be created here.".into()));
    }
    let contact = posted.form;
    let values = [
        ("email", contact.email.trim()),
        ("firstname", contact.firstname.trim()),
        ("lastname", contact.lastname.trim()),
    ];
    let values: Vec<_> = values
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let id = account.create(of.name(), &values).map_err(refused)?;
    Ok(see_other(&format!("{PATH}/contacts/{id}")))
}

async fn delete(
    Extension(account): Extension<Account>,
    Path((object_type, id)): Path<(String, u64)>,
    posted: Posted<fields::Nothing>,
) -> Result<Response, Error> {
    let fields::Nothing {} = posted.form;
    let of = known_type(&object_type)?;
    account.delete(of.name(), id).map_err(refused)?;
    Ok(see_other(&format!("{PATH}/{}", of.name())))
}

fn refused(error: hubspot_sim::Error) -> Error {
    Error::Refused(error.to_string())
}
