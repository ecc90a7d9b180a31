//! One call: its turn, its attempts, its answer's bytes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, DATE},
};
use reqwest::RequestBuilder;
use url::Url;

use super::{
    Caller, Client, Error, Pool, Region,
    error::{self, Body, classify, parse_http_date},
    gate::{Budget, Permit},
    rates::{Policy, Rates},
    retry::{backoff, backoff_alone},
};
use crate::{
    model::{AccountKey, Timestamp},
    secrets::Secret,
};

/// The header of a request with its access token.
const BEARER: &str = "Bearer ";

/// A call to an account's API; all of ours may be repeated without harm.
pub(super) struct Call {
    /// Its name in logs, errors and metrics.
    pub(super) name: &'static str,
    pub(super) method: Method,
    /// From the first slash on, encoded.
    pub(super) path: String,
    pub(super) json: Option<Bytes>,
    pub(super) pool: Pool,
    /// Whether a 404 may say that none of the things asked for exists.
    pub(super) may_miss_all: bool,
}

/// A call that the app makes in its own name; all of ours may be repeated without
/// harm.
pub(super) struct AppCall {
    /// Its name in logs, errors and metrics.
    pub(super) name: &'static str,
    pub(super) method: Method,
    /// From the first slash on, encoded.
    pub(super) path: String,
    pub(super) json: Option<Bytes>,
}

/// An answer that is a success, or the 404 that was asked for.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// When HubSpot answered, by its clock; by ours if it doesn't say.
    pub(super) answered_at: Timestamp,
}

