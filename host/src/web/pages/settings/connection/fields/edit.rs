//! Small changes of a draft; each leads back to the fields.

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::{
    super::super::{
        super::{Error, extract::Path, see_other},
        integrations::Nothing,
        path,
    },
    draft::{self, Working},
};
use crate::{
    host::Host,
    model::{ConnectionId, ObjectType, PropertyName, Shown},
    web::{
        api::{
            connections,
            mapping_document::{Document, FieldDocument},
        },
        session::Posted,
    },
};

/// One field of a draft.
#[derive(serde::Deserialize)]
pub struct FieldForm {
    object_type: ObjectType,
    property: PropertyName,
    variable: String,
    /// What it is to show of its choices.
    show: Option<Shown>,
}

impl FieldForm {
    fn names(&self, field: &FieldDocument) -> bool {
        field.property == self.property && field.variable == self.variable
    }

    fn field<'a>(&self, document: &'a mut Document) -> Option<&'a mut FieldDocument> {
        let mut fields = document.get_mut(&self.object_type)?.fields.iter_mut();
        fields.find(|field| self.names(field))
    }
}

fn back(id: ConnectionId) -> Response {
    see_other(&path(id, "/fields"))
}

/// `POST …/fields/remove`.
pub async fn remove(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    posted: Posted<FieldForm>,
) -> Result<Response, Error> {
    let form = posted.form;
    draft::edit(&host, &posted.session, id, move |document, _| {
        if let Some(object) = document.get_mut(&form.object_type) {
            object.fields.retain(|field| !form.names(field));
        }
    })
    .await?;
    Ok(back(id))
}

/// `POST …/fields/restore`: what was to be removed stays.
pub async fn restore(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    posted: Posted<FieldForm>,
) -> Result<Response, Error> {
    let (form, session) = (posted.form, posted.session);
    let (project, author, now) = (session.project.id, session.author(), host.clock.now());
    let plugin = connections::plugin(&host, project, id).await?;
    host.store
        .transact(move |tx| {
            let mut working = Working::load(tx, project, id, author)?;
            let Some(saved) = working.saved.get(&form.object_type) else {
                return Ok(());
            };
            // In the order that it was saved in, so that it is no change.
            let mut left = saved.clone();
            let held = working.document.remove(&form.object_type);
            let held = held.unwrap_or_default();
            left.fields
                .retain(|field| form.names(field) || draft::find(&held, field).is_some());
            for field in &mut left.fields {
                if let Some(one) = draft::find(&held, field) {
                    field.show = one.show;
                }
            }
            for field in held.fields {
                if draft::find(&left, &field).is_none() {
                    left.fields.push(field);
                }
            }
            if held.selection.is_some() {
                left.selection = held.selection;
            }
            working.document.insert(form.object_type.clone(), left);
            working.keep(tx, id, author, plugin.description(), now)
        })
        .await?;
    Ok(back(id))
}

/// `POST …/fields/show`.
pub async fn show(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    posted: Posted<FieldForm>,
) -> Result<Response, Error> {
    let form = posted.form;
    draft::edit(&host, &posted.session, id, move |document, _| {
        if let (Some(field), Some(show)) = (form.field(document), form.show) {
            field.show = show;
        }
    })
    .await?;
    Ok(back(id))
}

/// `POST …/fields/discard`.
pub async fn discard(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    posted: Posted<Nothing>,
) -> Result<Response, Error> {
    let (project, author) = (posted.session.project.id, posted.session.author());
    host.store
        .transact(move |tx| {
            tx.connection(project, id)?;
            tx.drop_draft(id, author)
        })
        .await?;
    Ok(back(id))
}

/// `POST …/fields/rebase`: what somebody else saved meanwhile is to be replaced by
/// this draft.
pub async fn rebase(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    posted: Posted<Nothing>,
) -> Result<Response, Error> {
    let (project, author) = (posted.session.project.id, posted.session.author());
    let plugin = connections::plugin(&host, project, id).await?;
    let now = host.clock.now();
    host.store
        .transact(move |tx| {
            let mut working = Working::load(tx, project, id, author)?;
            working.version = working.newest;
            working.keep(tx, id, author, plugin.description(), now)
        })
        .await?;
    Ok(see_other(&path(id, "/fields/review")))
}
