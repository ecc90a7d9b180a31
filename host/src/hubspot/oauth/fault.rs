//! Why there is no grant, and whose fault that is.

use serde::Deserialize;

use crate::{
    hubspot::{
        Error,
        error::{Body, classify},
        transport::Raw,
    },
    model::Timestamp,
};

/// The longest word kept of an error.
const CODE_LENGTH_MAX: usize = 60;

/// Why there is no grant.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GrantError {
    /// The refresh token is good no more: uninstalled, revoked, or its user
    /// gone. Only the customer's consent mends it.
    #[error("the account has withdrawn its consent")]
    Revoked,
    /// HubSpot does not know our app as it is configured. Nothing that the
    /// customer could mend.
    #[error("HubSpot does not accept how this app is configured: {code}")]
    Misconfigured {
        /// HubSpot's word for it.
        code: String,
    },
    /// The code was used before, is too old, or was another's.
    #[error("the consent's code is not accepted; the consent has to be begun again")]
    BadCode,
    /// The account or its admin may not grant this.
    #[error("HubSpot denies this account's access")]
    AccessDenied,
    /// The grant belongs to another app than ours.
    #[error("the token was granted to another app")]
    OtherApp,
    /// HubSpot can't be reached, or can't answer now.
    #[error("HubSpot's authorization can't be reached")]
    Unavailable(#[source] Error),
    /// Any other answer. It is tried again, rather than blamed on someone.
    #[error("HubSpot refused with status {status}, {code}")]
    Refused {
        /// HTTP's status.
        status: u16,
        /// HubSpot's word for it.
        code: String,
    },
}

impl GrantError {
    /// Whether the same may succeed later, with nobody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(error) => error.is_retryable(),
            Self::Refused { .. } => true,
            _ => false,
        }
    }

    /// When to try again, where that is known.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Unavailable(error) => error.retry_at(),
            _ => None,
        }
    }
}

impl From<Error> for GrantError {
    fn from(error: Error) -> Self {
        Self::Unavailable(error)
    }
}

/// The error bodies, dated and legacy ones alike.
#[derive(Default, Deserialize)]
struct FaultWire {
    #[serde(default)]
    error: serde_json::Value,
    #[serde(default)]
    status: serde_json::Value,
}

/// What a refusal means. Words about our app come first: with `invalid_client`
/// nothing can be said of the customer's grant.
pub(super) fn understand(raw: &Raw, exchange: bool, now: Timestamp) -> GrantError {
    let fault: FaultWire = serde_json::from_slice(&raw.body).unwrap_or_default();
    let error = fault.error.as_str().unwrap_or_default();
    let status = fault.status.as_str().unwrap_or_default();
    let code = [status, error].into_iter().find(|word| is_code(word));
    let code = code.unwrap_or("without a word").to_owned();
    if matches!(raw.status.as_u16(), 408 | 423 | 429 | 477 | 488 | 500..=599) {
        let error = classify(raw.status, &raw.headers, &Body::read(&raw.body), now);
        return GrantError::Unavailable(error);
    }
    let ours = matches!(
        error,
        "invalid_client" | "unauthorized_client" | "unsupported_grant_type" | "invalid_scope"
    ) || matches!(
        status,
        "BAD_CLIENT_ID"
            | "BAD_CLIENT_SECRET"
            | "BAD_REDIRECT_URI"
            | "BAD_GRANT_TYPE"
            | "BAD_SCOPES"
    );
    if ours {
        return GrantError::Misconfigured { code };
    }
    match (error, status) {
        (_, "BAD_AUTH_CODE" | "BAD_CODE_VERIFIER") => GrantError::BadCode,
        ("access_denied", _) | (_, "BAD_HUB") => GrantError::AccessDenied,
        ("invalid_grant", _) | (_, "BAD_REFRESH_TOKEN") if exchange => GrantError::BadCode,
        ("invalid_grant", _) | (_, "BAD_REFRESH_TOKEN") => GrantError::Revoked,
        _ => GrantError::Refused {
            status: raw.status.as_u16(),
            code,
        },
    }
}

/// Whether a word is a code, not a sentence that might hold anything.
fn is_code(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= CODE_LENGTH_MAX
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn refusal(status: u16, body: &str, exchange: bool) -> GrantError {
        let raw = Raw {
            status: StatusCode::from_u16(status).expect("status"),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        understand(&raw, exchange, Timestamp(0))
    }

    #[test]
    fn a_revoked_grant_is_told_from_our_own_misconfiguration() {
        let refresh = |body| refusal(400, body, false);
        let dated = r#"{"error":"invalid_grant","error_description":"refresh token is invalid, expired or revoked","status":"BAD_REFRESH_TOKEN","message":"x"}"#;
        assert!(matches!(refresh(dated), GrantError::Revoked));
        let legacy = r#"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token","correlationId":"1"}"#;
        assert!(matches!(refresh(legacy), GrantError::Revoked));
        for ours in [
            r#"{"error":"invalid_client","status":"BAD_CLIENT_SECRET"}"#,
            r#"{"status":"BAD_CLIENT_ID"}"#,
            r#"{"error":"invalid_client"}"#,
            r#"{"error":"invalid_grant","status":"BAD_CLIENT_ID"}"#,
            r#"{"error":"invalid_client","status":"BAD_REFRESH_TOKEN"}"#,
            r#"{"status":"BAD_REDIRECT_URI"}"#,
            r#"{"status":"BAD_SCOPES"}"#,
        ] {
            let error = refresh(ours);
            assert!(matches!(error, GrantError::Misconfigured { .. }), "{ours}");
            assert!(!error.is_retryable());
        }
        let unauthorized = refusal(401, r#"{"error":"invalid_client"}"#, false);
        assert!(matches!(unauthorized, GrantError::Misconfigured { .. }));
    }

    #[test]
    fn what_is_neither_is_tried_again() {
        for (status, body) in [
            (400, "{}"),
            (400, "<html>"),
            (400, r#"{"error":"invalid_request"}"#),
            (401, ""),
            (429, r#"{"policyName":"SECONDLY"}"#),
            (500, r#"{"error":"invalid_grant"}"#),
            (502, "<html>"),
        ] {
            assert!(
                refusal(status, body, false).is_retryable(),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn a_code_that_is_not_accepted_blames_nobodys_grant() {
        for body in [
            r#"{"status":"BAD_AUTH_CODE"}"#,
            r#"{"error":"invalid_grant","status":"BAD_CODE_VERIFIER"}"#,
            r#"{"error":"invalid_grant"}"#,
        ] {
            assert!(
                matches!(refusal(400, body, true), GrantError::BadCode),
                "{body}"
            );
        }
        let denied = r#"{"error":"access_denied","status":"BAD_HUB"}"#;
        assert!(matches!(
            refusal(400, denied, true),
            GrantError::AccessDenied
        ));
    }

    #[test]
    fn a_refusal_repeats_no_sentence() {
        let body = r#"{"error":"token abc of ana@example.com","status":"so be it"}"#;
        assert_eq!(
            refusal(400, body, false).to_string(),
            "HubSpot refused with status 400, without a word"
        );
    }
}
