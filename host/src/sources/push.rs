//! Sources that only push: how they sign, and how an account of theirs is connected.
//!
//! Deliveries are signed as Standard Webhooks says (its specification, "Signature
//! scheme"): `v1,` and the base64 of HMAC-SHA256, by the secret, of the message's id,
//! its moment in seconds, and its body, with a full stop between. A header may have
//! several signatures, of which one has to be good.
//!
//! Whoever connects an account has to show that it is theirs: the source shows each of
//! its customers a connection key, made by the same secret of the account's id.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{SignatureError, Source};
use crate::{
    hubspot,
    model::{AccountKey, Choice, ObjectType, PropertyName, Timestamp},
    plugin::{DefinedProperty, Version},
};

/// The header with the message's id, which is one for all attempts.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the moment of signing, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures, with spaces between.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// How far the moment of signing may be from our clock, either way (Standard Webhooks:
/// its reference libraries).
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The most signatures that are tried: a sender that changes its secret has two.
const SIGNATURES_MAX: usize = 8;

/// A secret has at least so many bytes (Standard Webhooks: 24 to 64).
const SECRET_BYTES_MIN: usize = 24;

/// What a secret may begin with (Standard Webhooks).
const SECRET_PREFIX: &str = "whsec_";

/// The version of the signatures that are known.
const VERSION: &str = "v1,";

/// What a connection key is made of, before the account's id.
const KEY_CONTEXT: &[u8] = b"jimo-connect:";

/// What a request says of its signature, as far as it can be told to be good before the
/// body is there.
#[derive(Clone, Debug)]
pub struct Stamped<'h> {
    id: &'h str,
    timestamp: &'h str,
    signatures: Vec<[u8; 32]>,
}

impl<'h> Stamped<'h> {
    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// All but [`SignatureError::Mismatch`].
    pub fn read(
        id: &'h str,
        timestamp: &'h str,
        signatures: &str,
        now: Timestamp,
    ) -> Result<Self, SignatureError> {
        // Digits alone: the number parser would take a sign, too.
        let seconds = Some(timestamp).filter(|text| text.bytes().all(|one| one.is_ascii_digit()));
        let seconds = seconds.and_then(|text| text.parse::<i64>().ok());
        let signed_at = seconds
            .and_then(|seconds| seconds.checked_mul(1_000))
            .map(Timestamp)
            .ok_or(SignatureError::Malformed)?;
        if signed_at < now.minus(TOLERANCE) || signed_at > now.plus(TOLERANCE) {
            return Err(SignatureError::Untimely);
        }
        // What begins as a connection key does is no message: by a signature of one
        // nobody shall pass for the other.
        if id.as_bytes().starts_with(KEY_CONTEXT) {
            return Err(SignatureError::Malformed);
        }
        let known = signatures.split(' ').filter_map(|one| {
            let decoded = STANDARD.decode(one.strip_prefix(VERSION)?).ok()?;
            decoded.try_into().ok()
        });
        let signatures: Vec<_> = known.take(SIGNATURES_MAX).collect();
        if signatures.is_empty() || id.is_empty() {
            return Err(SignatureError::Malformed);
        }
        Ok(Self {
            id,
            timestamp,
            signatures,
        })
    }

    /// Begins the check, to be fed the body as it comes.
    pub fn begin(self, secret: &SharedSecret) -> Check {
        let mut mac = secret.mac();
        for part in [self.id, ".", self.timestamp, "."] {
            mac.update(part.as_bytes());
        }
        Check {
            mac,
            signatures: self.signatures,
        }
    }
}

/// A check that is under way.
pub struct Check {
    mac: Hmac<Sha256>,
    signatures: Vec<[u8; 32]>,
}

impl Check {
    /// Takes the next part of the body.
    pub fn update(&mut self, part: &[u8]) {
        self.mac.update(part);
    }

    /// Whether one of the signatures is that of all that was taken.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Mismatch`].
    pub fn finish(self) -> Result<(), SignatureError> {
        // Each is compared in constant time.
        let is_good = |signature: &[u8; 32]| self.mac.clone().verify_slice(signature).is_ok();
        match self.signatures.iter().any(is_good) {
            true => Ok(()),
            false => Err(SignatureError::Mismatch),
        }
    }
}

