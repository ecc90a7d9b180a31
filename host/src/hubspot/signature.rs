//! HubSpot's signatures of what it sends us (HubSpot: request validation
//! guide). Version 3 alone: version 1 has no clock, so could be replayed.

use std::{borrow::Cow, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{model::Timestamp, secrets::Secret};

/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "x-hubspot-signature-v3";
/// The header with the moment of signing, in milliseconds since 1970.
pub const TIMESTAMP_HEADER: &str = "x-hubspot-request-timestamp";
/// A signature is good for this long (HubSpot: request validation guide).
pub const AGE_MAX: Duration = Duration::from_millis(300_000);
/// How far HubSpot's clock may be ahead of ours. HubSpot sets no such limit; a
/// signature from further ahead could be replayed for longer than [`AGE_MAX`].
pub const SKEW_MAX: Duration = Duration::from_millis(60_000);

/// What HubSpot decodes in the address before it signs, and nothing else
/// (HubSpot: request validation guide).
const DECODED: [(&str, char); 12] = [
    ("3A", ':'),
    ("2F", '/'),
    ("3F", '?'),
    ("40", '@'),
    ("21", '!'),
    ("24", '$'),
    ("27", '\''),
    ("28", '('),
    ("29", ')'),
    ("2A", '*'),
    ("2C", ','),
    ("3B", ';'),
];

/// Why a request is not believed to be HubSpot's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The moment of signing is no number of milliseconds.
    #[error("the request's timestamp is not a number of milliseconds")]
    MalformedTimestamp,
    /// It was signed more than [`AGE_MAX`] ago.
    #[error("the request was signed more than five minutes ago")]
    Stale,
    /// It was signed more than [`SKEW_MAX`] ahead of our clock.
    #[error("the request was signed in the future")]
    Future,
    /// The signature is not base64 of 32 bytes.
    #[error("the signature is malformed")]
    MalformedSignature,
    /// The signature is another one: of another secret, address or body.
    #[error("the signature does not match")]
    Mismatch,
}

/// Checks a version 3 signature: base64 of HMAC-SHA-256, with the app's client
/// secret, of method, address, body and timestamp.
///
/// `uri` is the address as it is configured at HubSpot: scheme, host, path and
/// query, not what a proxy passes on. `body` is the bytes as they came.
///
/// # Errors
///
/// The first [`SignatureError`] that applies, in the order of its cases.
pub fn verify_v3(
    secret: &Secret,
    method: &str,
    uri: &str,
    body: &[u8],
    timestamp_header: &str,
    signature_header: &str,
    now: Timestamp,
) -> Result<(), SignatureError> {
    let stamped = Stamped::read(timestamp_header, signature_header, now)?;
    let mut check = stamped.begin(secret, method, uri);
    check.update(body);
    check.finish()
}

/// What a request says of its signature, as far as it can be told to be good
/// before the body is there.
#[derive(Clone, Copy, Debug)]
pub struct Stamped<'h> {
    timestamp: &'h str,
    signature: [u8; 32],
}

impl<'h> Stamped<'h> {
    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// As [`verify_v3`], but for [`SignatureError::Mismatch`].
    pub fn read(
        timestamp_header: &'h str,
        signature_header: &str,
        now: Timestamp,
    ) -> Result<Self, SignatureError> {
        check_timestamp(timestamp_header, now)?;
        let signature = STANDARD
            .decode(signature_header)
            .map_err(|_| SignatureError::MalformedSignature)?;
        Ok(Self {
            timestamp: timestamp_header,
            signature: signature
                .try_into()
                .map_err(|_| SignatureError::MalformedSignature)?,
        })
    }

    /// Begins the check, to be fed the body as it comes.
    pub fn begin(self, secret: &Secret, method: &str, uri: &str) -> Check<'h> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
            .expect("HMAC takes keys of any length");
        mac.update(method.to_ascii_uppercase().as_bytes());
        mac.update(decode_uri(uri).as_bytes());
        Check { mac, stamped: self }
    }
}

/// A check that is under way.
pub struct Check<'h> {
    mac: Hmac<Sha256>,
    stamped: Stamped<'h>,
}

