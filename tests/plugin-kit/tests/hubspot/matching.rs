//! What the HubSpot component matches on, and which properties it needs for it.

use plugin_kit::contract::exports::jimo::connect::describe::SelectionRule;
use plugin_kit::contract::exports::jimo::connect::matching::{
    MatchingRule, Selection, UserIdentifier,
};
use plugin_kit::contract::exports::jimo::connect::parse::BodyKind;
use plugin_kit::settings::property;
use plugin_kit::show;

use crate::kit;

/// Checks what a rule and a selection need: `matching | selection | bookkeeping`, or the error.
fn check_needs(
    object_type: &str,
    rule: Option<(&str, UserIdentifier)>,
    selection: Option<Selection>,
    expected: &str,
) {
    let rule = rule.map(|(words, identifier)| rule_of(object_type, words, identifier));
    let mut instance = kit().instance().expect("an instance");
    let answer = instance
        .needs(object_type, rule.as_ref(), selection.as_ref())
        .expect("no fault");
    let answered = match answer {
        Ok(needs) => [needs.matching, needs.selection, needs.bookkeeping]
            .map(|names| names.join(", "))
            .join(" | "),
        Err(error) => format!("{error:?}"),
    };
    assert_eq!(answered, expected, "{object_type} {rule:?} {selection:?}");
}

