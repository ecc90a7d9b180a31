//! Alerts by HTTP: signed webhooks, and Slack's incoming ones.
//!
//! A webhook is signed as follows. `Jimo-Timestamp` is the moment in seconds
//! since 1970; `Jimo-Signature` is `v1=` and the HMAC-SHA256, in hexadecimal, of
//! that number, a full stop and the body's bytes, keyed by the channel's secret
//! as it stands. A receiver computes it anew and compares, and refuses moments
//! that are long past. `Jimo-Message` is the same when a message is sent again.

use std::{fmt::Write, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, Response, redirect::Policy};
use serde_json::json;
use sha2::Sha256;
use url::Url;

use super::{
    address::Resolver,
    channel::allowed,
    message::{Message, State},
    sending::Sent,
};
use crate::{host::Host, model::Timestamp, secrets::Secret};

/// The moment that a webhook was signed at, in seconds since 1970.
pub const TIMESTAMP: &str = "jimo-timestamp";
/// The signature.
pub const SIGNATURE: &str = "jimo-signature";
/// The message's number.
pub const MESSAGE: &str = "jimo-message";

/// How long a connection may take to stand.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a request may take, its answer included.
const TOTAL_MAX: Duration = Duration::from_secs(15);
/// The most bytes that are kept of an answer.
const EXCERPT_BYTES_MAX: usize = 200;

/// A webhook's body.
pub(super) fn body(number: &str, message: &Message, link: &Url) -> String {
    let account = message
        .account
        .as_ref()
        .map(|account| json!({"id": account.id, "domain": account.name}));
    json!({
        "id": number,
        "state": message.state,
        "code": message.code,
        "at": message.at,
        "since": message.since,
        "project": message.project,
        "connection": {"id": message.connection.id, "connector": message.connection.name},
        "account": account,
        "title": message.title,
        "detail": message.detail,
        "remedy": message.remedy,
        "link": link.as_str(),
    })
    .to_string()
}

/// The signature of a webhook.
pub fn signature(secret: &Secret, seconds: i64, body: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let mut signature = String::from("v1=");
    for byte in mac.finalize().into_bytes() {
        // Writing to a text cannot fail.
        let _ = write!(signature, "{byte:02x}");
    }
    signature
}

/// Sends a signed webhook.
pub(super) async fn signed(
    host: &Host,
    url: &Url,
    secret: &Secret,
    number: &str,
    body: String,
) -> Sent {
    let Timestamp(milliseconds) = host.clock.now();
    let seconds = milliseconds.div_euclid(1_000);
    let signature = signature(secret, seconds, body.as_bytes());
    let headers = [
        (TIMESTAMP, seconds.to_string()),
        (SIGNATURE, signature),
        (MESSAGE, number.to_owned()),
    ];
    post(host, url, &headers, body).await
}

/// Sends a message to Slack.
pub(super) async fn slack(host: &Host, url: &Url, message: &Message, link: &Url) -> Sent {
    let sign = match message.state {
        State::Began => ":warning:",
        State::Ended => ":white_check_mark:",
        State::Test => ":wave:",
    };
    let mut text = format!(
        "{sign} *{}*\n{}",
        escaped(&message.title),
        escaped(&message.detail)
    );
    if !message.remedy.is_empty() {
        text.push('\n');
        text.push_str(&escaped(&message.remedy));
    }
    let _ = write!(text, "\n<{link}|Open in Jimo>");
    let body = json!({"text": text, "unfurl_links": false}).to_string();
    post(host, url, &[], body).await
}

/// What Slack takes for markup (docs.slack.dev, "Formatting message text").
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

async fn post(host: &Host, url: &Url, headers: &[(&str, String)], body: String) -> Sent {
    let client = match client(host, url) {
        Ok(client) => client,
        Err(refusal) => return Sent::refused(refusal),
    };
    let mut request = client
        .post(url.clone())
        .header("content-type", "application/json")
        .body(body);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    match request.send().await {
        Ok(response) => answered(response).await,
        Err(error) => Sent::refused(failed(&error)),
    }
}

/// A client for one request: alerts are rare, and no connection need be kept.
fn client(host: &Host, url: &Url) -> Result<Client, String> {
    let allowed = allowed(host);
    // It may have been allowed once, when it was added.
    allowed
        .read(url.as_str())
        .map_err(|refused| refused.to_string())?;
    let mut client = Client::builder()
        .user_agent(concat!("jimo-connect/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_MAX)
        .timeout(TOTAL_MAX)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .dns_resolver(std::sync::Arc::new(Resolver(allowed)));
    if url.scheme() == "http" {
        // No TLS is spoken, so a machine without root certificates will do.
        client = client.tls_certs_only([]);
    }
    client
        .build()
        .map_err(|_| "This host cannot speak TLS: are there root certificates on it?".to_owned())
}

async fn answered(mut response: Response) -> Sent {
    let status = response.status();
    let mut excerpt = Vec::new();
    while excerpt.len() < EXCERPT_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        let room = EXCERPT_BYTES_MAX - excerpt.len();
        excerpt.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    let excerpt: String = String::from_utf8_lossy(&excerpt)
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    let mut answer = format!("It answered {status}");
    let excerpt = excerpt.trim();
    if !excerpt.is_empty() {
        let _ = write!(answer, ": {excerpt}");
    } else {
        answer.push('.');
    }
    match status.is_success() {
        true => Sent::taken(answer),
        false if status.is_redirection() => Sent::refused(format!(
            "It answered {status}. Redirects are not followed: name the address that it leads to."
        )),
        false => Sent::refused(answer),
    }
}

/// What went wrong, for people. Nothing of it holds the address.
fn failed(error: &reqwest::Error) -> String {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<super::address::Refused>() {
            return refused.to_string();
        }
        source = cause.source();
    }
    if error.is_timeout() {
        "It did not answer in time.".to_owned()
    } else if error.is_connect() {
        "It could not be reached: no connection could be made.".to_owned()
    } else {
        "It broke off before it had answered.".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_the_moment_and_the_body() {
        let secret = Secret::from("whsec_test");
        // printf '1790000000.{}' | openssl dgst -sha256 -hmac whsec_test
        assert_eq!(
            signature(&secret, 1_790_000_000, b"{}"),
            "v1=1c2847ad1f8158a1da978f36627ac1f07f7fd027321ac9ad40bccc06743f8396"
        );
        assert_ne!(
            signature(&secret, 1_790_000_000, b"{}"),
            signature(&secret, 1_790_000_001, b"{}")
        );
    }

    #[test]
    fn what_slack_takes_for_markup_is_escaped() {
        assert_eq!(escaped("<!channel> & co"), "&lt;!channel&gt; &amp; co");
    }
}
