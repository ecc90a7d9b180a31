//! The HTTP server: all routes on one page, and the connections they are served on.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware;
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::fault::Fault;
use crate::gate::gate;
use crate::state::Shared;
use crate::trouble::is_dropped;
use crate::{
    account, associations, control_http, journal_http, oauth, objects, owners, pipelines,
    properties, subscriptions,
};

/// All routes. Dated paths and the legacy ones of the same calls lead to the same handlers.
fn routes(shared: &Arc<Shared>) -> Router {
    let hubspot = Router::new()
        .nest("/crm/objects/{version}", objects::routes())
        .nest("/crm/v3/objects", objects::routes())
        .nest("/crm/objects/v3", objects::routes())
        .nest("/crm/properties/{version}", properties::routes())
        .nest("/crm/v3/properties", properties::routes())
        .nest("/crm/properties/v3", properties::routes())
        .nest("/crm/pipelines/{version}", pipelines::routes())
        .nest("/crm/v3/pipelines", pipelines::routes())
        .nest("/crm/owners/{version}", owners::routes())
        .nest("/crm/v3/owners", owners::routes())
        .nest("/crm/v4/objects", associations::of_records())
        .nest("/crm/associations/{version}", associations::routes())
        .nest("/crm/v4/associations", associations::routes())
        .nest("/account-info/{version}", account::details())
        .nest("/account-info/v3", account::details())
        .nest("/appinstalls/{version}", account::installs())
        .nest("/appinstalls/v3", account::installs())
        .nest("/app-webhooks/{version}", subscriptions::routes())
        .nest("/webhooks/v3", subscriptions::routes())
        .nest("/webhooks/2026-03", subscriptions::routes())
        .nest("/webhooks-journal", journal_http::routes())
        .nest("/oauth", oauth::routes())
        .fallback(async || Fault::not_found())
        .layer(middleware::from_fn_with_state(shared.clone(), gate));
    Router::new()
        .nest("/_sim", control_http::routes())
        .merge(hubspot)
        .with_state(shared.clone())
}

/// Serves connections until the task is aborted, which closes them all.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let app = routes(&shared);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, app.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: tokio::net::TcpStream, peer: SocketAddr, app: Router) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let app = app.clone();
        async move {
            let answer: Result<Response, Infallible> = app.oneshot(request.map(Body::new)).await;
            let Ok(answer) = answer;
            if is_dropped(&answer) {
                return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
            }
            Ok(answer)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}
