//! Audience: whom conditions have, and the segments that are made of them.

mod builder;
mod draft;
mod offers;
mod segments;

use std::sync::Arc;

use axum::{Router, routing::get};

pub(super) use builder::{Built, GroupView, Views};
pub(super) use draft::{Act, Group, path_text};
pub(super) use offers::Offers;

use crate::host::Host;

/// Where segments are.
const SEGMENTS: &str = "/segments";

/// The routes of segments' pages.
pub(super) fn router() -> Router<Arc<Host>> {
    Router::new()
        .route(SEGMENTS, get(segments::list))
        .route("/segments/live", get(segments::live))
        .route("/segments/new", get(segments::begin).post(segments::build))
        .route(
            "/segments/{segment}",
            get(segments::page).post(segments::change),
        )
        .route(
            "/segments/{segment}/delete",
            get(segments::ask_to_delete).post(segments::delete),
        )
}
