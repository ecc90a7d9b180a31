//! Pausing, resuming, deleting.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    response::{Html, Response},
};

use super::{
    super::{
        super::{Error, Frame, Visit, extract::Path, html, see_other},
        INTEGRATIONS,
        integrations::Nothing,
        path,
    },
    Shell, Tab, headed, live_at,
};
use crate::{
    host::Host,
    model::{ConnectionId, VariableId},
    store::segments::Named,
    web::{
        api::connections::{self, Values},
        session::Posted,
    },
};

/// `POST …/pause`.
pub async fn pause(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    posted: Posted<Nothing>,
) -> Result<Response, Error> {
    let by = posted.session.actor();
    connections::set_paused(&host, posted.session.project.id, id, true, &by).await?;
    Ok(see_other(&path(id, "")))
}

/// `POST …/resume`.
pub async fn resume(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    posted: Posted<Nothing>,
) -> Result<Response, Error> {
    let by = posted.session.actor();
    connections::set_paused(&host, posted.session.project.id, id, false, &by).await?;
    Ok(see_other(&path(id, "")))
}

#[derive(Template)]
#[template(path = "integrations/delete.html")]
struct DeletePage {
    frame: Frame,
    shell: Shell,
    /// The variables that it feeds.
    variables: Vec<String>,
    /// The segments that name any of these.
    segments: Vec<Named>,
}

/// `GET …/delete`: what deleting it means.
pub async fn page(visit: Visit, Path(id): Path<ConnectionId>) -> Result<Html<String>, Error> {
    let (mut frame, shell, _) = Shell::load(&visit, id, Tab::Overview).await?;
    // It is the same whether or not the connection is finished.
    frame.live = Some(live_at(&visit.host, id, headed::STREAM));
    let project = visit.session.project.id;
    let variables = visit.host.store.read(move |tx| {
        let mappings = tx.mappings(id)?;
        let fed: Vec<VariableId> = mappings
            .iter()
            .flat_map(|mapping| mapping.fields.iter().filter_map(|field| field.variable))
            .collect();
        let all = tx.variables(project)?;
        let names = all
            .into_iter()
            .filter(|variable| fed.contains(&variable.id))
            .map(|variable| variable.name);
        let mut segments: Vec<Named> = tx
            .segments_fed_by(id)?
            .into_iter()
            .map(|(_, segment)| segment)
            .collect();
        segments.dedup_by_key(|segment| segment.id);
        Ok((names.collect::<Vec<_>>(), segments))
    });
    let (variables, segments) = variables.await?;
    html(&DeletePage {
        frame,
        shell,
        variables,
        segments,
    })
}

/// What the form of [`DeletePage`] says.
#[derive(serde::Deserialize)]
pub struct DeleteForm {
    values: Values,
}

/// `POST …/delete`.
pub async fn delete(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    posted: Posted<DeleteForm>,
) -> Result<Response, Error> {
    let keep = posted.form.values == Values::Keep;
    connections::end(&host, posted.session.project.id, id, keep).await?;
    let deleted = if keep { "keep" } else { "clear" };
    Ok(see_other(&format!("{INTEGRATIONS}?deleted={deleted}")))
}
