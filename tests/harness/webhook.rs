//! A source that only pushes, as `tests/webhook-connector` understands it: how it signs,
//! and the keys that it shows its customers.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use jimo_connect::clock::Clock;
use serde_json::Value as Json;
use sha2::Sha256;

use crate::bare::client;

/// The name of its connector.
pub const CONNECTOR: &str = "webhook";

/// Its secret.
const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";

/// The setting that tells hosts of tests its secret.
pub fn secrets() -> String {
    format!("{CONNECTOR}=whsec_{}", STANDARD.encode(SECRET))
}

/// The connection key of an account.
pub fn connection_key(account: &str) -> String {
    let key = mac(&[b"jimo-connect:", account.as_bytes()]);
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature of a delivery.
pub fn signature(id: &str, seconds: i64, body: &[u8]) -> String {
    let signed = mac(&[
        id.as_bytes(),
        b".",
        seconds.to_string().as_bytes(),
        b".",
        body,
    ]);
    format!("v1,{}", STANDARD.encode(signed))
}

/// Sends a signed delivery to an address, and returns the status.
pub async fn push(url: &str, elements: &Json) -> u16 {
    let body = elements.to_string().into_bytes();
    let seconds = Clock::system().now().0 / 1_000;
    let signed = signature("msg_1", seconds, &body);
    send(url, "msg_1", seconds, &signed, body).await
}

/// Sends a delivery with these headers, and returns the status.
pub async fn send(url: &str, id: &str, seconds: i64, signature: &str, body: Vec<u8>) -> u16 {
    let sent = client()
        .post(url)
        .header("webhook-id", id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signature)
        .header("content-type", "application/json")
        .body(body);
    sent.send().await.unwrap().status().as_u16()
}

fn mac(parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}
