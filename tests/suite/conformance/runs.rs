//! What every user store must do for runs that begin anew.

use std::collections::BTreeSet;

use jimo_connect::{
    model::{Problem, RunId, RunKind, RunStatus, Stage, Timestamp, UserId},
    store::{
        Error, Tx,
        runs::{Beginning, EXAMPLES_MAX, Example, Examples, NewRun},
    },
};

use super::store::Kept;

const NOW: Timestamp = Timestamp(1_000);

/// A catch-up that was asked for.
async fn asked_for(kept: &Kept) -> RunId {
    let new = NewRun {
        connection: kept.connection,
        kind: RunKind::CatchUp,
        dry_run: false,
        brief: false,
        origin: "schedule",
    };
    kept.write(move |tx| tx.request_run(new, NOW)).await
}

/// A run begins, at first or anew; it may clear values of one user.
async fn begin(kept: &Kept, run: RunId, stages: Vec<Stage>) {
    let beginning = Beginning {
        sequence: 1,
        since: None,
        plan: Vec::new(),
        stages,
        losses_max: Some(1),
    };
    kept.write(move |tx| tx.start_run(run, &beginning, NOW))
        .await;
}

#[tokio::test]
async fn a_run_ends_when_nothing_is_left_of_it_unless_it_is_to_begin_anew() {
    let kept = Kept::new().await;
    let run = asked_for(&kept).await;
    let end = async || {
        kept.write(move |tx| {
            let is_over = tx.end_run(run, RunStatus::Completed, NOW)?;
            Ok((is_over, tx.run(run)?.status))
        })
        .await
    };
    begin(&kept, run, vec![Stage::Answers]).await;
    assert_eq!(end().await, (false, RunStatus::Running));
    kept.write(move |tx| tx.move_run(run, &[])).await;
    let connection = kept.connection;
    kept.write(move |tx| tx.begin_catch_up_anew(connection))
        .await;
    assert_eq!(end().await, (false, RunStatus::Running));
    begin(&kept, run, Vec::new()).await;
    assert_eq!(end().await, (true, RunStatus::Completed));
}

#[tokio::test]
async fn a_run_that_goes_on_without_its_brake_has_none_when_it_begins_anew() {
    let kept = Kept::new().await;
    let run = asked_for(&kept).await;
    let is_held = async || {
        let two = BTreeSet::from([UserId(1), UserId(2)]);
        kept.write(move |tx| match tx.add_run_losses(run, &two) {
            Err(Error::Braked { .. }) => Ok(true),
            done => done.map(|()| false),
        })
        .await
    };
    let connection = kept.connection;
    let anew = async |again: fn(&Tx<'_>, _) -> Result<(), Error>| {
        kept.write(move |tx| again(tx, connection)).await;
        begin(&kept, run, Vec::new()).await;
    };
    begin(&kept, run, Vec::new()).await;
    assert!(is_held().await);
    // Nobody told it to go on.
    anew(|tx, connection| tx.begin_catch_up_anew(connection)).await;
    assert!(is_held().await);
    let why = Problem {
        code: "braked".into(),
        detail: String::new(),
        remedy: String::new(),
    };
    kept.write(move |tx| {
        tx.hold_run(run, &why, &[])?;
        tx.release_run(run, NOW)
    })
    .await;
    assert!(!is_held().await);
    anew(|tx, connection| tx.begin_catch_up_anew(connection)).await;
    assert!(!is_held().await);
    // What other mappings clear was asked of nobody.
    anew(|tx, connection| tx.begin_runs_anew(connection)).await;
    assert!(is_held().await);
}

