//! Matched fields: by what records find users.

mod checked;
mod rules;

pub(super) use rules::sentence;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{Html, IntoResponse, Response},
    routing::get,
};

use checked::{Checked, look};
use rules::{fitting, rule, users, wanted};

use super::{
    super::{
        super::{
            Error, Frame, Visit,
            extract::{Path, Query},
            format::count,
            html, see_other,
        },
        path,
    },
    Shell, Tab,
    fields::{draft::Working, shown},
};
use crate::{
    host::Host,
    model::{ConnectionId, ObjectType, PropertyName, Status},
    store::variables::Variable,
    web::{
        self,
        api::{
            connections::{self, Values},
            mapping_document::{
                Document, EXTERNAL_ID, MatchingDocument, ObjectDocument, OwnMatching,
            },
            mappings,
        },
        session::Posted,
    },
};

/// Routes below a connection's path.
pub(super) fn router() -> Router<Arc<Host>> {
    Router::new()
        .route("/matching", get(page).post(save))
        .route("/matching/check", get(check))
}

/// What is shown, and what has just happened.
#[derive(Clone, Default, serde::Deserialize)]
pub struct MatchingQuery {
    /// The object type of which another rule is looked at.
    object_type: Option<ObjectType>,
    /// `own` or `through`.
    way: Option<Way>,
    property: Option<PropertyName>,
    user: Option<String>,
    #[serde(default)]
    saved: bool,
}

/// How records find users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By a property of their own.
    Own,
    /// By the records that they are associated to.
    Through,
}

/// An object type, and how its records find users.
struct SectionView {
    object_type: ObjectType,
    /// `Contacts`.
    label: String,
    /// `contact`.
    singular: String,
    sentence: String,
    /// Whether anything of it is mapped.
    is_mapped: bool,
    /// How many users it feeds now.
    fed: String,
    /// What it can follow, by its label.
    through: Option<String>,
    /// What is filled in.
    way: Way,
    property: PropertyName,
    /// The property's label, where it is known.
    property_label: Option<String>,
    /// The identifiers, each with what people call it, and whether it is chosen.
    users: Vec<(String, String, bool)>,
    /// The properties that fit, each with its label.
    properties: Vec<(PropertyName, String)>,
    /// Whether the form is open.
    is_open: bool,
    /// What was asked to be checked.
    checked: Option<Checked>,
}

#[derive(Template)]
#[template(path = "matching/page.html")]
struct MatchingPage {
    frame: Frame,
    shell: Shell,
    status: Status,
    sections: Vec<SectionView>,
    version: i64,
    unknown: Option<String>,
    saved: bool,
    errors: Vec<String>,
}

/// `GET …/matching`.
pub async fn page(
    visit: Visit,
    Path(id): Path<ConnectionId>,
    Query(query): Query<MatchingQuery>,
) -> Result<Html<String>, Error> {
    show(visit, id, query, Vec::new()).await
}

/// What is known before anything is shown.
struct Standing {
    document: Document,
    version: i64,
    variables: Vec<Variable>,
    /// How many users each object type feeds.
    fed: Vec<(ObjectType, i64)>,
}

async fn standing(visit: &Visit, id: ConnectionId) -> Result<Standing, Error> {
    let (project, author) = (visit.session.project.id, visit.session.author());
    let standing = visit.host.store.read(move |tx| {
        let working = Working::load(tx, project, id, author)?;
        let mut fed = Vec::new();
        for mapping in tx.mappings(id)? {
            fed.push((mapping.object_type, tx.fed_count(mapping.id)?));
        }
        Ok(Standing {
            document: working.saved,
            version: working.newest,
            variables: tx.variables(project)?,
            fed,
        })
    });
    Ok(standing.await?)
}

