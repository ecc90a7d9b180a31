//! Adding a property to a draft, or saying beside it why that cannot be.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};

use super::{
    super::super::{
        super::{Error, Visit, extract::Path, see_other},
        path,
    },
    draft::{self, Working},
    picker::{Attempt, Search, default_show, show},
};
use crate::{
    host::Host,
    model::{ConnectionId, ObjectType, PropertyName, Shown as Show, VariableType},
    web::{
        self,
        api::{
            connections,
            mapping_document::{Document, FieldDocument},
            mapping_variables::is_taken_over,
            previews, properties,
        },
        problem::step,
        session::Posted,
    },
};

/// A property to be added.
#[derive(serde::Deserialize)]
pub struct AddForm {
    object_type: ObjectType,
    property: PropertyName,
    /// Empty for the one that was suggested.
    #[serde(default)]
    variable: String,
    #[serde(default)]
    suggested: String,
    #[serde(rename = "type")]
    variable_type: Option<VariableType>,
    #[serde(default)]
    take_over: bool,
    #[serde(default)]
    q: String,
    #[serde(default)]
    group: String,
    shown: Option<usize>,
}

/// `POST …/fields/add`.
pub async fn add(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    visit: Visit,
    posted: Posted<AddForm>,
) -> Result<Response, Error> {
    let form = posted.form;
    let (project, author) = (posted.session.project.id, posted.session.author());
    let search = Search {
        object_type: form.object_type.clone(),
        q: form.q,
        group: form.group,
        shown: form.shown,
        added: None,
    };
    let name = match form.variable.trim() {
        "" => form.suggested,
        filled_in => filled_in.to_owned(),
    };
    let attempt = |error: Option<String>| Attempt {
        property: form.property.clone(),
        variable: name.clone(),
        variable_type: form.variable_type,
        asks: error.is_none(),
        error,
    };
    let properties = properties::of(&host, project, id, &form.object_type).await?;
    let property = properties.into_iter().find(|one| one.name == form.property);
    let wanted = name.clone();
    let (mut document, exists, asks) = host
        .store
        .read(move |tx| {
            let document = Working::load(tx, project, id, author)?.document;
            let variable = tx.variable(project, &wanted)?;
            let asks = match &variable {
                Some(variable) => is_taken_over(tx, project, variable)?,
                None => false,
            };
            Ok((document, variable.is_some(), asks))
        })
        .await?;
    let field = FieldDocument {
        property: form.property.clone(),
        variable: name.clone(),
        // One that exists keeps its type.
        variable_type: form.variable_type.filter(|_| !exists),
        show: property.as_ref().map_or(Show::default(), default_show),
        take_over: asks,
    };
    let plugin = connections::plugin(&host, project, id).await?;
    draft::add(
        &mut document,
        plugin.description(),
        &form.object_type,
        field.clone(),
    );
    if let Some(error) = refusal(&host, project, id, document, &form.object_type).await? {
        let shown = show(visit, id, search, Some(attempt(Some(error)))).await?;
        return Ok(shown.into_response());
    }
    // What cannot be is refused before anything is asked.
    if asks && !form.take_over {
        return Ok(show(visit, id, search, Some(attempt(None)))
            .await?
            .into_response());
    }
    let object_type = form.object_type.clone();
    draft::edit(&host, &posted.session, id, move |document, described| {
        draft::add(document, described, &object_type, field);
    })
    .await?;
    let query = search.query(search.shown(), Some(form.property.as_str()));
    Ok(see_other(&path(id, &format!("/fields/add?{query}"))))
}

/// What saving would say of the last field of an object type. What is wrong
/// elsewhere is told before it is saved.
async fn refusal(
    host: &Arc<Host>,
    project: crate::model::ProjectId,
    id: ConnectionId,
    document: Document,
    object_type: &ObjectType,
) -> Result<Option<String>, Error> {
    let fields = document.get(object_type).map_or(0, |one| one.fields.len());
    let last = fields.saturating_sub(1);
    let at = format!("/{}/fields/{last}", step(object_type.as_str()));
    match previews::check(host, project, id, document).await {
        Err(web::error::Error::Invalid(errors)) => {
            let mut errors = errors.into_iter();
            let of_it = errors.find(|error| {
                let rest = error.pointer.strip_prefix(&at);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            Ok(of_it.map(|error| error.detail))
        }
        Err(error) => Err(error.into()),
        Ok(()) => Ok(None),
    }
}