/// Whether a connection key is that of an account: hexadecimal HMAC-SHA256, by the
/// secret, of `jimo-connect:` and the account's id. It has 256 bits, so nobody need
/// count who tries.
pub fn is_key_of(secret: &SharedSecret, account: &AccountKey, key: &str) -> bool {
    let mut mac = secret.mac();
    mac.update(KEY_CONTEXT);
    mac.update(account.as_str().as_bytes());
    // Compares in constant time.
    unhexed(key.trim()).is_some_and(|key| mac.verify_slice(&key).is_ok())
}

/// The bytes that hexadecimal digits say, 32 of them.
fn unhexed(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(2 * index..2 * index + 2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

/// A secret that a source shares with this host. It prints as `***`.
#[derive(Clone)]
pub struct SharedSecret(Zeroizing<Vec<u8>>);

impl SharedSecret {
    fn mac(&self) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length")
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for SharedSecret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
        let bytes = STANDARD_NO_PAD.decode(text.trim_end_matches('='));
        match bytes.map(Zeroizing::new) {
            Ok(bytes) if bytes.len() >= SECRET_BYTES_MIN => Ok(Self(bytes)),
            _ => Err("a secret is the base64 of 24 bytes or more, as of: openssl rand -base64 32"),
        }
    }
}

/// The secrets of the sources that only push, by connector.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<String, SharedSecret>);

impl Secrets {
    /// The secret of a connector's source; none where none is set.
    pub fn of(&self, connector: &str) -> Option<&SharedSecret> {
        self.0.get(connector)
    }
}

/// Reads `NAME=SECRET`, with commas between. What is wrong is said without any of it.
impl FromStr for Secrets {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut secrets = BTreeMap::new();
        for part in text.split(',') {
            let named = part.trim().split_once('=');
            let (name, secret) = named.ok_or("write it as NAME=SECRET, with commas between")?;
            let is_of_name =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            if name.is_empty() || !name.chars().all(is_of_name) {
                return Err("a connector's name is of lower case letters, digits, - and _");
            }
            if Source::of(name) != Source::Push {
                return Err("HubSpot's deliveries are signed by its app's client secret");
            }
            if secrets.insert(name.into(), secret.parse()?).is_some() {
                return Err("a connector has two secrets");
            }
        }
        Ok(Self(secrets))
    }
}

/// The properties of an object type, as its component defines them, by name.
pub fn properties(version: &Version, object_type: &ObjectType) -> Vec<hubspot::Property> {
    let mut properties: Vec<_> = defined(version, object_type).map(property).collect();
    properties.sort_by(|one, other| one.name.cmp(&other.name));
    properties
}

/// The groups that these properties stand in, in the order in which they are told.
pub fn groups(version: &Version, object_type: &ObjectType) -> Vec<hubspot::PropertyGroup> {
    let mut groups: Vec<hubspot::PropertyGroup> = Vec::new();
    for defined in defined(version, object_type) {
        let name = &defined.group;
        if !name.is_empty() && !groups.iter().any(|group| group.name == *name) {
            groups.push(hubspot::PropertyGroup {
                name: name.clone(),
                label: name.clone(),
                display_order: -1,
            });
        }
    }
    groups
}

/// The choices of a property, as its component defines them; none where it has none.
pub fn choices(
    version: &Version,
    object_type: &ObjectType,
    property: &PropertyName,
) -> Option<Vec<Choice>> {
    let mut properties = defined(version, object_type);
    let defined = properties.find(|one| one.definition.name == *property)?;
    (!defined.choices.is_empty()).then(|| defined.choices.clone())
}

fn defined<'v>(
    version: &'v Version,
    object_type: &ObjectType,
) -> impl Iterator<Item = &'v DefinedProperty> {
    let types = version.definitions().unwrap_or_default().iter();
    let of_type = types.filter(move |defined| defined.object_type == *object_type);
    of_type.flat_map(|defined| &defined.properties)
}