#[tokio::test]
async fn examples_of_runs_are_kept_up_to_a_bound_and_forgotten_by_age() {
    let kept = Kept::new().await;
    let run = asked_for(&kept).await;
    let name = "skipped.no_match";
    for page in 0..3 {
        let records = (0..60).map(|n| format!("{}", page * 60 + n));
        let some = records.map(|id| Example::Record("contacts".into(), id.as_str().into()));
        let examples = Examples::from([(name.to_owned(), some.collect())]);
        kept.write(move |tx| tx.add_run_examples(run, &examples))
            .await;
    }
    let left = async || kept.write(move |tx| tx.run_examples(run, name)).await.len();
    assert_eq!(left().await, EXAMPLES_MAX);
    kept.write(move |tx| tx.trim_run_examples(NOW, 1_000)).await;
    assert_eq!(left().await, EXAMPLES_MAX);
    kept.write(move |tx| tx.trim_run_examples(Timestamp(NOW.0 + 1), 1_000))
        .await;
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn the_last_whole_catch_up_is_no_brief_and_no_cancelled_one() {
    let kept = Kept::new().await;
    let connection = kept.connection;
    let ended = async |brief: bool, status: RunStatus| {
        let new = NewRun {
            connection,
            kind: RunKind::CatchUp,
            dry_run: false,
            brief,
            origin: "schedule",
        };
        kept.write(move |tx| {
            let run = tx.request_run(new, NOW)?;
            tx.set_run_status(run, status, NOW)?;
            Ok(run)
        })
        .await
    };
    let last = async || {
        let found = kept.write(move |tx| tx.last_whole_catch_up(connection));
        found.await.map(|run| run.id)
    };
    ended(false, RunStatus::Cancelled).await;
    assert_eq!(last().await, None);
    let whole = ended(false, RunStatus::Failed).await;
    let brief = ended(true, RunStatus::Completed).await;
    let cancelled = ended(false, RunStatus::Cancelled).await;
    assert_eq!(last().await, Some(whole));

    // What comes every few minutes does not hide the rest.
    let newest = RunId(i64::MAX);
    let apart = async |are_brief: bool| {
        let found = kept.write(move |tx| tx.runs_apart(connection, are_brief, newest, 2));
        let runs = found.await.into_iter();
        runs.map(|run| run.id).collect::<Vec<_>>()
    };
    assert_eq!(apart(true).await, [brief]);
    assert_eq!(apart(false).await, [cancelled, whole]);
}

#[tokio::test]
async fn an_earlier_run_is_one_that_goes_on_and_writes() {
    let kept = Kept::new().await;
    let connection = kept.connection;
    let other = kept.write(|tx| {
        let project = tx.create_project("Another project", "UTC", NOW)?.id;
        tx.create_connection(project, "hubspot", NOW)
    });
    let other = other.await;
    let ask = async |connection, kind, dry_run| {
        let new = NewRun {
            connection,
            kind,
            dry_run,
            brief: false,
            origin: "schedule",
        };
        kept.write(move |tx| tx.request_run(new, NOW)).await
    };
    let first = ask(connection, RunKind::CatchUp, false).await;
    let rehearsal = ask(other, RunKind::Full, true).await;
    let last = ask(other, RunKind::CatchUp, false).await;
    let is_held_up = async |run: RunId, connections: Vec<_>| {
        kept.read(move |tx| tx.has_earlier_run(&connections, run))
            .await
    };
    let both = || vec![other, connection];
    assert!(is_held_up(last, both()).await);
    assert!(!is_held_up(last, vec![other]).await);
    assert!(!is_held_up(first, both()).await);
    let going = async || {
        let running = kept.read(|tx| tx.running_runs()).await.into_iter();
        running.map(|run| run.id).collect::<Vec<_>>()
    };
    // The other connection has no account yet.
    assert_eq!(going().await, [first]);
    let account = kept.account;
    kept.write(move |tx| tx.set_connection_account(other, account))
        .await;
    assert_eq!(going().await, [first, rehearsal, last]);
    for status in [RunStatus::Braked, RunStatus::Completed] {
        kept.write(move |tx| tx.set_run_status(first, status, NOW))
            .await;
        assert!(!is_held_up(last, both()).await);
        assert_eq!(going().await, [rehearsal, last]);
    }
}
