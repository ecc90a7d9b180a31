//! Cookies: set so that only this host, and no script, ever sees them.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::host::Host;

/// What stands before cookies' names over HTTPS: browsers take such a cookie from
/// this very host alone, and over HTTPS alone (RFC 6265bis §4.1.3.2).
const PREFIX: &str = "__Host-";

/// What sets a cookie; no life makes a browser forget it.
pub fn set(host: &Host, name: &str, value: &str, life: Duration) -> Option<HeaderValue> {
    let secure = if is_secure(host) { "; Secure" } else { "" };
    let (name, life) = (full_name(host, name), life.as_secs());
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={life}{secure}");
    HeaderValue::from_str(&text).ok()
}

fn is_secure(host: &Host) -> bool {
    host.public_url.scheme() == "https"
}

/// A cookie's name as browsers know it.
fn full_name(host: &Host, name: &str) -> String {
    let prefix = if is_secure(host) { PREFIX } else { "" };
    format!("{prefix}{name}")
}

/// The value of a cookie that came with a request.
pub fn get<'h>(host: &Host, headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let name = full_name(host, name);
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(&name)?.strip_prefix('='))
}