/// An answer of any kind.
pub(super) struct Raw {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Client {
    /// Makes a call in its turn, and again where that may help.
    pub(super) async fn call(&self, caller: &Caller, call: &Call) -> Result<Reply, Error> {
        let mut region = self.region_of(caller);
        let mut rerouted = false;
        let mut attempt = 1;
        loop {
            let error = match self.attempt(caller, call, region.as_ref()).await {
                Ok(reply) => return Ok(reply),
                Err(Error::WrongRegion(right)) if !rerouted && region.as_ref() != Some(&right) => {
                    tracing::info!(account = %caller.account, region = %right, "HubSpot hosts the account in another region");
                    self.learn_region(caller, right.clone());
                    region = Some(right);
                    rerouted = true;
                    continue;
                }
                Err(error) => error,
            };
            let now = self.inner.clock.now();
            let Some(wait) = backoff(attempt, &error, now, rand::random()) else {
                return Err(error);
            };
            tracing::debug!(account = %caller.account, call = call.name, attempt, %error, "a call to HubSpot is made again");
            self.inner.clock.sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        caller: &Caller,
        call: &Call,
        region: Option<&Region>,
    ) -> Result<Reply, Error> {
        let inner = &*self.inner;
        let budget = inner.budgets.of(&caller.account);
        let asked_at = inner.clock.now();
        let permit = budget.acquire(call.pool, caller.priority).await;
        let wait = inner.clock.now().since(asked_at);
        inner.metrics.waited(caller.priority.as_str(), wait);
        let (permit, begun) = (permit?, Instant::now());
        let reply = self.send(caller, call, region, &budget, permit).await;
        let outcome = reply.as_ref().map_or_else(outcome, |_| "ok");
        inner.metrics.called(call.name, outcome, begun.elapsed());
        reply
    }

    async fn send(
        &self,
        caller: &Caller,
        call: &Call,
        region: Option<&Region>,
        budget: &Budget,
        permit: Permit,
    ) -> Result<Reply, Error> {
        let inner = &*self.inner;
        let begun_at = inner.clock.now();
        let request = self.request(region, &call.method, &call.path, &call.json, &caller.token)?;
        // The permit counts on when there is no answer: HubSpot may have counted.
        let response = request.send().await;
        let now = inner.clock.now();
        let account = Some(&caller.account);
        told(call.name, account, &response, now.since(begun_at));
        let response = response.map_err(transport)?;
        let status = response.status();
        let rates = Rates::read(response.headers());
        if status == StatusCode::TOO_MANY_REQUESTS {
            let raw = self.read(response).await;
            let policy = raw.as_ref().map_or(Policy::Other, |raw| {
                Policy::named(Body::read(&raw.body).policy_name())
            });
            let told = raw
                .as_ref()
                .ok()
                .and_then(|raw| error::retry_after(&raw.headers, now));
            let retry_at = permit.refused(&rates, policy, told, rand::random());
            return Err(Error::RateLimited {
                retry_at,
                daily: policy == Policy::Daily,
            });
        }
        permit.answered(&rates);
        let answered_at = response
            .headers()
            .get(DATE)
            .and_then(|date| parse_http_date(date.to_str().ok()?))
            .unwrap_or(now);
        let raw = self.read(response).await?;
        if status.is_success() || (call.may_miss_all && is_all_missing(&raw)) {
            return Ok(Reply {
                status,
                body: raw.body,
                answered_at,
            });
        }
        let error = self.classify(&raw);
        if let Error::Unavailable {
            status: 477,
            retry_at: Some(retry_at),
        } = error
        {
            budget.pause(retry_at);
        }
        Err(error)
    }

    /// A request to HubSpot's API with a token.
    fn request(
        &self,
        region: Option<&Region>,
        method: &Method,
        path: &str,
        json: &Option<Bytes>,
        token: &Secret,
    ) -> Result<RequestBuilder, Error> {
        let url = self.inner.config.api.of(region, path);
        let request = self.inner.http.request(method.clone(), url);
        let request = request.header(AUTHORIZATION, bearer(token)?);
        Ok(match json {
            Some(json) => request
                .header(CONTENT_TYPE, "application/json")
                .body(json.clone()),
            None => request,
        })
    }

    /// Makes a call as the app itself, which no account's budget counts, and
    /// again where that may help.
    pub(super) async fn call_as_app(&self, token: &Secret, call: &AppCall) -> Result<Raw, Error> {
        let mut region = None;
        let mut attempt = 1;
        loop {
            let request =
                self.request(region.as_ref(), &call.method, &call.path, &call.json, token)?;
            let error = match self.ask(call.name, request).await {
                Ok(raw) => return Ok(raw),
                Err(Error::WrongRegion(right)) if region.is_none() => {
                    region = Some(right);
                    continue;
                }
                Err(error) => error,
            };
            let now = self.inner.clock.now();
            let Some(wait) = backoff_alone(attempt, &error, now, rand::random()) else {
                return Err(error);
            };
            tracing::debug!(call = call.name, attempt, %error, "a call to HubSpot is made again");
            self.inner.clock.sleep(wait).await;
            attempt += 1;
        }
    }

    /// Sends a request that no budget counts, once.
    pub(super) async fn ask(
        &self,
        name: &'static str,
        request: RequestBuilder,
    ) -> Result<Raw, Error> {
        let begun = Instant::now();
        let response = request.send().await;
        told(name, None, &response, begun.elapsed());
        let answer = match response {
            Ok(response) => self.read(response).await,
            Err(error) => Err(transport(error)),
        };
        let answer = answer.and_then(|raw| {
            if raw.status.is_success() {
                Ok(raw)
            } else {
                Err(self.classify(&raw))
            }
        });
        let outcome = answer.as_ref().map_or_else(outcome, |_| "ok");
        self.inner.metrics.called(name, outcome, begun.elapsed());
        answer
    }

    /// A request to an address outside the API, without any token. Over TLS, unless
    /// the API is not.
    pub(super) fn request_elsewhere(&self, address: &str) -> Result<RequestBuilder, Error> {
        let unsafe_address = Error::Unsendable("it leads to no address that is safe to ask");
        let Ok(url) = Url::parse(address) else {
            return Err(unsafe_address);
        };
        let is_safe = match url.scheme() {
            "https" => true,
            "http" => self.inner.config.api.is_plain(),
            _ => false,
        };
        if is_safe {
            Ok(self.inner.http.get(url))
        } else {
            Err(unsafe_address)
        }
    }

    /// Reads an answer to its end, or to the most that is read.
    pub(super) async fn read(&self, mut response: reqwest::Response) -> Result<Raw, Error> {
        let bytes_max = self.inner.config.answer_bytes_max;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > bytes_max {
                return Err(Error::TooLarge { bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Raw {
            status,
            headers,
            body: body.freeze(),
        })
    }

    /// Posts a form to one of the OAuth calls, which belong to no account.
    pub(super) async fn post_form(
        &self,
        name: &'static str,
        region: Option<&Region>,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<Raw, Error> {
        let url = self.inner.config.api.of(region, path);
        let request = self.inner.http.post(url).form(form);
        let begun = Instant::now();
        let response = request.send().await;
        told(name, None, &response, begun.elapsed());
        let raw = match response {
            Ok(response) => self.read(response).await,
            Err(error) => Err(transport(error)),
        };
        let outcome = match &raw {
            Ok(raw) if raw.status.is_success() => "ok",
            Ok(raw) => outcome(&self.classify(raw)),
            Err(error) => outcome(error),
        };
        self.inner.metrics.called(name, outcome, begun.elapsed());
        raw
    }

    fn classify(&self, raw: &Raw) -> Error {
        let now = self.inner.clock.now();
        classify(raw.status, &raw.headers, &Body::read(&raw.body), now)
    }

    fn region_of(&self, caller: &Caller) -> Option<Region> {
        let regions = self.inner.regions.borrow();
        let learnt = regions.get(&caller.account);
        learnt.or(caller.region.as_ref()).cloned()
    }

    fn learn_region(&self, caller: &Caller, region: Region) {
        self.inner.regions.send_modify(|regions| {
            regions.insert(caller.account.clone(), region);
        });
    }
}

/// Whether a 404 speaks of the things asked for. A path that HubSpot no longer
/// serves is a 404 too, and must never read as "all of them are gone".
fn is_all_missing(raw: &Raw) -> bool {
    let body = Body::read(&raw.body);
    raw.status == StatusCode::NOT_FOUND
        && body.is_error()
        && body.category() == Some("OBJECT_NOT_FOUND")
}

fn bearer(token: &Secret) -> Result<HeaderValue, Error> {
    let text = zeroize::Zeroizing::new(format!("{BEARER}{}", token.expose()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| Error::Unauthorized)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The word that metrics have for how a request ended.
fn outcome(error: &Error) -> &'static str {
    match error {
        Error::RateLimited { .. } => "rate_limited",
        Error::Unavailable { .. } => "server_error",
        Error::Transport(_) | Error::TooLarge { .. } => "transport",
        Error::Unauthorized
        | Error::MissingScopes { .. }
        | Error::NotFound(_)
        | Error::WrongRegion(_)
        | Error::Locked { .. }
        | Error::Refused(_)
        | Error::Unsendable(_)
        | Error::Undecodable { .. } => "client_error",
    }
}

/// Says in the log that a call was made, and whether it was answered.
fn told(
    call: &'static str,
    account: Option<&AccountKey>,
    response: &reqwest::Result<reqwest::Response>,
    after: Duration,
) {
    let account = account.map(AccountKey::as_str);
    let milliseconds = after.as_millis() as u64;
    match response {
        Ok(response) => {
            let status = response.status().as_u16();
            tracing::debug!(account, call, status, milliseconds, "HubSpot answered");
        }
        Err(_) => tracing::debug!(account, call, milliseconds, "HubSpot did not answer"),
    }
}

/// Addresses hold no secret, but are of no use in an error either.
fn transport(error: reqwest::Error) -> Error {
    Error::Transport(Arc::new(error.without_url()))
}
