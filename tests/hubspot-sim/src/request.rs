//! What handlers take: who calls, the path and the query, a JSON body.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::changes::{Change, Stamp};
use crate::crm::{Account, Error, Ids, ObjectType};
use crate::fault::Fault;
use crate::record::Source;
use crate::state::Shared;

/// The running simulator.
pub(crate) type Sim = State<Arc<Shared>>;

/// Who calls: the account and scopes of the token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub portal: u64,
    pub scopes: Arc<[String]>,
}

impl Caller {
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == scope)
    }

    /// Refuses a caller that has none of these scopes (HubSpot: `MISSING_SCOPES`).
    pub(crate) fn need(&self, any: &[String]) -> Result<(), Fault> {
        if any.iter().any(|scope| self.has(scope)) {
            return Ok(());
        }
        Err(Fault::new(
            StatusCode::FORBIDDEN,
            "MISSING_SCOPES",
            "This app hasn't been granted all required scopes to make this call.",
        )
        .with(
            "errors",
            json!([{
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": any},
            }]),
        ))
    }

    /// The object type of a path's part, whose records it must be allowed to read.
    pub(crate) fn reads(&self, name: &str) -> Result<ObjectType, Fault> {
        let of = object_type(name)?;
        self.need(&[format!("crm.objects.{}.read", of.name())])?;
        Ok(of)
    }

    /// The object type of a path's part, whose records it must be allowed to write.
    pub(crate) fn writes(&self, name: &str) -> Result<ObjectType, Fault> {
        let of = object_type(name)?;
        self.need_write(of)?;
        Ok(of)
    }

    pub(crate) fn need_write(&self, object_type: ObjectType) -> Result<(), Fault> {
        self.need(&[format!("crm.objects.{}.write", object_type.name())])
    }

    /// Makes a change in its account, as an app does.
    pub(crate) fn change<T>(
        &self,
        shared: &Shared,
        act: impl FnOnce(&mut Account, &mut Ids, Stamp) -> Result<(T, Vec<Change>), Error>,
    ) -> Result<T, Fault> {
        Ok(shared.change(self.portal, Source::Integration, act)?)
    }

    /// As [`Self::change`], where the events are all that comes of it.
    pub(crate) fn apply(
        &self,
        shared: &Shared,
        act: impl FnOnce(&mut Account, Stamp) -> Result<Vec<Change>, Error>,
    ) -> Result<(), Fault> {
        Ok(shared.apply(self.portal, Source::Integration, act)?)
    }

    /// Whether it may read sensitive properties of a type.
    pub(crate) fn reads_sensitive(&self, object_type: ObjectType) -> bool {
        let scope = format!("crm.objects.{}.sensitive.read", object_type.name());
        self.has(&scope) || self.has(&format!("{scope}.v2"))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        parts.extensions.get::<Self>().cloned().ok_or_else(no_token)
    }
}

/// The app itself, by a token of its own (client credentials).
#[derive(Debug, Clone)]
pub(crate) struct AppCaller {
    pub scopes: Arc<[String]>,
}

impl AppCaller {
    /// Refuses a token without a scope.
    pub(crate) fn need(&self, scope: &str) -> Result<(), Fault> {
        let caller = Caller {
            portal: 0,
            scopes: self.scopes.clone(),
        };
        caller.need(&[scope.to_owned()])
    }
}

impl<S: Sync> FromRequestParts<S> for AppCaller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        parts.extensions.get::<Self>().cloned().ok_or_else(no_token)
    }
}

fn no_token() -> Fault {
    Fault::new(
        StatusCode::UNAUTHORIZED,
        "INVALID_AUTHENTICATION",
        "Authentication credentials not found.",
    )
}

/// The query's parameters, which may repeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(query: &str) -> Self {
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(held, _)| held == name)
            .map(|(_, value)| value.as_str())
    }

    /// All of them, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// A list, given by commas, by repetition, or both.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(held, _)| held == name)
            .flat_map(|(_, value)| value.split(','))
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// A page's size, checked against its limit.
    pub(crate) fn limit(&self, default: usize, max: usize) -> Result<usize, Fault> {
        match self.get("limit") {
            None => Ok(default),
            Some(text) => match text.parse::<usize>() {
                Ok(limit) if (1..=max).contains(&limit) => Ok(limit),
                _ => Err(Fault::invalid(format!(
                    "limit must be between 1 and {max}: {text}"
                ))),
            },
        }
    }

    /// Where a page begins, by id.
    pub(crate) fn after(&self) -> Result<u64, Fault> {
        match self.get("after") {
            None | Some("") => Ok(0),
            Some(text) => text
                .parse()
                .map_err(|_| Fault::invalid(format!("The paging cursor {text} is invalid"))),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// A JSON body, with how long it was.
pub(crate) struct Input<T> {
    pub body: T,
    pub chars: usize,
}

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Input<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &Arc<Shared>) -> Result<Self, Fault> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| Fault::invalid(error.to_string()))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| Fault::invalid(format!("Invalid input JSON: {error}")))?;
        let body = serde_json::from_str(text).map_err(|error| {
            Fault::invalid(format!(
                "Invalid input JSON on line {}, column {}: {error}",
                error.line(),
                error.column()
            ))
        })?;
        Ok(Self {
            body,
            chars: text.chars().count(),
        })
    }
}

/// The object type of a path's part.
pub(crate) fn object_type(name: &str) -> Result<ObjectType, Fault> {
    ObjectType::parse(name).ok_or_else(|| Fault::from(Error::NoType(name.to_owned())))
}

/// A record's id, as text.
pub(crate) fn record_id(text: &str) -> Result<u64, Fault> {
    text.trim().parse().map_err(|_| Fault::not_found())
}

/// A path that names an object type.
#[derive(Deserialize)]
pub(crate) struct TypePath {
    pub object_type: String,
}
