//! Look-ups that a run asks for.

use std::collections::BTreeMap;

use harness::world::World;
use hubspot_sim::{PropertySpec, Route};
use jimo_connect::{
    model::{Cause, ConnectionId, Priority, RunId, RunKind, UserId, UserIdentifier},
    store::runs::NewRun,
};
use serde_json::json;

use super::{by, by_email, calls, connected_after, identified, user, waiting};

/// Begins a full sync of a connection, and asks for look-ups of all users of
/// its project by an identifier, two at a time.
async fn look_all_up(world: &World, connection: &str, identifier: UserIdentifier) -> RunId {
    let (connection, now): (ConnectionId, _) = (connection.parse().unwrap(), world.clock.now());
    let store = &world.host().store;
    let run = store
        .transact(move |tx| {
            let new = NewRun {
                connection,
                kind: RunKind::Full,
                dry_run: false,
                origin: "admin",
            };
            let run = tx.request_run(new, now)?;
            let cause = Cause {
                priority: Priority::FullSync,
                run: Some(run),
                refresh: false,
            };
            let (mut after, contacts) = (UserId(0), "contacts".into());
            while let Some(last) =
                tx.request_lookups_of_users(connection, &contacts, identifier, after, 2, cause)?
            {
                after = last;
            }
            Ok(run)
        })
        .await
        .unwrap();
    world.host().pipeline.notify_changed();
    run
}

/// How far a run is, what it did, and what it waits for.
async fn stands(world: &World, run: RunId) -> (u64, BTreeMap<String, i64>, u64) {
    let stands = world.host().store.read(move |tx| {
        Ok((
            tx.run(run)?.done,
            tx.run_counts(run)?,
            tx.waiting_of_run(run)?,
        ))
    });
    stands.await.unwrap()
}

fn counts<const N: usize>(counts: [(&str, i64); N]) -> BTreeMap<String, i64> {
    let counts = counts.into_iter();
    counts
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_asks_for_all_users_fills_them_and_counts_them_once() {
    let world = World::start().await;
    let account = world.account(super::PORTAL);
    for (email, title) in [("ana@example.com", "Cook"), ("ben@example.com", "Baker")] {
        let values = [("email", email), ("jobtitle", title)];
        account.create("contacts", &values).unwrap();
    }
    // They were there before the mapping, so nobody looked them up.
    let ana = user(&world, "ana@example.com").await;
    let ben = user(&world, "ben@example.com").await;
    user(&world, "eve@example.com").await;
    world
        .put_users(json!([{"external_id": "no address"}]))
        .await;
    let connection = world.connect(super::PORTAL).await;
    world.map(&connection, super::mappings(by_email())).await;
    world.settle().await;
    world.sim.clear_calls();
    let run = look_all_up(&world, &connection, UserIdentifier::Email).await;
    assert_eq!(stands(&world, run).await.2, 3);
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    assert_eq!(world.values(&ben).await, json!({"job_title": "Baker"}));
    let (done, counted, waits) = stands(&world, run).await;
    let expected = counts([
        ("matched", 2),
        ("read", 2),
        ("skipped.no_record", 1),
        ("updated", 2),
    ]);
    // Associations that the new links brought along count as well.
    assert!(done >= 3, "{done}");
    for (name, count) in expected {
        assert_eq!(counted.get(&name), Some(&count), "{name}: {counted:?}");
    }
    assert_eq!(waits, 0);
    assert_eq!(calls(&world, Route::BatchRead), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_counts_those_whom_a_search_does_not_find() {
    let spec = PropertySpec::text("customer_id");
    let before = identified(spec, &["u-1", "U-2"]);
    let (world, connection) = connected_after(by("customer_id"), before).await;
    world.sim.inject(
        hubspot_sim::FaultRule::by_chance(hubspot_sim::Trouble::Held, 1.0).on(Route::Search),
    );
    let users: Vec<_> = ["u-1", "u-2", "u-3"]
        .map(|id| json!({"external_id": id}))
        .into();
    let ids = world.put_users(json!(users)).await;
    // The run asks for what arrivals ask for already.
    let run = look_all_up(&world, &connection, UserIdentifier::ExternalId).await;
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(world.values(&ids[0]).await, json!({"job_title": "u-1"}));
    assert_eq!(world.values(&ids[1]).await, json!({}));
    let (_, counted, waits) = stands(&world, run).await;
    assert_eq!(counted.get("skipped.no_record"), Some(&2), "{counted:?}");
    assert_eq!(waits, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cancelled_run_asked_for_is_dropped_and_arrivals_go_on() {
    let (world, connection) = super::cook().await;
    let held = hubspot_sim::FaultRule::by_chance(hubspot_sim::Trouble::Held, 1.0);
    world.sim.inject(held.on(Route::BatchRead));
    let ana = user(&world, "ana@example.com").await;
    let run = look_all_up(&world, &connection, UserIdentifier::Email).await;
    let ben = user(&world, "ben@example.com").await;
    assert_eq!(stands(&world, run).await.2, 1);
    let store = &world.host().store;
    store
        .transact(move |tx| tx.drop_run_reads(run))
        .await
        .unwrap();
    // Both came by themselves.
    assert_eq!(stands(&world, run).await.2, 0);
    assert_eq!(waiting(&world), 2);
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    assert_eq!(world.values(&ben).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn look_ups_that_the_grant_does_not_allow_hold_up_no_run() {
    let world = World::start().await;
    user(&world, "ana@example.com").await;
    let connection = world.connect(super::PORTAL).await;
    world.map(&connection, super::mappings(by_email())).await;
    world
        .account(super::PORTAL)
        .drop_scope("crm.objects.contacts.read");
    let run = look_all_up(&world, &connection, UserIdentifier::Email).await;
    world.until(async || stands(&world, run).await.2 == 0).await;
    let (done, counted, _) = stands(&world, run).await;
    assert_eq!((done, counted), (1, counts([("failed", 1)])));
    assert_eq!(waiting(&world), 1);
}