/// Checks the match keys of one contact with these properties, as JSON.
fn check_keys(properties: &str, words: &str, identifier: UserIdentifier, expected: &str) {
    let mut instance = kit().instance().expect("an instance");
    let page = format!(r#"[{{"id":"1","properties":{properties}}}]"#);
    let kind = BodyKind::Records("contacts".to_owned());
    let mut pass = instance
        .parse(&kind, page.as_bytes())
        .expect("no fault")
        .expect("an array");
    let keys = pass
        .match_keys(&rule_of("contacts", words, identifier))
        .expect("no fault");
    let answered: Vec<String> = keys.iter().map(show::record_keys).collect();
    assert_eq!(answered.join("; "), expected, "{properties} {words}");
}

fn rule_of(object_type: &str, words: &str, identifier: UserIdentifier) -> MatchingRule {
    MatchingRule {
        object_type: object_type.to_owned(),
        property: property(words).expect("a property"),
        identifier,
    }
}

fn selection(rule: SelectionRule, property: Option<&str>, prefer_open: bool) -> Option<Selection> {
    Some(Selection {
        rule,
        property: property.map(str::to_owned),
        prefer_open,
    })
}

#[test]
fn contacts_need_their_other_addresses_with_their_own() {
    let bookkeeping =
        "lastmodifieddate, createdate, hs_merged_object_ids, hs_calculated_merged_vids";
    let check = |rule, expected: &str| {
        check_needs(
            "contacts",
            rule,
            None,
            &format!("{expected} |  | {bookkeeping}"),
        )
    };
    check(
        Some(("email string text", UserIdentifier::Email)),
        "email, hs_additional_emails",
    );
    check(
        Some(("email string text", UserIdentifier::ExternalId)),
        "email, hs_additional_emails",
    );
    check(
        Some(("work_email string text", UserIdentifier::Email)),
        "work_email",
    );
    check(
        Some(("customer_number number number", UserIdentifier::ExternalId)),
        "customer_number",
    );
    check(None, "");
}

#[test]
fn companies_and_deals_need_their_own_name_of_the_last_modification() {
    let bookkeeping = "hs_lastmodifieddate, createdate, hs_merged_object_ids";
    check_needs("companies", None, None, &format!(" |  | {bookkeeping}"));
    let domain = Some(("domain string text", UserIdentifier::Variable));
    check_needs(
        "companies",
        domain,
        None,
        &format!("domain |  | {bookkeeping}"),
    );
    let largest = selection(SelectionRule::Largest, Some("amount"), true);
    check_needs(
        "deals",
        None,
        largest,
        &format!(" | amount, dealstage | {bookkeeping}"),
    );
    let latest = selection(SelectionRule::LatestModified, None, false);
    check_needs("deals", None, latest, &format!(" |  | {bookkeeping}"));
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    check_needs("tickets", None, None, "RuleError::UnknownObjectType");
    for words in [
        "a bool booleancheckbox",
        "a date date",
        "a datetime date",
        "a enumeration checkbox",
        "a json text",
    ] {
        for identifier in [
            UserIdentifier::Email,
            UserIdentifier::ExternalId,
            UserIdentifier::Variable,
        ] {
            check_needs(
                "contacts",
                Some((words, identifier)),
                None,
                "RuleError::UnsuitableProperty",
            );
        }
    }
    check_needs(
        "contacts",
        Some(("a number number", UserIdentifier::Email)),
        None,
        "RuleError::UnsuitableProperty",
    );
    let refused = "RuleError::UnsupportedSelection";
    check_needs(
        "contacts",
        None,
        selection(SelectionRule::LatestModified, None, false),
        refused,
    );
    check_needs(
        "deals",
        None,
        selection(SelectionRule::Primary, None, false),
        refused,
    );
    check_needs(
        "deals",
        None,
        selection(SelectionRule::Largest, None, false),
        refused,
    );
    check_needs(
        "companies",
        None,
        selection(SelectionRule::LatestCreated, None, true),
        refused,
    );
}

#[test]
fn an_own_address_comes_before_additional_ones() {
    let email = "email string text";
    let properties = r#"{"hs_additional_emails":"b@x.example; c@x.example;;b@x.example","email":" a@x.example "}"#;
    let expected = r#"0: 0 KeyKind::Email "a@x.example", 1 KeyKind::Email "b@x.example", 1 KeyKind::Email "c@x.example""#;
    check_keys(properties, email, UserIdentifier::Email, expected);
    let only_additional = r#"{"email":null,"hs_additional_emails":"b@x.example"}"#;
    check_keys(
        only_additional,
        email,
        UserIdentifier::Email,
        r#"0: 1 KeyKind::Email "b@x.example""#,
    );
}

#[test]
fn the_kind_of_a_key_follows_the_property_and_the_identifier() {
    let properties = r#"{"n":"1.0E3","s":"ABC-1 ","mail":"A@x.example"}"#;
    check_keys(
        properties,
        "n number number",
        UserIdentifier::ExternalId,
        r#"0: 0 KeyKind::Number "1.0E3""#,
    );
    check_keys(
        properties,
        "s string text",
        UserIdentifier::ExternalId,
        r#"0: 0 KeyKind::Id "ABC-1""#,
    );
    check_keys(
        properties,
        "s enumeration select",
        UserIdentifier::Variable,
        r#"0: 0 KeyKind::Id "ABC-1""#,
    );
    check_keys(
        properties,
        "mail string text",
        UserIdentifier::Email,
        r#"0: 0 KeyKind::Email "A@x.example""#,
    );
}

#[test]
fn what_is_hidden_or_not_answered_says_nothing_of_the_keys() {
    for properties in ["{}", r#"{"t":"1"}"#, r#"{"s":"REDACTED"}"#] {
        check_keys(properties, "s string text", UserIdentifier::ExternalId, "");
    }
    check_keys(
        r#"{"email":"a@x.example","hs_additional_emails":"REDACTED"}"#,
        "email string text",
        UserIdentifier::Email,
        "",
    );
}

#[test]
fn what_is_empty_is_no_key() {
    for properties in [r#"{"s":""}"#, r#"{"s":null}"#, r#"{"s":"  "}"#] {
        check_keys(
            properties,
            "s string text",
            UserIdentifier::ExternalId,
            "0: nothing",
        );
    }
    check_keys(
        r#"{"s":"true"}"#,
        "s bool booleancheckbox",
        UserIdentifier::ExternalId,
        "0: nothing",
    );
}