fn property(defined: &DefinedProperty) -> hubspot::Property {
    let options = defined.choices.iter().zip(0..);
    hubspot::Property {
        name: defined.definition.name.clone(),
        label: defined.label.clone(),
        description: String::new(),
        property_type: defined.definition.property_type.clone(),
        field_type: defined.definition.field_type.clone(),
        group: defined.group.clone(),
        options: options
            .map(|(choice, display_order)| hubspot::PropertyOption {
                label: choice.label.clone(),
                value: choice.value.clone(),
                hidden: false,
                display_order,
            })
            .collect(),
        external_options: false,
        referenced_object_type: None,
        calculated: false,
        data_sensitivity: None,
        unique: false,
        hidden: false,
        hubspot_defined: false,
        archived: false,
        display_order: -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNED_AT: i64 = 1_614_265_330;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn check(signatures: &str, seconds: i64, body: &[u8]) -> Result<(), SignatureError> {
        let signed_at = SIGNED_AT.to_string();
        let now = Timestamp((SIGNED_AT + seconds) * 1_000);
        let stamped = Stamped::read(ID, &signed_at, signatures, now)?;
        let mut check = stamped.begin(&SECRET.parse().expect("a secret"));
        body.chunks(7).for_each(|part| check.update(part));
        check.finish()
    }

    #[test]
    fn the_known_answer_is_accepted_among_others() {
        assert_eq!(check(SIGNATURE, 0, BODY), Ok(()));
        let other = "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=";
        assert_eq!(
            check(&format!("{other} v1a,abc {SIGNATURE}"), 0, BODY),
            Ok(())
        );
        assert_eq!(check(other, 0, BODY), Err(SignatureError::Mismatch));
        assert_eq!(check(SIGNATURE, 0, b"{}"), Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_either_way() {
        for seconds in [-300, 300] {
            assert_eq!(check(SIGNATURE, seconds, BODY), Ok(()));
        }
        for seconds in [-301, 301] {
            let refused = check(SIGNATURE, seconds, BODY);
            assert_eq!(refused, Err(SignatureError::Untimely));
        }
    }

    #[test]
    fn what_is_no_signature_and_no_moment_is_malformed() {
        for signatures in [
            "",
            "v1,",
            "v2,abc",
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ] {
            assert_eq!(check(signatures, 0, BODY), Err(SignatureError::Malformed));
        }
        for timestamp in ["", "-1", "+1614265330", "soon", "99999999999999999999"] {
            let read = Stamped::read(ID, timestamp, SIGNATURE, Timestamp(0));
            assert!(
                matches!(read, Err(SignatureError::Malformed)),
                "{timestamp}"
            );
        }
    }

    #[test]
    fn a_connection_key_is_no_signature_of_a_delivery() {
        let secret: SharedSecret = SECRET.parse().expect("a secret");
        let mut mac = secret.mac();
        mac.update(b"jimo-connect:x.1614265330.[]");
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let now = Timestamp(SIGNED_AT * 1_000);
        let read = Stamped::read("jimo-connect:x", "1614265330", &signature, now);
        assert!(matches!(read, Err(SignatureError::Malformed)), "{read:?}");
    }

    #[test]
    fn a_connection_key_is_good_for_its_account_alone() {
        let secret: SharedSecret = SECRET.parse().expect("a secret");
        let mut mac = secret.mac();
        mac.update(b"jimo-connect:acme");
        let key = mac.finalize().into_bytes();
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(is_key_of(&secret, &"acme".into(), &format!(" {key}\n")));
        assert!(is_key_of(&secret, &"acme".into(), &key.to_uppercase()));
        assert!(!is_key_of(&secret, &"globex".into(), &key));
        assert!(!is_key_of(&secret, &"acme".into(), &key[2..]));
        assert!(!is_key_of(&secret, &"acme".into(), ""));
        let other = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx"
            .parse()
            .expect("a secret");
        assert!(!is_key_of(&other, &"acme".into(), &key));
    }

    #[test]
    fn secrets_are_read_by_name_and_never_printed() {
        let read: Secrets = format!("webhook={SECRET}, crm-2=MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA==")
            .parse()
            .expect("two secrets");
        assert!(read.of("webhook").is_some() && read.of("crm-2").is_some());
        assert!(read.of("hubspot").is_none());
        assert!(!format!("{read:?}").contains("MfKQ"));
        for (bad, told) in [
            ("", "NAME=SECRET"),
            (SECRET, "NAME=SECRET"),
            ("Webhook=MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "lower case"),
            ("hubspot=MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "app"),
            ("webhook=c2hvcnQ=", "24 bytes"),
            ("webhook=not base64 at all, is it not so", "24 bytes"),
        ] {
            let refused = bad.parse::<Secrets>().expect_err(bad);
            assert!(refused.contains(told), "{bad}: {refused}");
        }
        let twice = format!("webhook={SECRET},webhook={SECRET}");
        assert!(twice.parse::<Secrets>().expect_err("twice").contains("two"));
    }
}
