//! What can go wrong with a call, as callers treat it.
//!
//! An answer's own words are not kept: HubSpot repeats values in them. Status,
//! category and correlation id are what its support asks for.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;

use super::region::Region;
use crate::model::Timestamp;

/// The longest word kept of an answer, such as a category or a scope.
const WORD_LENGTH_MAX: usize = 100;
/// The most scopes kept of an answer.
const SCOPES_MAX: usize = 50;
/// A locked record stays so for this long (HubSpot: error handling).
const LOCK: Duration = Duration::from_secs(2);
/// The longest wait believed; an account that moves takes up to a day.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(48 * 3_600);

/// Why a call gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// 401: the access token is not taken; a fresh one may be.
    #[error("HubSpot does not take the access token")]
    Unauthorized,
    /// 403: the grant lacks scopes; only the admin's consent adds them.
    #[error("HubSpot misses scopes: {}", scopes.join(", "))]
    MissingScopes {
        /// Those HubSpot names; may be empty.
        scopes: Vec<String>,
    },
    /// 404 where it means no missing record.
    #[error("HubSpot knows no such thing: {0}")]
    NotFound(Fault),
    /// 429, or the budget is spent for longer than a call should wait.
    #[error("the account's request limit is reached until {retry_at}")]
    RateLimited {
        /// When to try again.
        retry_at: Timestamp,
        /// Whether it is the day's limit.
        daily: bool,
    },
    /// 488, which going to the region that HubSpot names did not mend.
    #[error("HubSpot hosts the account in region {0}, and does not serve it there")]
    WrongRegion(Region),
    /// 423: records are locked by other work.
    #[error("HubSpot has locked the records")]
    Locked {
        /// When to try again.
        retry_at: Timestamp,
    },
    /// 5xx, or 477 while the account is moved to another region.
    #[error("HubSpot is unavailable (status {status})")]
    Unavailable {
        /// HTTP's status.
        status: u16,
        /// When to try again, if HubSpot said.
        retry_at: Option<Timestamp>,
    },
    /// Any other answer: the same call would be refused again.
    #[error("HubSpot refused the call: {0}")]
    Refused(Fault),
    /// No answer, or not a whole one.
    #[error("HubSpot could not be reached")]
    Transport(#[source] Arc<reqwest::Error>),
    /// The answer is larger than we read; a smaller batch may do.
    #[error("HubSpot's answer is larger than {bytes_max} bytes")]
    TooLarge {
        /// The most that is read.
        bytes_max: usize,
    },
    /// The call was not sent, for it could not be a good one.
    #[error("the call was not sent: {0}")]
    Unsendable(&'static str),
    /// The answer is not what the call promises.
    #[error("HubSpot's answer to {call} is not understood: {reason}")]
    Undecodable {
        /// The call.
        call: &'static str,
        /// What is wrong with it, without any of its words.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later, with nobody doing anything.
    /// [`Error::Unauthorized`] is not: it needs another token first.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::Locked { .. }
                | Self::Unavailable { .. }
                | Self::Transport(_)
                | Self::WrongRegion(_)
                | Self::Undecodable { .. }
        )
    }

    /// When to try again, where that is known.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::RateLimited { retry_at, .. } | Self::Locked { retry_at } => Some(*retry_at),
            Self::Unavailable { retry_at, .. } => *retry_at,
            _ => None,
        }
    }
}

/// What is kept of an answer that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// HTTP's status.
    pub status: u16,
    /// HubSpot's word for the kind of error.
    pub category: Option<String>,
    /// HubSpot's finer word.
    pub sub_category: Option<String>,
    /// HubSpot's id of this very call, for its support.
    pub correlation_id: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        for word in [&self.category, &self.sub_category].into_iter().flatten() {
            write!(f, ", {word}")?;
        }
        if let Some(id) = &self.correlation_id {
            write!(f, ", correlation id {id}")?;
        }
        Ok(())
    }
}

/// The body of an error; every field may be missing or of another shape.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Body {
    category: serde_json::Value,
    sub_category: serde_json::Value,
    correlation_id: serde_json::Value,
    correct_hublet: serde_json::Value,
    policy_name: serde_json::Value,
    status: serde_json::Value,
    context: serde_json::Value,
    errors: serde_json::Value,
}

impl Body {
    pub(super) fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    /// The category, where the body is HubSpot's and has one.
    pub(super) fn category(&self) -> Option<&str> {
        self.category.as_str()
    }

    /// Whether the body is an error of HubSpot's own, not of something on the
    /// way.
    pub(super) fn is_error(&self) -> bool {
        self.status.as_str() == Some("error")
    }

    /// The rate limit's name.
    pub(super) fn policy_name(&self) -> Option<&str> {
        self.policy_name.as_str()
    }

    fn fault(&self, status: StatusCode) -> Fault {
        Fault {
            status: status.as_u16(),
            category: word(&self.category),
            sub_category: word(&self.sub_category),
            correlation_id: word(&self.correlation_id),
        }
    }

    /// Scopes are named at the top, or in each of the errors.
    fn scopes(&self) -> Vec<String> {
        let contexts = self
            .errors
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| &error["context"]);
        let mut scopes: Vec<String> = std::iter::once(&self.context)
            .chain(contexts)
            .filter_map(|context| context["requiredGranularScopes"].as_array())
            .flatten()
            .filter_map(word)
            .take(SCOPES_MAX)
            .collect();
        scopes.sort();
        scopes.dedup();
        scopes
    }
}

/// A text made of the characters of names, cut off where it is long; anything
/// else is not repeated.
fn word(value: &serde_json::Value) -> Option<String> {
    let text = value.as_str()?;
    let good = !text.is_empty()
        && text.len() <= WORD_LENGTH_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte));
    good.then(|| text.to_owned())
}

