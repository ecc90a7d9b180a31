//! The JSON API: a file a noun. `/api/v1/openapi.json` describes it, made from
//! the code.

pub(in crate::web) mod activity;
pub(in crate::web) mod alerts;
pub mod condition_document;
pub mod connection_state;
pub mod connections;
pub(super) mod events;
mod explain;
mod extract;
pub(in crate::web) mod health;
mod mapping_check;
mod mapping_choices;
pub mod mapping_document;
mod mapping_selection;
pub mod mapping_variables;
pub mod mappings;
pub mod plugins;
pub mod previews;
pub mod projects;
pub mod properties;
pub mod segments;
mod set_aside;
mod shadows;
pub mod syncs;
pub mod user_items;
pub mod users;
pub(in crate::web) mod values;
pub mod variables;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    middleware::{Next, from_fn},
    routing::get,
};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    host::Host,
    web::{REQUEST_MAX, error::Error, in_time, problem::finish},
};

/// The document's frame; the paths come from the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Jimo Connect",
        description = "Brings a customer's HubSpot data into their existing Jimo users."
    ),
    servers((url = "/api/v1")),
    security(("token" = [])),
    modifiers(&Token)
)]
struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// The API's routes, below `/api/v1`.
pub(super) fn router(shared: events::Shared) -> Router<Arc<Host>> {
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(projects::create))
        .routes(routes!(projects::get, projects::update))
        .routes(routes!(users::put, users::list))
        .routes(routes!(users::get, users::delete))
        .routes(routes!(variables::list, variables::create))
        .routes(routes!(segments::list, segments::create))
        .routes(routes!(segments::preview))
        .routes(routes!(segments::get, segments::put, segments::delete))
        .routes(routes!(connections::list, connections::create))
        .routes(routes!(connections::get, connections::delete))
        .routes(routes!(connections::pause))
        .routes(routes!(connections::resume))
        .routes(routes!(connections::reconnect))
        .routes(routes!(connections::go_on))
        .routes(routes!(properties::object_types))
        .routes(routes!(properties::list))
        .routes(routes!(mappings::get, mappings::put))
        .routes(routes!(previews::preview))
        .routes(routes!(syncs::list, syncs::start))
        .routes(routes!(syncs::estimate))
        .routes(routes!(syncs::get))
        .routes(routes!(syncs::cancel))
        .routes(routes!(syncs::go_on))
        .routes(routes!(activity::list))
        .routes(routes!(explain::get))
        .routes(routes!(health::get))
        .routes(routes!(events::follow))
        .routes(routes!(alerts::list, alerts::create))
        .routes(routes!(alerts::delete))
        .routes(routes!(alerts::test))
        .routes(routes!(plugins::list, plugins::install))
        .routes(routes!(plugins::get, plugins::remove))
        .routes(routes!(plugins::activate))
        .routes(routes!(plugins::rollback))
        .routes(routes!(shadows::start, shadows::get, shadows::end))
        .routes(routes!(set_aside::list))
        .routes(routes!(set_aside::get))
        .routes(routes!(set_aside::replay_one))
        .routes(routes!(set_aside::replay))
        .split_for_parts();
    summarize(&mut document);
    // Written once: anyone may ask for it again and again. It is texts and maps
    // of them, which can always be written.
    let document = serde_json::to_vec(&document).expect("a document of texts");
    let document = Bytes::from(document);
    router
        .route(
            "/openapi.json",
            get(async move || ([(CONTENT_TYPE, "application/json")], document.clone())),
        )
        .fallback(async || Error::NotFound("path"))
        .method_not_allowed_fallback(async || Error::NoSuchMethod)
        .layer(Extension(shared))
        .layer(DefaultBodyLimit::max(extract::BODY_BYTES_MAX))
        .layer(from_fn(|request, next: Next| {
            in_time(REQUEST_MAX, next.run(request), Error::Late)
        }))
        .layer(from_fn(finish))
}

/// Makes one line of each summary: they are comments of the code, where lines
/// end for another reason.
fn summarize(document: &mut utoipa::openapi::OpenApi) {
    for path in document.paths.paths.values_mut() {
        let operations = [
            &mut path.get,
            &mut path.put,
            &mut path.post,
            &mut path.delete,
            &mut path.patch,
        ];
        for operation in operations.into_iter().flatten() {
            if let Some(summary) = &mut operation.summary {
                *summary = summary.replace('\n', " ");
            }
        }
    }
}
