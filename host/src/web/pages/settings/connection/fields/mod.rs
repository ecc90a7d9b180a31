//! Synced fields: which properties feed which variables, and which record does
//! where a user has several. What is changed is a draft until it is reviewed.

mod adding;
pub(super) mod draft;
mod edit;
mod picker;
mod review;
mod selection;
pub(super) mod shown;

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{
    Router,
    response::Html,
    routing::{get, post},
};

use self::{
    draft::Working,
    selection::SelectionView,
    shown::{Known, Row, Sample},
};
use super::{
    super::super::{
        Error, Frame, Visit,
        extract::{Path, Query},
        format::Shown,
        html,
    },
    Shell, Tab, matching,
};
use crate::{
    host::Host,
    model::{ConnectionId, ObjectType, ProjectId, Status},
    store::variables::Variable,
    telemetry::spawn_blocking,
    web::{
        self,
        api::{
            connections,
            mapping_document::{Document, ObjectDocument},
        },
    },
};

/// Jimo's own advice: ten to fifteen attributes are healthy; many more mean that a
/// table was exported rather than chosen.
const FIELDS_HEALTHY: usize = 15;

/// How many fields a document has, where these are more than is healthy.
fn many(document: &Document) -> Option<usize> {
    let total = document.values().map(|object| object.fields.len()).sum();
    (total > FIELDS_HEALTHY).then_some(total)
}

/// Routes below a connection's path.
pub(super) fn router() -> Router<Arc<Host>> {
    Router::new()
        .route("/fields", get(page))
        .route("/fields/add", get(picker::page).post(adding::add))
        .route("/fields/remove", post(edit::remove))
        .route("/fields/restore", post(edit::restore))
        .route("/fields/show", post(edit::show))
        .route("/fields/selection", post(selection::choose))
        .route("/fields/discard", post(edit::discard))
        .route("/fields/rebase", post(edit::rebase))
        .route("/fields/review", get(review::page).post(review::save))
        .route("/fields/preview", get(review::preview))
}

/// What has just happened.
#[derive(serde::Deserialize)]
pub struct FieldsQuery {
    /// How many fields were added by what was saved.
    saved: Option<usize>,
}

#[derive(Template)]
#[template(path = "fields/page.html")]
struct FieldsPage {
    frame: Frame,
    shell: Shell,
    status: Status,
    sections: Vec<SectionView>,
    changes: usize,
    is_outdated: bool,
    /// How many fields there are, where these are more than is healthy.
    many: Option<usize>,
    /// Why HubSpot's definitions are not shown.
    unknown: Option<String>,
    saved: Option<usize>,
}

/// An object type, and its fields.
struct SectionView {
    object_type: ObjectType,
    /// `Contacts`.
    label: String,
    /// `contact`.
    singular: String,
    rows: Vec<Row>,
    /// Fields that are to be removed.
    removed: Vec<Row>,
    /// How its records reach users, in a sentence.
    matching: String,
    selection: Option<SelectionView>,
}

/// The project's variables, by name.
async fn variables(
    host: &Host,
    project: ProjectId,
) -> Result<HashMap<String, Variable>, crate::store::Error> {
    let variables = host.store.read(move |tx| tx.variables(project)).await?;
    let named = variables.into_iter().map(|one| (one.name.clone(), one));
    Ok(named.collect())
}

/// `GET …/fields`.
pub async fn page(
    visit: Visit,
    Path(id): Path<ConnectionId>,
    Query(query): Query<FieldsQuery>,
) -> Result<Html<String>, Error> {
    let (frame, shell, state) = Shell::load(&visit, id, Tab::Fields).await?;
    let (project, author) = (visit.session.project.id, visit.session.author());
    let working = visit
        .host
        .store
        .read(move |tx| Working::load(tx, project, id, author))
        .await?;
    let variables = variables(&visit.host, project).await?;
    let plugin = connections::plugin(&visit.host, project, id).await?;
    let described = &plugin.description().object_types;
    let known = match state.account {
        // Nobody has consented yet: there is nothing to ask for.
        None => described.iter().map(|_| Err(String::new())).collect(),
        Some(_) => {
            let all = described.iter().map(|one| {
                let object = working.document.get(&one.name);
                let is_mapped = object.is_some_and(|object| !object.fields.is_empty());
                shown::known(&visit.host, (project, id), &one.name, is_mapped)
            });
            futures_util::future::join_all(all).await
        }
    };
    let unknown = known.iter().find_map(|one| one.as_ref().err()).cloned();
    let version = plugin.clone();
    let open = spawn_blocking(move || {
        let types = version.description().object_types.iter();
        types
            .map(|described| selection::can_prefer_open(described, &version))
            .collect::<Vec<_>>()
    });
    let open = open.await.map_err(|_| web::error::Error::Ended)?;
    let calendar = visit.calendar();
    let nothing = ObjectDocument::default();
    let mut sections = Vec::new();
    for ((described, known), can_be_open) in described.iter().zip(&known).zip(open) {
        let object_type = &described.name;
        let object = working.document.get(object_type).unwrap_or(&nothing);
        let saved = working.saved.get(object_type).unwrap_or(&nothing);
        let known: Option<&Known> = known.as_ref().ok();
        let row = |field, saved| Row::new(field, saved, known, &variables, &calendar);
        let fields = object.fields.iter();
        let rows = fields.map(|field| row(field, draft::find(saved, field)));
        let gone = saved.fields.iter();
        let gone = gone.filter(|field| draft::find(object, field).is_none());
        sections.push(SectionView {
            object_type: object_type.clone(),
            label: described.label.clone(),
            singular: described.singular_label.to_lowercase(),
            matching: matching::sentence(
                described,
                working.document.get(object_type),
                known,
                &shell.label,
            ),
            selection: SelectionView::new(described, object, known, can_be_open),
            rows: rows.collect(),
            removed: gone.map(|field| row(field, Some(field))).collect(),
        });
    }
    html(&FieldsPage {
        frame,
        shell,
        status: state.status,
        sections,
        changes: working.changes().count(),
        is_outdated: working.is_outdated(),
        many: many(&working.document),
        unknown: unknown.filter(|why| !why.is_empty()),
        saved: query.saved,
    })
}
