//! A look at the first event of a delivery: whose it is, at the cost of that
//! one event, whatever follows.
//!
//! A delivery is of one app and mostly of one account. Whose it is the pipeline
//! decides again for each event; that it is of another app is decided here alone.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{Deserialize, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Whose the first event of a delivery is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstEvent {
    /// The account; none where it names none, or what it names is no number.
    pub portal_id: Option<u64>,
    /// The app, likewise.
    pub app_id: Option<u64>,
}

/// The first event of a body; none where there is none, or it is no JSON
/// object. The rest of the body may be anything: it is not looked at.
pub fn first_event(body: &[u8]) -> Option<FirstEvent> {
    let events = body.trim_ascii_start().strip_prefix(b"[")?;
    let mut values = serde_json::Deserializer::from_slice(events).into_iter();
    values.next()?.ok()
}

impl<'de> Deserialize<'de> for FirstEvent {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = FirstEvent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<FirstEvent, M::Error> {
        let mut event = FirstEvent::default();
        while let Some(Text(key)) = map.next_key()? {
            let held = match &*key {
                "portalId" => &mut event.portal_id,
                "appId" => &mut event.app_id,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value = map.next_value::<&RawValue>()?.get();
            // A null is no id, and no reason to forget one.
            if value != "null" {
                *held = id(value);
            }
        }
        Ok(event)
    }
}

/// An id: a number's digits, or a text of digits. With a sign, a fraction or an
/// exponent it is none.
fn id(raw: &str) -> Option<u64> {
    let quoted = raw
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let digits = quoted.unwrap_or(raw);
    // The number parser would take a sign, too.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// A JSON text, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn event(portal_id: impl Into<Option<u64>>, app_id: impl Into<Option<u64>>) -> FirstEvent {
        FirstEvent {
            portal_id: portal_id.into(),
            app_id: app_id.into(),
        }
    }

    #[test]
    fn the_first_event_says_whose_a_delivery_is() {
        let body = br#"[{"eventId":1,"portalId":62515,"appId":54321,"objectId":123},{"portalId":7,"appId":8}]"#;
        assert_eq!(first_event(body), Some(event(62_515, 54_321)));
        let spaced = b" \r\n\t[ { \"appId\" : 5 , \"portalId\" : 6 } ] ";
        assert_eq!(first_event(spaced), Some(event(6, 5)));
        let largest = br#"[{"portalId":18446744073709551615,"appId":0}]"#;
        assert_eq!(first_event(largest), Some(event(u64::MAX, 0)));
    }

    #[test]
    fn what_follows_the_first_event_is_not_looked_at() {
        for rest in ["", "]", ",", "]]]", "{{{", ",\u{0}", ",1e999999", "xyz"] {
            let body = format!(r#"[{{"portalId":1,"appId":2}}{rest}"#);
            assert_eq!(first_event(body.as_bytes()), Some(event(1, 2)), "{rest}");
        }
        let mut not_text = br#"[{"portalId":1,"appId":2},"#.to_vec();
        not_text.extend([0xff, 0xfe]);
        assert_eq!(first_event(&not_text), Some(event(1, 2)));
    }

    #[test]
    fn an_id_may_be_a_text_and_what_is_no_number_is_none() {
        let portal = |value: &str| {
            let body = format!(r#"[{{"portalId":{value},"appId":2}}]"#);
            let found = first_event(body.as_bytes());
            let found = found.unwrap_or_else(|| panic!("{value}"));
            assert_eq!(found.app_id, Some(2), "{value}");
            found.portal_id
        };
        assert_eq!(portal("\"62515\""), Some(62_515));
        for odd in [
            "null",
            "true",
            "-1",
            "1.0",
            "1e3",
            "18446744073709551616",
            "\"\"",
            "\"+1\"",
            "\"-1\"",
            "\" 1\"",
            "\"1\\u0030\"",
            "\"x\"",
            "\"١٢٣\"",
            "[1]",
            "{\"portalId\":1}",
        ] {
            assert_eq!(portal(odd), None, "{odd}");
        }
    }

    #[test]
    fn of_a_name_given_twice_the_last_counts_unless_it_is_null() {
        let twice = br#"[{"portalId":1,"portalId":2,"appId":3,"appId":null}]"#;
        assert_eq!(first_event(twice), Some(event(2, 3)));
        // An escape does not make another name of it.
        let escaped = br#"[{"portal\u0049d":4}]"#;
        assert_eq!(first_event(escaped), Some(event(4, None)));
    }

    #[test]
    fn names_inside_other_values_and_in_other_cases_are_not_meant() {
        let nested = br#"[{"a":{"portalId":1},"b":[{"appId":2}],"PortalId":3,"appid":4}]"#;
        assert_eq!(first_event(nested), Some(FirstEvent::default()));
    }

    #[test]
    fn what_has_no_first_event_has_none() {
        for body in [
            "",
            " ",
            "[",
            "[]",
            "[ ]",
            "{}",
            "hello",
            "[1]",
            "[null]",
            "[[{\"portalId\":1}]]",
            "[\"portalId\"]",
            "[,{\"portalId\":1}]",
            "[{\"portalId\":1",
            "[{\"portalId\":}]",
            "[{portalId:1}]",
            "\u{feff}[{\"portalId\":1}]",
        ] {
            assert_eq!(first_event(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
        let body = format!(r#"[{{"deep":{deep},"portalId":{deep},"appId":1}}]"#);
        assert_eq!(first_event(body.as_bytes()), Some(event(None, 1)));
        let only = "[".repeat(1 << 20);
        assert_eq!(first_event(only.as_bytes()), None);
    }
}
