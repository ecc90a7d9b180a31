//! HTTP: intake, the JSON API, the pages, and what operators look at.
//!
//! Architecture invariant: pages and API call the same functions; nothing is
//! decided here that the store or the pipeline would not decide for another
//! caller.

pub mod api;
pub mod error;
mod operate;
pub mod pages;
pub mod problem;
pub mod requests;
pub mod session;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{host::Host, intake};

/// How long a client may take to send a request's headers.
const HEADERS_MAX: Duration = Duration::from_secs(10);

/// The most bytes of a request's headers, and of the buffer they are read into.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// How long a request to a page or the API may take, its body and all work
/// included; a stream of events, until it begins.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// How long requests under way may take to end when the host stops.
const STOP_MAX: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be accepted, as when the process
/// has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a command adds to the host's own pages. The demo adds a simulated
/// HubSpot; `serve` adds nothing.
#[derive(Default)]
pub struct Extra {
    /// Its routes; they are pages too, with their headers and sessions.
    pub pages: Router<Arc<Host>>,
    /// The path of the simulated HubSpot's pages, which links to records then
    /// lead to.
    pub simulated_hubspot: Option<&'static str>,
}

/// All routes of a host. Streams of pages end when it is told to stop.
pub fn router(host: &Arc<Host>, extra: Extra, stop: &CancellationToken) -> Router {
    let router = Router::new()
        .merge(intake::router(host))
        .merge(operate::router())
        .nest("/api/v1", api::router())
        .merge(pages::router(host, extra, stop))
        .with_state(host.clone());
    requests::identified(router)
}

/// An answer, or what is said where it takes longer than `max`.
async fn in_time(
    max: Duration,
    answer: impl Future<Output = Response>,
    late: impl IntoResponse,
) -> Response {
    match tokio::time::timeout(max, answer).await {
        Ok(response) => response,
        Err(_) => late.into_response(),
    }
}

/// Serves until it is told to stop, then lets requests under way end.
pub async fn serve(host: Arc<Host>, listener: TcpListener, extra: Extra, stop: CancellationToken) {
    let router = router(&host, extra, &stop);
    let graceful = GracefulShutdown::new();
    let mut http = hyper::server::conn::http1::Builder::new();
    // axum's own `serve` sets no timer, and then no timeout acts.
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        // Small answers must not wait for more to send with them.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    if tokio::time::timeout(STOP_MAX, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests under way were cut off");
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, Bytes},
        extract::Request,
        middleware::{Next, from_fn},
        routing::post,
    };
    use futures_util::stream;
    use http::StatusCode;
    use hyper::service::Service;

    use super::*;

    #[tokio::test]
    async fn a_request_whose_body_never_comes_is_answered_all_the_same() {
        let max = Duration::from_millis(10);
        let router = Router::new()
            .route("/", post(async |_: Bytes| StatusCode::OK))
            .layer(from_fn(move |request: Request, next: Next| {
                in_time(max, next.run(request), error::Error::Late)
            }));
        let service = TowerToHyperService::new(router);
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        for (body, status) in [
            (never, StatusCode::SERVICE_UNAVAILABLE),
            (Body::empty(), StatusCode::OK),
        ] {
            let request = Request::post("/").body(body).expect("request");
            let answer = service.call(request).await.expect("answer");
            assert_eq!(answer.status(), status);
        }
    }
}
