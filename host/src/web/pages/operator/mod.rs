//! The operator's pages: plugin versions, and what was set aside. They are of the whole
//! host, whatever project its operator looks at.
//!
//! Architecture invariant: for whoever is no operator nothing below `/operator` is
//! there. That is asked before each request, and again before each part of a stream.

mod install;
mod plugins;
mod replays;
mod set_aside;
mod shadow;
mod switching;
mod version;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{get, post},
};

use super::{Error, see_other};
use crate::{host::Host, store, web::session::Session};

/// Where these pages are.
pub(super) const OPERATOR: &str = "/operator";

/// Where plugin versions are.
const PLUGINS: &str = "/operator/plugins";

/// Where what was set aside is.
const SET_ASIDE: &str = "/operator/set-aside";

/// Characters of a digest that are shown where all of it is not.
const DIGEST_SHOWN: usize = 12;

/// How often a part looks though nothing in this process says that something changed:
/// commands beside the host tell nobody.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The routes below [`OPERATOR`].
pub(super) fn router(host: &Arc<Host>) -> Router<Arc<Host>> {
    Router::new()
        .route("/", get(start))
        .route("/plugins", get(plugins::page))
        .route(
            "/plugins",
            post(install::install).layer(DefaultBodyLimit::max(install::FORM_BYTES_MAX)),
        )
        .route("/plugins/live", get(plugins::live))
        .route("/plugins/rollback", get(switching::rollback_page))
        .route("/plugins/rollback", post(switching::rollback))
        .route("/plugins/{digest}", get(version::page))
        .route("/plugins/{digest}/live", get(version::live))
        .route("/plugins/{digest}/shadow", post(shadow::start))
        .route("/plugins/{digest}/shadow/end", post(shadow::end))
        .route("/plugins/{digest}/activate", get(switching::activate_page))
        .route("/plugins/{digest}/activate", post(switching::activate))
        .route("/plugins/{digest}/give-back", post(switching::give_back))
        .route("/plugins/{digest}/remove", get(switching::remove_page))
        .route("/plugins/{digest}/remove", post(switching::remove))
        .route("/set-aside", get(set_aside::page))
        .route("/set-aside/live", get(set_aside::live))
        .route("/set-aside/replay", post(replays::all))
        .route("/set-aside/replays/{replay}", get(replays::page))
        .route("/set-aside/replays/{replay}/live", get(replays::live))
        .route("/set-aside/{number}", get(set_aside::one))
        .route("/set-aside/{number}/bytes", get(set_aside::bytes))
        .route("/set-aside/{number}/replay", post(replays::one))
        .layer(from_fn_with_state(host.clone(), for_operators))
}

/// `GET /operator`.
async fn start() -> Response {
    see_other(PLUGINS)
}

/// Lets operators through; others find nothing.
async fn for_operators(session: Session, request: Request, next: Next) -> Result<Response, Error> {
    match session.operates {
        true => Ok(next.run(request).await),
        false => Err(Error::NotFound("page")),
    }
}

/// Ends a part of a page where its reader is an operator no more.
fn still_operates(session: &Session) -> Result<(), store::Error> {
    match session.operates {
        true => Ok(()),
        false => Err(store::Error::NotFound("page")),
    }
}

/// Who asks for something on these pages, as history names them.
fn name(session: &Session) -> String {
    session.actor().to_string()
}

/// Enough of a digest to know it by.
fn short(digest: &str) -> &str {
    digest.get(..DIGEST_SHOWN).unwrap_or(digest)
}