impl Check<'_> {
    /// Takes the next part of the body.
    pub fn update(&mut self, part: &[u8]) {
        self.mac.update(part);
    }

    /// Whether the signature is that of all that was taken.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Mismatch`].
    pub fn finish(mut self) -> Result<(), SignatureError> {
        self.mac.update(self.stamped.timestamp.as_bytes());
        // Compares in constant time.
        self.mac
            .verify_slice(&self.stamped.signature)
            .map_err(|_| SignatureError::Mismatch)
    }
}

/// Checks the moment of signing alone.
fn check_timestamp(timestamp_header: &str, now: Timestamp) -> Result<(), SignatureError> {
    let signed_at = parse_timestamp(timestamp_header)?;
    if signed_at < now.minus(AGE_MAX) {
        return Err(SignatureError::Stale);
    }
    if signed_at > now.plus(SKEW_MAX) {
        return Err(SignatureError::Future);
    }
    Ok(())
}

/// Digits alone: the number parser would take a sign, too.
fn parse_timestamp(text: &str) -> Result<Timestamp, SignatureError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SignatureError::MalformedTimestamp);
    }
    text.parse()
        .map(Timestamp)
        .map_err(|_| SignatureError::MalformedTimestamp)
}

/// The address as HubSpot signs it. One pass: what decoding makes is not
/// decoded again.
fn decode_uri(uri: &str) -> Cow<'_, str> {
    if !uri.contains('%') {
        return Cow::Borrowed(uri);
    }
    let mut out = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let decoded = rest.get(..2).and_then(|code| {
            DECODED
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(code))
        });
        match decoded {
            Some((_, character)) => {
                out.push(*character);
                rest = &rest[2..];
            }
            None => out.push('%'),
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
    const TARGET: &str = "https://www.example.com/webhook_uri";
    const CREATION: &str = r#"[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]"#;
    const CREATION_SIGNATURE: &str = "M3ap3vTQdZPYQI9USNY2lLWmU2o8Rorx6F1Sq2g+23k=";
    const CHANGE: &str = r#"[{"eventId":100,"subscriptionId":25,"portalId":33,"appId":1160452,"occurredAt":1790000000000,"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":1246965,"propertyName":"city","propertyValue":"Málaga ☀","changeSource":"CRM_UI"}]"#;
    const SIGNED_AT: &str = "1790000001000";

    fn check(
        uri: &str,
        body: &str,
        stamp: &str,
        signature: &str,
        now: i64,
    ) -> Result<(), SignatureError> {
        verify_v3(
            &Secret::from(SECRET),
            "POST",
            uri,
            body.as_bytes(),
            stamp,
            signature,
            Timestamp(now),
        )
    }

    fn check_creation(now: i64) -> Result<(), SignatureError> {
        check(TARGET, CREATION, SIGNED_AT, CREATION_SIGNATURE, now)
    }

    #[test]
    fn the_known_answers_are_accepted() {
        assert_eq!(CREATION.len(), 207);
        assert_eq!(CHANGE.len(), 251);
        assert_eq!(check_creation(1_790_000_001_000), Ok(()));
        assert_eq!(
            check(
                TARGET,
                CHANGE,
                SIGNED_AT,
                "A4ix2n+6isauz0whJOGFzIoOfhUbE/tk8L/ZjfEtunk=",
                1_790_000_001_500
            ),
            Ok(())
        );
        // Published in the tests of HubSpot's Python SDK.
        assert_eq!(
            check(
                TARGET,
                "{'example_field':'example_value'}",
                "1693657560000",
                "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=",
                1_693_657_560_000
            ),
            Ok(())
        );
    }

    #[test]
    fn the_query_is_decoded_as_the_guide_says() {
        let uri = "https://www.example.com/hooks/hubspot?next=https%3A%2F%2Fx.example%2Fa";
        let check = |signature| check(uri, CREATION, SIGNED_AT, signature, 1_790_000_001_000);
        assert_eq!(
            check("X9gtt8HGTX+sUhqQy0s6Ss1vFxAmXYISd0KjPz42QlY="),
            Ok(())
        );
        assert_eq!(
            check("C7ym+PsIae3ZdTSPDdi1w8SUGQD+z4meTfjJntOLEug="),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn only_the_listed_codes_are_decoded_and_once() {
        assert_eq!(
            decode_uri("/a%3A%2f%3F%40%21%24%27%28%29%2A%2C%3B"),
            "/a:/?@!$'()*,;"
        );
        assert_eq!(
            decode_uri("/?a=%20%26%3D%25%253A%2B#%C3%A9"),
            "/?a=%20%26%3D%25%253A%2B#%C3%A9"
        );
        assert_eq!(decode_uri("/%3"), "/%3");
        assert_eq!(decode_uri("/%"), "/%");
        assert_eq!(decode_uri("/%é%3A"), "/%é:");
    }

    #[test]
    fn five_minutes_are_the_limit_and_the_future_is_refused() {
        let signed_at = 1_790_000_001_000;
        assert_eq!(check_creation(signed_at + 300_000), Ok(()));
        assert_eq!(
            check_creation(signed_at + 300_001),
            Err(SignatureError::Stale)
        );
        assert_eq!(check_creation(signed_at - 60_000), Ok(()));
        assert_eq!(
            check_creation(signed_at - 60_001),
            Err(SignatureError::Future)
        );
    }

    #[test]
    fn a_stamp_is_digits_alone() {
        let now = 1_790_000_001_000;
        for stamp in [
            "",
            "now",
            " 1790000001000",
            "+1790000001000",
            "-1",
            "1790000001000.0",
            "0x1a0",
            "NaN",
            "1e12",
            "99999999999999999999",
            "١٢٣",
        ] {
            assert_eq!(
                check(TARGET, CREATION, stamp, CREATION_SIGNATURE, now),
                Err(SignatureError::MalformedTimestamp),
                "{stamp}"
            );
        }
        assert_eq!(
            check(TARGET, CREATION, "0", CREATION_SIGNATURE, now),
            Err(SignatureError::Stale)
        );
        assert_eq!(
            check(
                TARGET,
                CREATION,
                "9223372036854775807",
                CREATION_SIGNATURE,
                now
            ),
            Err(SignatureError::Future)
        );
    }

    #[test]
    fn any_other_method_address_body_stamp_or_secret_is_refused() {
        let now = 1_790_000_001_000;
        let with = |secret: &str, method: &str, uri: &str, body: &str, stamp: &str| {
            verify_v3(
                &Secret::from(secret),
                method,
                uri,
                body.as_bytes(),
                stamp,
                CREATION_SIGNATURE,
                Timestamp(now),
            )
        };
        assert_eq!(with(SECRET, "post", TARGET, CREATION, SIGNED_AT), Ok(()));
        let http = TARGET.replace("https", "http");
        for refused in [
            with("another", "POST", TARGET, CREATION, SIGNED_AT),
            with(SECRET, "PUT", TARGET, CREATION, SIGNED_AT),
            with(SECRET, "POST", &http, CREATION, SIGNED_AT),
            with(SECRET, "POST", &format!("{TARGET}/"), CREATION, SIGNED_AT),
            with(
                SECRET,
                "POST",
                TARGET,
                &CREATION.replace("123", "124"),
                SIGNED_AT,
            ),
            with(SECRET, "POST", TARGET, "", SIGNED_AT),
            with(SECRET, "POST", TARGET, CREATION, "1790000001001"),
        ] {
            assert_eq!(refused, Err(SignatureError::Mismatch));
        }
    }

    #[test]
    fn a_body_that_comes_in_parts_is_the_same_body() {
        let now = Timestamp(1_790_000_001_000);
        let stamped = Stamped::read(SIGNED_AT, CREATION_SIGNATURE, now).expect("stamped");
        let mut check = stamped.begin(&Secret::from(SECRET), "POST", TARGET);
        for part in CREATION.as_bytes().chunks(7) {
            check.update(part);
        }
        assert_eq!(check.finish(), Ok(()));
        let without = stamped.begin(&Secret::from(SECRET), "POST", TARGET);
        assert_eq!(without.finish(), Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_malformed_signature_is_refused() {
        let now = 1_790_000_001_000;
        for signature in [
            "",
            "%%%",
            "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de",
            "M3ap3vTQdZPYQI9USNY2lLWmU2o8Rorx6F1Sq2g+",
        ] {
            assert_eq!(
                check(TARGET, CREATION, SIGNED_AT, signature, now),
                Err(SignatureError::MalformedSignature),
                "{signature}"
            );
        }
    }
}
