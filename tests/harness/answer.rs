//! What the API answers, taken apart for tests.

use reqwest::{RequestBuilder, header};
use serde_json::Value;

/// What a request was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: header::HeaderMap,
    /// The body as JSON; null where it is empty.
    pub json: Value,
}

impl Answer {
    /// What a request is answered.
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let json = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| panic!("{status} {text}")),
        };
        Self {
            status,
            headers,
            json,
        }
    }

    /// The body of what went well.
    #[track_caller]
    pub fn good(self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{} {:#}",
            self.status,
            self.json
        );
        self.json
    }

    /// The body of a problem with this status.
    #[track_caller]
    pub fn problem(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:#}", self.json);
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
        assert_eq!(self.json["status"], status);
        self.json
    }

    /// The pointers of what a 422 says is wrong.
    #[track_caller]
    pub fn pointers(self) -> Vec<String> {
        let problem = self.problem(422);
        let errors = problem["errors"].as_array().unwrap();
        let pointers = errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap());
        pointers.map(str::to_owned).collect()
    }
}

/// JSON with moments, digests and the ids of records that HubSpot draws put
/// away, for snapshots.
pub fn masked(json: Value) -> Value {
    match json {
        Value::String(text) if is_moment(&text) => "[moment]".into(),
        Value::String(text)
            if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            "[digest]".into()
        }
        Value::Array(items) => items.into_iter().map(masked).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| match (name.as_str(), value) {
                ("record_id", Value::String(_)) => (name, "[record]".into()),
                (_, value) => (name, masked(value)),
            })
            .collect(),
        other => other,
    }
}

/// Whether a text is a moment as answers write it: `2026-09-30T12:00:00.000Z`.
fn is_moment(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00.000Z"
}
