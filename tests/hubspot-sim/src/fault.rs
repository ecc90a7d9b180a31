//! Error bodies, as HubSpot writes them (HubSpot: error handling).

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::crm::Error;

/// An error on its way out. The body is written where the correlation id is known.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub status: StatusCode,
    body: Map<String, Value>,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, category: &str, message: impl Into<String>) -> Self {
        let mut body = Map::new();
        body.insert("status".to_owned(), json!("error"));
        body.insert("message".to_owned(), json!(message.into()));
        body.insert("category".to_owned(), json!(category));
        Self { status, body }
    }

    /// A body of another shape.
    pub(crate) fn raw(status: StatusCode, body: Value) -> Self {
        let body = match body {
            Value::Object(body) => body,
            other => Map::from_iter([("message".to_owned(), other)]),
        };
        Self { status, body }
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.body.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.body.remove(name);
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "OBJECT_NOT_FOUND",
            "resource not found",
        )
    }

    /// The body's bytes.
    pub(crate) fn into_body(mut self, correlation: &str) -> Vec<u8> {
        self.body
            .insert("correlationId".to_owned(), json!(correlation));
        Value::Object(self.body).to_string().into_bytes()
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::NoAccount(_) | Error::NoRecord { .. } => Self::not_found(),
            Error::NoType(_) | Error::Refused(_) => Self::invalid(message),
            Error::Invalid(faults) => {
                let errors: Vec<Value> = faults
                    .iter()
                    .map(|fault| {
                        json!({
                            "message": fault.message,
                            "code": fault.code,
                            "context": {"propertyName": [fault.property]},
                        })
                    })
                    .collect();
                Self::invalid(message).with("errors", Value::Array(errors))
            }
            Error::Conflict { .. } => Self::new(StatusCode::CONFLICT, "CONFLICT", message),
        }
    }
}
