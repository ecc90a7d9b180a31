//! Signatures of webhooks (HubSpot: validating requests), versions 1 and 3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Version 1: SHA-256 of secret and body, in hexadecimal.
#[must_use]
pub fn v1(secret: &str, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(secret.as_bytes());
    hash.update(body);
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Version 3: HMAC-SHA-256 of method, address, body and timestamp, in base64.
#[must_use]
pub fn v3(secret: &str, method: &str, uri: &str, body: &[u8], timestamp_ms: i64) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(method.as_bytes());
    mac.update(decoded(uri).as_bytes());
    mac.update(body);
    mac.update(timestamp_ms.to_string().as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The address as it is signed: these escapes are undone, all others stay.
fn decoded(uri: &str) -> String {
    const UNDONE: [(&str, &str); 12] = [
        ("%3A", ":"),
        ("%2F", "/"),
        ("%3F", "?"),
        ("%40", "@"),
        ("%21", "!"),
        ("%24", "$"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%3B", ";"),
    ];
    let mut out = uri.to_owned();
    for (escaped, plain) in UNDONE {
        out = out
            .replace(escaped, plain)
            .replace(&escaped.to_ascii_lowercase(), plain);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
    const URI: &str = "https://www.example.com/webhook_uri";
    const B1: &str = r#"[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]"#;
    const B2: &str = r#"[{"eventId":100,"subscriptionId":25,"portalId":33,"appId":1160452,"occurredAt":1790000000000,"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":1246965,"propertyName":"city","propertyValue":"Málaga ☀","changeSource":"CRM_UI"}]"#;

    #[test]
    fn version_1_gives_the_known_answers() {
        assert_eq!(
            v1(SECRET, B1.as_bytes()),
            "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"
        );
        assert_eq!(
            v1(SECRET, B2.as_bytes()),
            "da7318109a987a74c82e533e03d09e6f4c31ccd5e636a7548987e3cc0b468521"
        );
    }

    #[test]
    fn version_3_gives_the_known_answers() {
        let sign = |uri: &str, body: &str, at| v3(SECRET, "POST", uri, body.as_bytes(), at);
        assert_eq!(
            sign(URI, B1, 1_790_000_001_000),
            "M3ap3vTQdZPYQI9USNY2lLWmU2o8Rorx6F1Sq2g+23k="
        );
        assert_eq!(
            sign(URI, B2, 1_790_000_001_000),
            "A4ix2n+6isauz0whJOGFzIoOfhUbE/tk8L/ZjfEtunk="
        );
        assert_eq!(
            sign(URI, "{'example_field':'example_value'}", 1_693_657_560_000),
            "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="
        );
        assert_eq!(
            sign(
                "https://www.example.com/hooks/hubspot?next=https%3A%2F%2Fx.example%2Fa",
                B1,
                1_790_000_001_000
            ),
            "X9gtt8HGTX+sUhqQy0s6Ss1vFxAmXYISd0KjPz42QlY="
        );
    }
}
