//! Every type of property to every type of variable, in every form that HubSpot writes.

use plugin_kit::contract::exports::jimo::connect::transform::{
    Choice, FieldMapping, OptionTable, Shown, StoredText,
};
use plugin_kit::settings::{property, variable_type};
use plugin_kit::show;

use crate::kit;

/// Checks what a text of a property becomes. `words` are `TYPE FIELD-TYPE -> VARIABLE-TYPE`, with `label` behind where
/// labels are shown.
fn check(words: &str, text: &str, expected: &str) {
    let (typed, target) = words
        .split_once(" -> ")
        .expect("TYPE FIELD-TYPE -> VARIABLE-TYPE");
    let (target, label) = target.split_once(' ').unwrap_or((target, ""));
    let field = FieldMapping {
        object_type: "contacts".to_owned(),
        property: property(&format!("p {typed}")).expect("a property"),
        target: variable_type(target).expect("a type of variables"),
        show: if label == "label" {
            Shown::Label
        } else {
            Shown::InternalValue
        },
        options: Some(0),
    };
    let choice = |(value, label): (&str, &str)| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        closed: None,
    };
    let choices = [
        ("r", "Red"),
        ("b", "Deep blue"),
        ("n", "nul\0"),
        ("e", ""),
        ("true", "Yes"),
        ("false", "No"),
    ];
    let tables = [OptionTable {
        choices: choices.map(choice).to_vec(),
    }];
    let texts = [StoredText {
        field: 0,
        text: text.to_owned(),
    }];
    let mut instance = kit().instance().expect("an instance");
    let outcomes = instance
        .convert_stored(&texts, &[field], &tables)
        .expect("no fault");
    let answered: Vec<String> = outcomes.iter().map(show::outcome).collect();
    assert_eq!(answered, [expected], "{words}: {text:?}");
}

const MALFORMED: &str = "unreadable: malformed";
const OUT_OF_RANGE: &str = "unreadable: out of range";
const REDACTED: &str = "unreadable: redacted";

const ALL: [&str; 19] = [
    "string text -> text",
    "string phonenumber -> text",
    "mystery -> text",
    "number number -> number",
    "number number -> text",
    "bool booleancheckbox -> boolean",
    "bool booleancheckbox -> text",
    "enumeration booleancheckbox -> boolean",
    "date date -> date",
    "date date -> datetime",
    "date date -> text",
    "datetime date -> datetime",
    "datetime date -> date",
    "datetime date -> text",
    "enumeration select -> text",
    "enumeration select -> list",
    "enumeration checkbox -> list",
    "enumeration checkbox -> text",
    "enumeration checkbox -> list label",
];

#[test]
fn the_empty_text_empties_any_variable_and_a_hidden_one_none() {
    for words in ALL {
        check(words, "", "empty");
        check(words, "REDACTED", REDACTED);
    }
}