/// What an answer that is no success means. 429 is the budget's to explain.
pub(super) fn classify(
    status: StatusCode,
    headers: &HeaderMap,
    body: &Body,
    now: Timestamp,
) -> Error {
    let retry_at = retry_after(headers, now).map(|wait| now.plus(wait));
    match status.as_u16() {
        401 => Error::Unauthorized,
        403 if body.category() == Some("MISSING_SCOPES") => Error::MissingScopes {
            scopes: body.scopes(),
        },
        404 => Error::NotFound(body.fault(status)),
        423 => Error::Locked {
            retry_at: retry_at.unwrap_or(now.plus(LOCK)),
        },
        429 => Error::RateLimited {
            retry_at: retry_at.unwrap_or(now),
            daily: false,
        },
        477 | 408 | 500..=599 => Error::Unavailable {
            status: status.as_u16(),
            retry_at,
        },
        488 => match correct_region(headers, body) {
            Some(region) => Error::WrongRegion(region),
            None => Error::Refused(body.fault(status)),
        },
        _ => Error::Refused(body.fault(status)),
    }
}

/// The region that a 488 names, in its header or its body (both observed; no
/// page of HubSpot's describes them).
fn correct_region(headers: &HeaderMap, body: &Body) -> Option<Region> {
    headers
        .get("x-hubspot-correct-hublet")
        .and_then(|value| value.to_str().ok())
        .or_else(|| body.correct_hublet.as_str())
        .and_then(|name| name.parse().ok())
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => parse_http_date(text)?.since(now),
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// A moment as HTTP writes it: `Tue, 30 Sep 2026 03:30:17 GMT`.
pub(super) fn parse_http_date(text: &str) -> Option<Timestamp> {
    let moment = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp(moment.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn answer(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).expect("status");
        classify(status, &HeaderMap::new(), &Body::read(body.as_bytes()), NOW)
    }

    #[test]
    fn documented_bodies_become_typed_errors() {
        // HubSpot: error handling; usage guidelines.
        let scopes = answer(
            403,
            r#"{"status":"error","message":"This app hasn't been granted all required scopes to make this call.","correlationId":"0d1e","errors":[{"message":"One or more of the following scopes are required.","context":{"requiredGranularScopes":["crm.objects.deals.read"]}}],"category":"MISSING_SCOPES"}"#,
        );
        assert!(
            matches!(&scopes, Error::MissingScopes { scopes } if scopes == &["crm.objects.deals.read"])
        );
        let top = answer(
            403,
            r#"{"category":"MISSING_SCOPES","context":{"requiredGranularScopes":["b","a","b"]}}"#,
        );
        assert!(matches!(&top, Error::MissingScopes { scopes } if scopes == &["a", "b"]));
        assert!(matches!(
            answer(
                401,
                r#"{"status":"error","message":"The OAuth token used to make this call expired","correlationId":"5","category":"EXPIRED_AUTHENTICATION"}"#
            ),
            Error::Unauthorized
        ));
        assert!(matches!(answer(403, "{}"), Error::Refused(_)));
        assert!(matches!(answer(404, "<html>"), Error::NotFound(_)));
        assert!(
            matches!(answer(423, ""), Error::Locked { retry_at } if retry_at == NOW.plus(LOCK))
        );
        for status in [500, 502, 503, 504, 521, 522, 523, 524, 525, 526] {
            assert!(answer(status, "<html>").is_retryable(), "{status}");
        }
        for status in [400, 405, 409, 413, 414, 415] {
            assert!(!answer(status, "{}").is_retryable(), "{status}");
        }
    }

    #[test]
    fn a_488_names_the_region_in_body_or_header() {
        let body = r#"{"status":"error","message":"Hub 1 is unknown to this Hublet, but it appears to exist in Hublet eu1","correctHublet":"eu1"}"#;
        assert!(
            matches!(answer(488, body), Error::WrongRegion(region) if region.as_str() == "eu1")
        );
        let evil = r#"{"correctHublet":"eu1.evil.example"}"#;
        assert!(matches!(answer(488, evil), Error::Refused(_)));
        let mut headers = HeaderMap::new();
        headers.insert("x-hubspot-correct-hublet", "na2".parse().expect("value"));
        let status = StatusCode::from_u16(488).expect("status");
        let error = classify(status, &headers, &Body::default(), NOW);
        assert!(matches!(error, Error::WrongRegion(region) if region.as_str() == "na2"));
    }

    #[test]
    fn an_answers_words_are_not_repeated() {
        let error = answer(
            400,
            r#"{"status":"error","message":"ana@example.com is no number","category":"VALIDATION_ERROR","subCategory":"ana@example.com","correlationId":"a2d3acb6-f78c"}"#,
        );
        assert_eq!(
            error.to_string(),
            "HubSpot refused the call: status 400, VALIDATION_ERROR, correlation id a2d3acb6-f78c"
        );
        assert!(!format!("{error:?}").contains("ana@"));
    }

    #[test]
    fn waits_are_told_in_seconds_or_as_a_date_and_believed_to_a_limit() {
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("value"));
            retry_after(&headers, NOW)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        let later = parse_http_date("Mon, 21 Sep 2026 14:13:30 GMT").expect("date");
        assert_eq!(
            wait("Mon, 21 Sep 2026 14:13:30 GMT"),
            Some(later.since(NOW))
        );
        assert_eq!(wait("999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), NOW), None);
        let moving = answer(477, "{}");
        assert!(matches!(
            moving,
            Error::Unavailable {
                status: 477,
                retry_at: None
            }
        ));
    }
}
