//! HTTP: intake, the JSON API, the pages, and what operators look at.
//!
//! Architecture invariant: pages and API call the same functions; nothing is
//! decided here that the store or the pipeline would not decide for another
//! caller.

pub mod api;
mod browsers;
mod connections;
mod cookies;
pub mod descriptors;
pub mod error;
pub mod explain;
mod operate;
pub mod pages;
pub mod problem;
pub mod requests;
pub mod session;
mod stream;

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use http::{Request, StatusCode};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{host::Host, intake, telemetry::Seldom};
use connections::Connections;
use stream::Taken;

/// How long a client may take to send a request's headers, and may be silent
/// between two requests: hyper has one timer for both.
const HEADERS_MAX: Duration = Duration::from_secs(10);

/// The most bytes of a request's headers: as many as Node takes, and more than
/// HubSpot or a browser sends.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// The most bytes of a connection's buffer.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How long a client may take none of an answer.
const TAKEN_MAX: Duration = Duration::from_secs(10);

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
    let streams = pages::streams::Streams::default();
    let shared = api::events::Shared {
        streams: streams.clone(),
        stop: stop.clone(),
    };
    let router = Router::new()
        .merge(intake::router(host))
        .merge(operate::router())
        .nest("/api/v1", api::router(shared))
        .merge(pages::router(host, extra, &streams, stop))
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
    let let_go = host.metrics.connections_let_go.clone();
    let open = Connections::new(descriptors::for_connections(), let_go);
    let failures = Seldom::default();
    let mut http = hyper::server::conn::http1::Builder::new();
    // axum's own `serve` sets no timer, and then no timeout acts.
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    loop {
        let accepted = async {
            let stream = listener.accept().await?.0;
            Ok::<_, io::Error>((stream, open.place().await))
        };
        let (stream, place) = tokio::select! {
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                // Its peer went away before it was taken.
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    if failures.is_due(host.clock.now()) {
                        tracing::warn!(%error, "a connection could not be accepted");
                    }
                    open.make_room();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let (router, watch) = (router.clone(), place.watch());
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, watch) = (router.clone(), watch.clone());
            async move {
                let request = request.map(|body| watch.request(body));
                let response = router.oneshot(request).await?;
                // Without a signature or a token nothing is answered so.
                if response.status() == StatusCode::NO_CONTENT {
                    watch.is_known();
                }
                Ok::<_, Infallible>(response.map(|body| watch.answer(body)))
            }
        });
        let connection = graceful.watch(http.serve_connection(taken(stream), service));
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                },
                () = place.goes() => tracing::debug!("a connection went for another"),
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

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn taken(stream: TcpStream) -> TokioIo<Taken<TcpStream>> {
    // Small answers must not wait for more to send with them. Where it cannot be
    // set, the connection is broken already, and says so when it is used.
    let _ = stream.set_nodelay(true);
    TokioIo::new(Taken::new(stream, TAKEN_MAX))
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
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

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