#[test]
fn text_is_kept_as_it_is_written() {
    check("string text -> text", " Ana\n✓ ", r#"text " Ana\n✓ ""#);
    check(
        "string phonenumber -> text",
        "+33 (0)1 23",
        r#"text "+33 (0)1 23""#,
    );
    check("mystery -> text", "x", r#"text "x""#);
    check("number number -> text", "1.25E+3", r#"text "1.25E+3""#);
    check("enumeration select -> text", "r", r#"text "r""#);
    check("enumeration checkbox -> text", ";r;b", r#"text ";r;b""#);
    check("string text -> text", "a\0b", MALFORMED);
}

#[test]
fn seven_hundred_characters_fit_and_one_more_does_not() {
    let most = "é".repeat(700);
    check("string text -> text", &most, &format!("text {most:?}"));
    check(
        "string text -> text",
        &"é".repeat(701),
        "unreadable: too long, 701 characters",
    );
    check(
        "string text -> text",
        &"x".repeat(65_536),
        "unreadable: too long, 65536 characters",
    );
    let (half, more) = ("a".repeat(350), "b".repeat(350));
    check(
        "enumeration checkbox -> list",
        &format!("{half};{more}"),
        &format!("list [{half:?}, {more:?}]"),
    );
    check(
        "enumeration checkbox -> list",
        &format!("{half};{more};c"),
        "unreadable: too long, 701 characters",
    );
}

#[test]
fn numbers_are_decimal_or_scientific() {
    let check = |text, expected| check("number number -> number", text, expected);
    check("1250.5", "number 1250.5");
    check("-0", "number 0");
    check("+7", "number 7");
    check(".5", "number 0.5");
    check("1.5E3", "number 1500");
    check("1e-2", "number 0.01");
    check(" 42 ", "number 42");
    check("0.1234567890123456789", "number 0.12345678901234568");
    check("000000000000000000012", "number 12");
    for text in [
        "1,250", "12 000", "NaN", "inf", "Infinity", "0x10", "1e", "e5", ".", "-", "1.2.3", "--1",
        "٣", "€5",
    ] {
        check(text, MALFORMED);
    }
}

#[test]
fn an_integer_that_a_float_cannot_hold_is_out_of_range() {
    let check = |text: &str, expected| check("number number -> number", text, expected);
    check("9007199254740991", "number 9007199254740991");
    check("9007199254740992", "number 9007199254740992");
    check("9007199254740993", OUT_OF_RANGE);
    check("-9007199254740993", OUT_OF_RANGE);
    check("9007199254740994", "number 9007199254740994");
    check("9007199254740994.000", "number 9007199254740994");
    check("9007199254740994.5", OUT_OF_RANGE);
    check("1e22", "number 10000000000000000000000");
    check("1e23", OUT_OF_RANGE);
    check("1e999", OUT_OF_RANGE);
    check("1e99999999999999999999", OUT_OF_RANGE);
    check("1e-400", OUT_OF_RANGE);
    check("0e99999999999999999999", "number 0");
    check(&format!("1{}", "0".repeat(65_000)), OUT_OF_RANGE);
    check(&format!("0.{}1", "0".repeat(65_000)), OUT_OF_RANGE);
}

#[test]
fn booleans_are_true_or_false_in_any_case() {
    for words in [
        "bool booleancheckbox -> boolean",
        "enumeration booleancheckbox -> boolean",
        "bool radio -> boolean",
    ] {
        check(words, "true", "boolean true");
        check(words, "False", "boolean false");
        for text in ["yes", "1", "truefalse"] {
            check(words, text, MALFORMED);
        }
    }
    check("bool booleancheckbox -> text", "TRUE", r#"text "true""#);
    check(
        "bool booleancheckbox -> text label",
        "TRUE",
        r#"text "Yes""#,
    );
    check("bool booleancheckbox -> text", "yes", MALFORMED);
}

#[test]
fn days_are_read_in_both_forms() {
    for text in [
        "2026-09-30",
        "1790726400000",
        "2026-09-30T00:00:00Z",
        "2026-09-30T00:00:00.000Z",
    ] {
        check("date date -> date", text, "date 2026-09-30");
        check(
            "date date -> datetime",
            text,
            "datetime 2026-09-30T00:00:00Z",
        );
        check("date date -> text", text, r#"text "2026-09-30""#);
    }
    check("date date -> date", "1969-12-31", "date 1969-12-31");
    check("date date -> date", "-86400000", "date 1969-12-31");
    check("date date -> date", "2024-02-29", "date 2024-02-29");
    for text in [
        "2026-02-29",
        "2026-13-01",
        "2026-00-10",
        "2026-01-00",
        "2026-1-1",
        "30.09.2026",
        "2026-09-30x",
        "today",
    ] {
        check("date date -> date", text, MALFORMED);
    }
}

#[test]
fn moments_are_read_in_all_forms_and_their_day_is_that_of_utc() {
    let forms = [
        "2026-09-30T03:30:17.000Z",
        "2026-09-30T03:30:17Z",
        "2026-09-30T05:30:17+02:00",
        "2026-09-30T05:30:17+0200",
        "2026-09-29T22:30:17-05:00",
        "2026-09-30T03:30:17",
        "2026-09-30 03:30:17Z",
        "1790739017000",
    ];
    for text in forms {
        check(
            "datetime date -> datetime",
            text,
            "datetime 2026-09-30T03:30:17Z",
        );
        check("datetime date -> date", text, "date 2026-09-30");
        check(
            "datetime date -> text",
            text,
            r#"text "2026-09-30T03:30:17Z""#,
        );
    }
    check(
        "datetime date -> datetime",
        "2026-09-30T03:30:17.1239Z",
        "datetime 2026-09-30T03:30:17.123Z",
    );
    check(
        "datetime date -> text",
        "1790739017005",
        r#"text "2026-09-30T03:30:17.005Z""#,
    );
    check(
        "datetime date -> datetime",
        "2026-09-30T03:30Z",
        "datetime 2026-09-30T03:30:00Z",
    );
    check(
        "datetime date -> datetime",
        "2016-12-31T23:59:60Z",
        "datetime 2016-12-31T23:59:59Z",
    );
    check(
        "datetime date -> datetime",
        "-1",
        "datetime 1969-12-31T23:59:59.999Z",
    );
    check("datetime date -> date", "-1", "date 1969-12-31");
    for text in [
        "2026-09-30T24:00:00Z",
        "2026-09-30T03:60:00Z",
        "2026-09-30T03:30:17.Z",
        "2026-09-30T03:30:17+2",
        "T",
        "-",
    ] {
        check("datetime date -> datetime", text, MALFORMED);
    }
}

#[test]
fn years_end_at_9999() {
    check(
        "datetime date -> datetime",
        "253402300799999",
        "datetime 9999-12-31T23:59:59.999Z",
    );
    check(
        "datetime date -> datetime",
        "9999-12-31T23:59:59.999Z",
        "datetime 9999-12-31T23:59:59.999Z",
    );
    check(
        "datetime date -> datetime",
        "0001-01-01T00:00:00Z",
        "datetime 0001-01-01T00:00:00Z",
    );
    check("date date -> date", "9999-12-31", "date 9999-12-31");
    for text in [
        "253402300800000",
        "-62135596800001",
        "99999999999999999999",
        "10000-01-01",
        "+10000-01-01",
        "0000-12-31",
        "-0001-01-01",
    ] {
        check("date date -> date", text, OUT_OF_RANGE);
    }
    check(
        "datetime date -> datetime",
        "9999-12-31T23:59:59-01:00",
        OUT_OF_RANGE,
    );
    check(
        "datetime date -> datetime",
        "0001-01-01T00:00:00+01:00",
        OUT_OF_RANGE,
    );
}

#[test]
fn several_choices_become_a_list_in_their_order_each_once() {
    check(
        "enumeration checkbox -> list",
        "b;;r;b",
        r#"list ["b", "r"]"#,
    );
    check("enumeration checkbox -> list", ";r", r#"list ["r"]"#);
    check("enumeration checkbox -> list", ";;", "empty");
    check("enumeration select -> list", "a;b", r#"list ["a;b"]"#);
    check("enumeration checkbox -> list", "a\0;b", MALFORMED);
}

#[test]
fn labels_are_shown_where_they_are_known() {
    check(
        "enumeration select -> text label",
        "b",
        r#"text "Deep blue""#,
    );
    check(
        "enumeration radio -> list label",
        "b",
        r#"list ["Deep blue"]"#,
    );
    check(
        "enumeration checkbox -> list label",
        "b;r",
        r#"list ["Deep blue", "Red"]"#,
    );
    check(
        "enumeration checkbox -> text label",
        "b;r",
        r#"text "Deep blue; Red""#,
    );
    check(
        "enumeration select -> text label",
        "gone",
        r#"unreadable: unknown choice "gone""#,
    );
    check(
        "enumeration checkbox -> list label",
        "r;gone;b",
        r#"unreadable: unknown choice "gone""#,
    );
    check(
        "enumeration select -> text label",
        "e",
        r#"unreadable: unknown choice "e""#,
    );
    check("enumeration select -> text label", "n", MALFORMED);
    check("string text -> text label", "r", r#"text "r""#);
}

#[test]
fn only_what_is_possible_is_converted() {
    check("json text -> text", "{}", MALFORMED);
    check("number number -> date", "5", MALFORMED);
    check("string text -> number", "5", MALFORMED);
    check("bool booleancheckbox -> number", "true", MALFORMED);
}

#[test]
fn every_property_type_has_its_suitable_variables() {
    let check = |words: &str, expected: &str| {
        let properties = [property(&format!("p {words}")).expect("a property")];
        let suitable = kit()
            .instance()
            .expect("an instance")
            .suitable(&properties)
            .expect("no fault");
        let suitable = suitable.first().expect("one answer each");
        assert_eq!(
            suitable.suggested,
            suitable.possible.first().copied(),
            "{words}"
        );
        let possible: Vec<String> = suitable
            .possible
            .iter()
            .map(|one| {
                format!("{one:?}")
                    .replace("VariableType::", "")
                    .to_lowercase()
            })
            .collect();
        assert_eq!(possible.join(", "), expected, "{words}");
    };
    check("string text", "text");
    check("string phonenumber", "text");
    check("phone_number phonenumber", "text");
    check("number number", "number, text");
    check("number calculation_equation", "number, text");
    check("bool booleancheckbox", "boolean, text");
    check("bool calculation_equation", "boolean, text");
    check("enumeration booleancheckbox", "boolean, text");
    check("enumeration select", "text, list");
    check("enumeration radio", "text, list");
    check("enumeration checkbox", "list, text");
    check("date date", "date, datetime, text");
    check("datetime date", "datetime, date, text");
    check("json text", "");
    check("object_coordinates text", "");
    check("hologram projector", "text");
}

#[test]
fn a_field_that_was_not_given_is_malformed() {
    let texts = [StoredText {
        field: 7,
        text: "x".to_owned(),
    }];
    let outcomes = kit()
        .instance()
        .expect("an instance")
        .convert_stored(&texts, &[], &[])
        .expect("no fault");
    assert_eq!(
        outcomes.iter().map(show::outcome).collect::<Vec<_>>(),
        [MALFORMED]
    );
}
