//! The pages.

use std::sync::Arc;

use axum::Router;

use crate::host::Host;

/// The pages' routes.
pub fn router() -> Router<Arc<Host>> {
    Router::new()
}
