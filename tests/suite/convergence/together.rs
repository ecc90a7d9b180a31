//! HubSpot and the host together: what is mapped, how time passes for both, and
//! when nothing is left to do.

use std::{fmt::Write as _, time::Duration};

use harness::world::World;
use hubspot_sim::ObjectType;
use serde_json::{Value, json};

use super::history::Field;

/// How far the clocks are turned when nothing moves.
const TURN: Duration = Duration::from_millis(500);

/// How long nothing moves before the clocks are turned.
const QUIET: Duration = Duration::from_millis(4);

/// More than a delivery that was not taken waits at first.
const RETRY: Duration = Duration::from_secs(60);

/// A mapping of these fields.
pub fn mappings(fields: &[Field]) -> Value {
    let of = |object_type: ObjectType| -> Value {
        let fields = fields.iter().filter(|field| field.0 == object_type);
        fields
            .map(|(_, property, variable, _)| json!({"property": property, "variable": variable}))
            .collect()
    };
    json!({
        "contacts": {"fields": of(ObjectType::Contacts)},
        "companies": {"selection": {"rule": "primary"}, "fields": of(ObjectType::Companies)},
        "deals": {"selection": {"rule": "latest_modified"}, "fields": of(ObjectType::Deals)},
    })
}

/// Time passes, for both sides.
pub fn turn(world: &World, by: Duration) {
    world.clock.turn(by);
    world.sim.turn(by);
}

/// Waits until nothing is left to deliver, to apply or to read.
pub async fn settle(world: &World) {
    loop {
        // Asked first: what is read meanwhile may not be applied.
        let is_read = is_journal_read(world).await;
        tokio::select! {
            () = world.settle() => {}
            () = let_time_pass(world) => {}
        }
        if !is_read {
            a_moment(world).await;
        } else if world.sim.settled().waiting > 0 {
            turn(world, RETRY);
        } else {
            return;
        }
    }
}

/// Waits until the journal is asked for all that a connection needs.
pub async fn told_by_the_journal(world: &World, connection: &str) {
    loop {
        let path = format!("/connections/{connection}");
        let held = world.get(&path).await.good();
        let ways = held["live"].as_array().unwrap().iter();
        let told = ways.filter(|way| way["way"] == "journal").count();
        if told == ObjectType::ALL.len() {
            return;
        }
        a_moment(world).await;
    }
}

async fn is_journal_read(world: &World) -> bool {
    let cursor = format!("hubspot-journal/{}", world.sim.app().client_id);
    let read = world.host().log.cursor(&cursor).await.unwrap();
    !world.sim.journal_has_more_after(read.as_deref())
}

/// Lets some time pass.
async fn a_moment(world: &World) {
    let _ = tokio::time::timeout(QUIET * 4, let_time_pass(world)).await;
}

/// Turns the clocks whenever nothing moves: what waits for a moment does not
/// make a test wait.
async fn let_time_pass(world: &World) {
    let pipeline = &world.host().pipeline;
    let mut changed = pipeline.changed();
    loop {
        if tokio::time::timeout(QUIET, changed.changed())
            .await
            .is_err()
        {
            turn(world, TURN);
            // Who sleeps by the machine's clock looks at what is due by this one.
            pipeline.notify_changed();
            changed.mark_unchanged();
        }
    }
}

/// What a host has that it should not, whatever its users have.
pub async fn wrong(world: &World) -> String {
    let mut wrong = String::new();
    let set_aside = world.host().store.read(|tx| tx.all_set_aside()).await;
    for what in set_aside.unwrap() {
        let _ = writeln!(wrong, "set aside: {}", what.reason);
    }
    wrong
}
