//! The page that was asked for by a browser that was not signed in, kept in a
//! cookie until it is.

use std::time::Duration;

use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderValue, Method,
        header::{ACCEPT, REFERER},
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use url::Url;

use crate::{
    host::Host,
    web::{cookies, session::LINK_LIFE},
};

/// The cookie's name.
const COOKIE_NAME: &str = "jimo_wanted";

/// The longest path that is kept, with its query.
const PATH_LENGTH_MAX: usize = 1_000;

/// The path of a page that a person asks for: no form, no stream of events.
pub fn of(request: &Request) -> Option<String> {
    let accepts = request.headers().get(ACCEPT)?.to_str().ok()?;
    let path = request.uri().path_and_query()?.as_str();
    let is_page = request.method() == Method::GET && accepts.contains("text/html");
    (is_page && is_own(path)).then(|| path.to_owned())
}

/// The cookie that keeps a path.
pub fn remember(host: &Host, path: &str) -> Option<HeaderValue> {
    let value = URL_SAFE_NO_PAD.encode(path);
    cookies::set(host, COOKIE_NAME, &value, LINK_LIFE)
}

/// The path that a browser's cookie keeps.
pub fn recall(host: &Host, headers: &HeaderMap) -> Option<String> {
    let value = cookies::get(host, headers, COOKIE_NAME)?;
    let path = String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?;
    is_own(&path).then_some(path)
}

/// What makes a browser forget it.
pub fn forget(host: &Host) -> Option<HeaderValue> {
    cookies::set(host, COOKIE_NAME, "", Duration::ZERO)
}

/// The path of the page that a form was sent from.
pub fn form_of(request: &Request) -> Option<String> {
    let referer = request.headers().get(REFERER)?.to_str().ok()?;
    let url = Url::parse(referer).ok()?;
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    (request.method() == Method::POST && is_own(&path)).then_some(path)
}

/// Whether a path leads to no other host: browsers read `//` and `/\\` as the
/// beginning of one.
fn is_own(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= PATH_LENGTH_MAX
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_host_are_gone_to() {
        for good in ["/", "/users?q=a%20b&after=usr_1", "/demo/hubspot/deals/1"] {
            assert!(is_own(good), "{good}");
        }
        for bad in [
            "",
            "users",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/users\r\nSet-Cookie: a=b",
            "/ü",
            &format!("/{}", "a".repeat(PATH_LENGTH_MAX)),
        ] {
            assert!(!is_own(bad), "{bad}");
        }
    }
}
