//! What every user store must do with a connection's activity.

use jimo_connect::{
    model::{ConnectionId, Timestamp, UserId},
    pipeline::report::{Origin, Report},
    store::{
        Error, Tx,
        activity::{ACTIVITY_ENTRIES_MAX, Activity, ActivityFilter, NAMED_USERS_MAX},
    },
};

use super::store::Kept;

/// A line about nothing much.
fn line(at: Timestamp) -> Activity {
    Activity {
        at,
        origin: "webhook".into(),
        outcome: "updated".into(),
        ..Activity::default()
    }
}

/// All lines of a connection, newest first.
fn all_of(
    connection: ConnectionId,
) -> impl FnOnce(&Tx<'_>) -> Result<Vec<(i64, Activity)>, Error> + Send + 'static {
    move |tx| tx.activity(connection, &ActivityFilter::default(), i64::MAX, usize::MAX)
}

#[tokio::test]
async fn activity_is_let_go_in_pieces_down_to_its_bound() {
    let kept = Kept::new().await;
    let connection = kept.connection;
    let bound = usize::try_from(ACTIVITY_ENTRIES_MAX).unwrap();
    let fill = move |tx: &Tx<'_>| {
        for number in 0..i64::try_from(bound).unwrap() + 25 {
            tx.add_activity(connection, &line(Timestamp(number)))?;
        }
        Ok(())
    };
    kept.write(fill).await;
    let mut gone = Vec::new();
    for _ in 0..4 {
        gone.push(kept.write(move |tx| tx.trim_activity(connection, 10)).await);
    }
    assert_eq!(gone, [10, 10, 5, 0]);
    let lines = kept.read(all_of(connection)).await;
    assert_eq!(lines.len(), bound);
    assert_eq!(lines.last().unwrap().1.at, Timestamp(25));
}

#[tokio::test]
async fn a_flood_writes_so_many_lines_a_second_of_each_origin() {
    let kept = Kept::new().await;
    let connection = kept.connection;
    let report = async |word: &'static str, at: i64, lines: usize| {
        let save = move |tx: &Tx<'_>| {
            let mut report = Report::default();
            let origin = Origin { word, plugin: None };
            for _ in 0..lines {
                report.erased(&origin, &"contacts".into(), Timestamp(at));
            }
            report.save(tx, connection, Timestamp(at))
        };
        kept.write(save).await;
        kept.read(all_of(connection)).await.len()
    };
    assert_eq!(report("full_sync", 10_000, 150).await, 150);
    assert_eq!(report("full_sync", 10_500, 150).await, 200);
    assert_eq!(report("full_sync", 10_900, 1_000).await, 200);
    // What comes live has room of its own.
    assert_eq!(report("webhook", 10_900, 10).await, 210);
    // Of the first nothing counts any more.
    assert_eq!(report("full_sync", 11_200, 1_000).await, 360);
    // A clock that was set back silences nothing.
    assert_eq!(report("full_sync", 5_000, 1).await, 361);
}

#[tokio::test]
async fn a_line_names_the_first_of_many_users_and_is_found_by_each_until_they_are_gone() {
    let kept = Kept::new().await;
    let connection = kept.connection;
    let mut reached = line(Timestamp(1));
    for user in 1..=60 {
        reached.reached(UserId(user));
    }
    kept.write(move |tx| {
        tx.add_activity(connection, &reached)?;
        tx.add_activity(connection, &line(Timestamp(2)))
    })
    .await;
    let of = async |users: Vec<UserId>| {
        let filter = ActivityFilter {
            users: Some(users),
            ..ActivityFilter::default()
        };
        let found = kept.read(move |tx| tx.activity(connection, &filter, i64::MAX, 10));
        found.await
    };
    let last = i64::try_from(NAMED_USERS_MAX).unwrap();
    let found = of(vec![UserId(last)]).await;
    assert_eq!(found.len(), 1);
    let named: Vec<UserId> = (1..=last).map(UserId).collect();
    assert_eq!((&found[0].1.users, found[0].1.users_count), (&named, 60));
    assert_eq!(of(vec![UserId(last + 1)]).await, []);
    assert_eq!(of(Vec::new()).await, []);

    kept.write(move |tx| tx.delete_user(UserId(last))).await;
    assert_eq!(of(vec![UserId(last)]).await, []);
    let found = of(vec![UserId(61), UserId(1)]).await;
    assert_eq!(found[0].1.users_count, 59);
    assert_eq!(found[0].1.users, named[..NAMED_USERS_MAX - 1]);

    // Whom it reached goes with the line.
    kept.write(move |tx| tx.delete_connection(connection)).await;
    assert_eq!(of(vec![UserId(1)]).await, []);
}
