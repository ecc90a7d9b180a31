//! The JSON API.

use std::sync::Arc;

use axum::Router;

use crate::host::Host;

/// The API's routes, below `/api/v1`.
pub fn router() -> Router<Arc<Host>> {
    Router::new()
}
