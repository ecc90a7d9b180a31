//! How the host splits bodies, without a plugin.

use jimo_connect::plugin::{BodyDescription, Element, SplitError, join, split};

fn described(elements: &[&str], account: Option<&[&str]>, records: &[&[&str]]) -> BodyDescription {
    let path = |steps: &[&str]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
    BodyDescription {
        elements: path(elements),
        account: account.map(path),
        records: records.iter().map(|steps| path(steps)).collect(),
    }
}

fn delivery() -> BodyDescription {
    described(
        &[],
        Some(&["portalId"]),
        &[&["objectId"], &["merge", "into"], &["mergedIds"]],
    )
}

/// Each element's account and records, as one text.
fn ids(body: &str) -> Vec<String> {
    let text = |element: &Element<'_>| {
        let records: Vec<&str> = element.records.iter().map(|id| id.as_str()).collect();
        let account = element
            .account
            .as_ref()
            .map_or("none", |account| account.as_str());
        format!("{account}: {}", records.join(" "))
    };
    split(body.as_bytes(), &delivery())
        .expect("elements")
        .iter()
        .map(text)
        .collect()
}

#[test]
fn an_element_is_its_bytes_its_account_and_its_records() {
    let body = r#" [ {"portalId": 62515, "objectId" : "12" }, {"x":1.50,"portalId":"7"} ] "#;
    let elements = split(body.as_bytes(), &delivery()).expect("elements");
    assert_eq!(
        elements[0].bytes,
        br#"{"portalId": 62515, "objectId" : "12" }"#
    );
    assert_eq!(elements[1].bytes, br#"{"x":1.50,"portalId":"7"}"#);
    assert_eq!(ids(body), ["62515: 12", "7: "]);
}

#[test]
fn records_are_named_by_all_paths_each_once_the_own_first() {
    let body = r#"[
        {"mergedIds":[3,"4",5,null,{}],"merge":{"into":5},"objectId":2,"portalId":1},
        {"mergedIds":"9","portalId":1},
        {"mergedIds":[],"merge":[],"objectId":{},"portalId":1}]"#;
    assert_eq!(ids(body), ["1: 2 5 3 4", "1: 9", "1: "]);
}

#[test]
fn an_id_keeps_its_digits_and_what_could_be_spelled_otherwise_is_none() {
    let largest = "123456789012345678901234567890";
    for (id, read) in [
        (largest, largest),
        ("0", "0"),
        (r#""0012""#, "0012"),
        (r#""a\u0062\n""#, "none"),
        (r#""a\u0062""#, "ab"),
        ("1e3", "none"),
        ("1.0", "none"),
        ("-1", "none"),
        ("null", "none"),
        ("true", "none"),
        ("[1]", "none"),
        (r#""""#, "none"),
    ] {
        assert_eq!(
            ids(&format!(r#"[{{"portalId":{id}}}]"#)),
            [format!("{read}: ")],
            "{id}"
        );
    }
    let id = |length| format!(r#"[{{"portalId":"{}"}}]"#, "x".repeat(length));
    assert_eq!(ids(&id(255)), [format!("{}: ", "x".repeat(255))]);
    assert_eq!(ids(&id(256)), ["none: "]);
}

#[test]
fn elements_that_are_no_objects_stand_for_themselves() {
    assert_eq!(ids(r#"[1,"two",null,[{"portalId":1}],{}]"#), ["none: "; 5]);
}

#[test]
fn the_elements_of_a_page_stand_within_it() {
    let page = described(&["data", "results"], None, &[&["from", "id"]]);
    let body = br#"{"paging":{"results":[1]},"data":{"results":[{"from":{"id":"5"}}]},"z":[[]]}"#;
    let elements = split(body, &page).expect("elements");
    assert_eq!(elements.len(), 1);
    assert_eq!(elements[0].account, None);
    assert_eq!(elements[0].records[0].as_str(), "5");
}

#[test]
fn a_body_without_elements_is_told_from_one_that_is_no_json() {
    let page = described(&["results"], None, &[&["id"]]);
    for body in [
        "{}",
        r#"{"results":{}}"#,
        r#"{"results":null}"#,
        "[]",
        "7",
        r#"{"data":[]}"#,
    ] {
        assert_eq!(
            split(body.as_bytes(), &page),
            Err(SplitError::NoElements),
            "{body}"
        );
    }
    for body in [
        r#"{"results":[}"#,
        r#"{"results":[]"#,
        "",
        r#"{"results":[]} x"#,
        "\u{feff}{}",
    ] {
        let error = split(body.as_bytes(), &page).expect_err(body);
        assert!(
            matches!(error, SplitError::NotJson { .. }),
            "{body}: {error}"
        );
    }
    let error = split(b"{\"results\":[\"\xff\"]}", &page).expect_err("not UTF-8");
    assert!(matches!(error, SplitError::NotJson { .. }), "{error}");
}

#[test]
fn deep_nesting_costs_no_stack() {
    let depth = 1_000_000;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let body = format!(r#"[{{"deep":{deep},"portalId":1}},{{"portalId":{deep}}},{deep}]"#);
    assert_eq!(ids(&body), ["1: ", "none: ", "none: "]);
}

#[test]
fn what_was_split_is_put_together_again() {
    let body = br#"[ {"a":1} , 2,"three" ]"#;
    let elements = split(body, &delivery()).expect("elements");
    assert_eq!(
        join(elements.iter().map(|e| e.bytes)),
        br#"[{"a":1},2,"three"]"#
    );
    assert_eq!(join(std::iter::empty()), b"[]");
}
