//! Why a record did, or did not, reach a user.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Path, Query, Reader};
use crate::{
    host::Host,
    model::ConnectionId,
    web::{
        error::Error,
        explain::{self, Explanation},
        problem::Problem,
    },
};

/// What to explain.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// An e-mail address; a record's id, with or without its type (`contact 551`);
    /// the address of its page in HubSpot; or a user's id, Jimo's or the customer's.
    q: String,
}

/// Explains, step by step and from what is held here, how a record reached a user,
/// or where it stopped and what to do. HubSpot is not called.
#[utoipa::path(
    get, path = "/projects/{project}/connections/{connection}/explain",
    tag = "connections", operation_id = "explain",
    params(("project" = String, Path), ("connection" = String, Path), ExplainQuery),
    responses(
        (status = 200, body = Explanation),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(host): State<Arc<Host>>,
    reader: Reader,
    Path((_project, id)): Path<(String, ConnectionId)>,
    Query(query): Query<ExplainQuery>,
) -> Result<axum::Json<Explanation>, Error> {
    explain::explain(&host, reader.project, id, &query.q)
        .await
        .map(axum::Json)
}
