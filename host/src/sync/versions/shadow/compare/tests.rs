use super::*;
use crate::{
    log::{EntryKind, Position},
    model::{PropertyText, Timestamp},
    plugin::BodyDescription,
    store::set_aside::SetAside,
};

fn told(record: &str, at: i64, kind: ChangeKind) -> Told {
    Told {
        object_type: "contacts".into(),
        record: record.into(),
        occurred_at: Timestamp(at),
        kind,
        matching: false,
        outcomes: Vec::new(),
    }
}

fn text(record: &str, at: i64, text: &str) -> Told {
    let text = text.to_owned();
    let kind = ChangeKind::PropertyChanged(PropertyText { property: 0, text });
    told(record, at, kind)
}

/// The texts of what is paired, and of what each tells alone.
fn paired(ours: &[Told], theirs: &[Told]) -> (Vec<[String; 2]>, Vec<String>, Vec<String>) {
    let said = |told: &Told| match &told.kind {
        ChangeKind::PropertyChanged(text) => text.text.clone(),
        other => format!("{other:?}"),
    };
    let (ours, theirs): (Vec<_>, Vec<_>) = (ours.iter().collect(), theirs.iter().collect());
    let pairs = pair(&ours, &theirs);
    let alone = |told: Vec<&Told>| told.into_iter().map(said).collect();
    let same = pairs.same.iter().map(|(a, b)| [said(a), said(b)]);
    (
        same.collect(),
        alone(pairs.ours_alone),
        alone(pairs.theirs_alone),
    )
}

fn both(text: &str) -> [String; 2] {
    [text.to_owned(), text.to_owned()]
}

#[test]
fn what_one_leaves_out_shifts_nothing_else() {
    let ours = [text("1", 1, "a"), text("1", 2, "b"), text("1", 3, "c")];
    let theirs = [text("1", 1, "a"), text("1", 3, "c")];
    let (same, missing, added) = paired(&ours, &theirs);
    assert_eq!(same, [both("a"), both("c")]);
    assert_eq!((missing, added), (vec!["b".to_owned()], vec![]));
    let (same, missing, added) = paired(&theirs, &ours);
    assert_eq!(same, [both("a"), both("c")]);
    assert_eq!((missing, added), (vec![], vec!["b".to_owned()]));
}

#[test]
fn another_order_another_text_and_another_moment_are_of_the_same_change() {
    let ours = [text("1", 1, "a"), text("2", 2, "b"), text("3", 3, "c")];
    let theirs = [text("2", 2, "B"), text("1", 1, "a"), text("3", 4, "c")];
    let (mut same, missing, added) = paired(&ours, &theirs);
    same.sort();
    assert_eq!(same, [both("a"), ["b".into(), "B".into()], both("c")]);
    assert_eq!((missing.len(), added.len()), (0, 0));
}

#[test]
fn other_records_kinds_and_ends_of_associations_are_other_changes() {
    let ours = [text("1", 1, "a"), told("2", 1, ChangeKind::Created)];
    let theirs = [text("3", 1, "a"), told("2", 1, ChangeKind::Deleted)];
    let (same, missing, added) = paired(&ours, &theirs);
    assert!(same.is_empty());
    assert_eq!((missing.len(), added.len()), (2, 2));
}

fn aside(position: i64, body: &str) -> SetAside {
    SetAside {
        position: Position(position),
        kind: EntryKind::Delivery,
        connector: "crm".into(),
        account: None,
        reason: format!("reason {position}"),
        plugin: None,
        body: body.as_bytes().to_vec(),
    }
}

fn description() -> Description {
    let body = BodyDescription {
        elements: Vec::new(),
        account: Some(vec!["account".into()]),
        records: vec![vec!["id".into()]],
    };
    Description {
        connector: "crm".into(),
        label: "CRM".into(),
        version: "1.0.0".into(),
        object_types: Vec::new(),
        delivery: body.clone(),
        journal_file: None,
        records_page: Some(body.clone()),
        associations_page: Some(body),
    }
}

fn counts(active: &Prepared, candidate: &Prepared) -> Vec<(Kind, u64)> {
    let description = description();
    let side = |prepared| Side {
        prepared,
        description: &description,
    };
    let compared = compare(&Routing::default(), side(active), side(candidate));
    let differences = compared.differences.into_iter();
    differences
        .map(|(difference, count)| (difference.kind, count))
        .collect()
}

#[test]
fn what_is_refused_is_told_apart_from_what_failed_whatever_was_said_of_it() {
    let prepared = |set_aside: Vec<SetAside>, refused: Vec<usize>| Prepared {
        set_aside,
        refused,
        ..Prepared::default()
    };
    let active = prepared(
        vec![aside(1, "[1]"), aside(2, "[2]"), aside(3, "[3]")],
        vec![1, 2],
    );
    assert_eq!(counts(&active, &active), []);
    let mut other_words = prepared(active.set_aside.clone(), active.refused.clone());
    other_words.set_aside[0].reason = "other words".into();
    other_words.set_aside[1].reason = "other words".into();
    assert_eq!(counts(&active, &other_words), []);
    let candidate = prepared(
        vec![aside(1, "[1]"), aside(2, "[2]"), aside(4, "[4]")],
        vec![1],
    );
    assert_eq!(
        counts(&active, &candidate),
        [(Kind::RefusalMissing, 1), (Kind::FaultAdded, 1)]
    );
    assert_eq!(
        counts(&candidate, &active),
        [(Kind::RefusalAdded, 1), (Kind::FaultMissing, 1)]
    );
}

#[test]
fn only_what_a_host_reads_by_is_compared_of_descriptions() {
    let (active, mut candidate) = (description(), description());
    candidate.version = "2.0.0".into();
    candidate.label = "The CRM".into();
    let compared = compare_descriptions(&active, &candidate);
    assert!(compared.differences.is_empty());
    candidate.delivery.elements = vec!["events".into()];
    candidate.journal_file = Some(active.delivery.clone());
    let compared = compare_descriptions(&active, &candidate);
    let names: Vec<_> = compared.differences.keys().map(|one| &one.name).collect();
    assert_eq!(names, ["delivery", "journal_file"]);
    let journal = &compared.examples[1];
    assert_eq!(journal.active, Some(Json::Null));
    let read_by = journal.candidate.as_ref().map(|said| &said["account"][0]);
    assert_eq!(read_by, Some(&json!("account")));
}