async fn show(
    visit: Visit,
    id: ConnectionId,
    query: MatchingQuery,
    errors: Vec<String>,
) -> Result<Html<String>, Error> {
    let (frame, shell, state) = Shell::load(&visit, id, Tab::Matching).await?;
    let project = visit.session.project.id;
    let Standing {
        document,
        version,
        variables,
        fed,
    } = standing(&visit, id).await?;
    let plugin = connections::plugin(&visit.host, project, id).await?;
    let types = &plugin.description().object_types;
    let known = types.iter().map(async |described| match state.account {
        None => None,
        Some(_) => {
            let (of, object_type) = ((project, id), &described.name);
            Some(shown::known(&visit.host, of, object_type, false).await)
        }
    });
    let known = futures_util::future::join_all(known).await;
    let mut sections = Vec::new();
    let mut unknown = None;
    for (described, known) in types.iter().zip(known) {
        let object_type = &described.name;
        let known = match known {
            None => None,
            Some(Ok(known)) => Some(known),
            Some(Err(why)) => {
                unknown = Some(why);
                None
            }
        };
        let object = document.get(object_type);
        let in_force = rule(described, object);
        let is_asked = query.object_type.as_ref() == Some(object_type);
        let wanted = match is_asked {
            true => wanted(described, &query, known.as_ref(), &in_force),
            false => in_force.clone(),
        };
        let own = match &wanted {
            MatchingDocument::Own(own) => own.clone(),
            MatchingDocument::Through(_) => OwnMatching {
                property: PropertyName::from(""),
                user: EXTERNAL_ID.to_owned(),
            },
        };
        let way = match &wanted {
            MatchingDocument::Own(_) => Way::Own,
            MatchingDocument::Through(_) => Way::Through,
        };
        let checked = match is_asked && query.way.is_some() && visit.session.may_change() {
            false => None,
            true => Some(Checked {
                sentence: {
                    let object = ObjectDocument {
                        matching: Some(wanted.clone()),
                        ..ObjectDocument::default()
                    };
                    sentence(described, Some(&object), known.as_ref(), &shell.label)
                },
                is_same: object.is_some() && wanted == in_force,
                changes: object.is_some() && wanted != in_force,
                told: look((&visit, id, shell.is_read), &document, described, wanted).await?,
            }),
        };
        let through = described.through.first();
        let through = through.and_then(|name| plugin.description().object_type(name));
        let property = known
            .as_ref()
            .and_then(|known| known.property(&own.property));
        sections.push(SectionView {
            object_type: object_type.clone(),
            label: described.label.clone(),
            singular: described.singular_label.to_lowercase(),
            sentence: sentence(described, object, known.as_ref(), &shell.label),
            is_mapped: object.is_some(),
            fed: count(
                fed.iter()
                    .find(|(of, _)| of == object_type)
                    .map_or(0, |(_, fed)| *fed),
            ),
            through: through.map(|through| through.label.to_lowercase()),
            way,
            property_label: property.map(|one| one.label.clone()),
            property: own.property,
            users: users(&variables, &own.user),
            properties: known
                .as_ref()
                .map(|known| fitting(known, shell.is_read))
                .unwrap_or_default(),
            is_open: is_asked || described.through.is_empty(),
            checked,
        });
    }
    html(&MatchingPage {
        frame,
        shell,
        status: state.status,
        sections,
        version,
        unknown,
        saved: query.saved,
        errors,
    })
}

/// `GET …/matching/check`: the default rule of an object type, else of the first that
/// has one, looked at before anything is saved.
pub async fn check(
    visit: Visit,
    Path(id): Path<ConnectionId>,
    Query(query): Query<MatchingQuery>,
) -> Result<Html<String>, Error> {
    let plugin = connections::plugin(&visit.host, visit.session.project.id, id).await?;
    let mut types = plugin.description().object_types.iter();
    let asked = query.object_type;
    let first = types.find(|one| match &asked {
        Some(asked) => one.name == *asked,
        None => one.through.is_empty(),
    });
    let query = first.map(|described| match rule(described, None) {
        MatchingDocument::Own(own) => MatchingQuery {
            object_type: Some(described.name.clone()),
            way: Some(Way::Own),
            property: Some(own.property),
            user: Some(own.user),
            saved: false,
        },
        MatchingDocument::Through(_) => MatchingQuery::default(),
    });
    show(visit, id, query.unwrap_or_default(), Vec::new()).await
}

/// A rule to be used.
#[derive(serde::Deserialize)]
pub struct MatchingForm {
    object_type: ObjectType,
    way: Way,
    property: Option<PropertyName>,
    user: Option<String>,
    /// What becomes of the values that came by another rule.
    #[serde(default)]
    values: Values,
    /// The version of the mappings that the page was shown with.
    version: i64,
}

/// `POST …/matching`.
pub async fn save(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    visit: Visit,
    posted: Posted<MatchingForm>,
) -> Result<Response, Error> {
    let (project, author) = (posted.session.project.id, posted.session.author());
    let form = posted.form;
    let query = MatchingQuery {
        object_type: Some(form.object_type.clone()),
        way: Some(form.way),
        property: form.property,
        user: form.user,
        saved: false,
    };
    let plugin = connections::plugin(&host, project, id).await?;
    let described = plugin.description().object_type(&form.object_type);
    let described = described.ok_or(Error::NotFound("object type"))?;
    let mut document = standing(&visit, id).await?.document;
    let is_first = document.is_empty();
    let matching = wanted(described, &query, None, &rule(described, None));
    if let MatchingDocument::Through(through) = &matching {
        document.entry(through.through.clone()).or_default();
    }
    let object = document.entry(form.object_type.clone()).or_default();
    object.matching = Some(matching);
    let keep = form.values == Values::Keep;
    let expected = mappings::etag(form.version).into_bytes();
    let by = visit.session.actor();
    match mappings::save(&host, project, id, document, keep, Some(expected), &by).await {
        Ok(()) => {}
        Err(web::error::Error::NotFound(what)) => return Err(Error::NotFound(what)),
        Err(error) => {
            let said = "Somebody else saved meanwhile. This is how it is now: look at it again.";
            let errors = match error {
                web::error::Error::Outdated => vec![said.to_owned()],
                _ => error.sentences(),
            };
            let page = show(visit, id, query, errors).await?;
            return Ok((error.status(), page).into_response());
        }
    }
    // A draft of fields goes on from here.
    let (version, now) = (form.version, host.clock.now());
    let described = plugin.clone();
    host.store
        .transact(move |tx| {
            let mut working = Working::load(tx, project, id, author)?;
            // Nobody else saved before or since: what is new is this alone.
            if working.version == version && working.newest == version + 1 {
                working.version = working.newest;
            }
            working.keep(tx, id, author, described.description(), now)
        })
        .await?;
    Ok(see_other(&match is_first {
        true => path(id, "/fields"),
        false => path(id, "/matching?saved=true"),
    }))
}
