//! Bodies without what they tell of records that were deleted for privacy.
//!
//! A description names records by their ids alone, without their types: what
//! tells of a record of another type that has the same id goes, too. Of the log
//! only what was applied is rewritten, so nothing is lost by it but for a replay.

use crate::{
    model::RecordId,
    plugin::{BodyDescription, Element, split, without},
    store::erasures::ErasedByAccount,
};

/// What a body is without what it tells of erased records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redacted {
    /// It tells nothing of them.
    Same,
    /// What is left of it.
    Rewritten(Vec<u8>),
    /// Nothing is left of it; or it cannot be taken apart, and names them.
    Nothing,
}

/// Whether an element tells something of an erased record.
pub fn tells_of(element: &Element<'_>, erased: &ErasedByAccount) -> bool {
    let account = element.account.as_ref();
    let of_account = account.and_then(|account| erased.of(account));
    of_account.is_some_and(|erased| element.records.iter().any(|record| erased.contains(record)))
}

/// Leaves out of a body what it tells of erased records. `at`: where its elements
/// stand.
pub fn redact(body: &[u8], at: &BodyDescription, erased: &ErasedByAccount) -> Redacted {
    let Ok(elements) = split(body, at) else {
        return if names_any(body, erased) {
            Redacted::Nothing
        } else {
            Redacted::Same
        };
    };
    let count = elements.iter().filter(|one| tells_of(one, erased)).count();
    if count == 0 {
        Redacted::Same
    } else if count == elements.len() && at.elements.is_empty() {
        Redacted::Nothing
    } else {
        Redacted::Rewritten(without(body, &elements, |one| tells_of(one, erased)))
    }
}

/// Whether the ids of an account and of a record that was erased there stand
/// anywhere in a body that is no JSON.
fn names_any(body: &[u8], erased: &ErasedByAccount) -> bool {
    let in_id = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let words = || {
        let words = body.split(|byte| !in_id(byte));
        words.filter_map(|word| std::str::from_utf8(word).ok())
    };
    erased.accounts().any(|(account, records)| {
        words().any(|word| word == account.as_str())
            && words().any(|word| records.contains(&RecordId::from(word)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(elements: &[&str]) -> BodyDescription {
        let path = |name: &str| vec![name.to_owned()];
        BodyDescription {
            elements: elements.iter().map(ToString::to_string).collect(),
            account: Some(path("account")),
            records: vec![path("id"), path("merged")],
        }
    }

    fn redacted(body: &str, elements: &[&str]) -> Redacted {
        let erased =
            ErasedByAccount::from_iter([("1".into(), "7".into()), ("1".into(), "8".into())]);
        redact(body.as_bytes(), &at(elements), &erased)
    }

    fn rewritten(body: &str) -> Redacted {
        Redacted::Rewritten(body.as_bytes().to_vec())
    }

    #[test]
    fn what_tells_of_an_erased_record_goes_and_the_rest_stays_as_it_stood() {
        let body = r#"[ {"account":1,"id":7} , {"account":1, "id":70},{"account":2,"id":7}]"#;
        let left = r#"[ {"account":1, "id":70},{"account":2,"id":7}]"#;
        assert_eq!(redacted(body, &[]), rewritten(left));
        // By whatever path, and however it is written.
        let body = r#"[{"account":"1","id":3,"merged":[5,"\u0038"]},{"account":1,"id":3}]"#;
        assert_eq!(redacted(body, &[]), rewritten(r#"[{"account":1,"id":3}]"#));
        let body = r#"{"offset":9,"events":[{"account":1,"id":7}],"at":"then"}"#;
        let left = r#"{"offset":9,"events":[],"at":"then"}"#;
        assert_eq!(redacted(body, &["events"]), rewritten(left));
        assert_eq!(
            redacted(r#"[{"account":1,"id":7}]"#, &[]),
            Redacted::Nothing
        );
    }

    #[test]
    fn another_accounts_record_and_what_names_none_stay() {
        for body in [
            r#"[{"account":2,"id":7}]"#,
            r#"[{"id":7}]"#,
            r#"[{"account":1,"id":77,"text":"7"}]"#,
            "[]",
        ] {
            assert_eq!(redacted(body, &[]), Redacted::Same, "{body}");
        }
    }

    #[test]
    fn a_body_that_cannot_be_taken_apart_goes_if_both_ids_stand_in_it() {
        for (body, left) in [
            (r#"[{"account":1,"id":7"#, Redacted::Nothing),
            (r#"[{"account":2,"id":7"#, Redacted::Same),
            (r#"[{"account":1,"id":77"#, Redacted::Same),
            (r#"[{"account":1,"id":"x7"#, Redacted::Same),
        ] {
            assert_eq!(redacted(body, &[]), left, "{body}");
        }
    }
}
