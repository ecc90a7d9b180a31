//! Bodies that come after the erasure: HubSpot repeats, and keeps no order.

use std::time::Duration;

use harness::world::World;
use jimo_connect::log::{Entry, EntryKind, Lane};
use serde_json::{Value, json};

use super::{PORTAL, connected, events, hildegard, nowhere, person, says, somewhere};

const LATE: &str = "Said of her afterwards";

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_is_not_kept_either_and_what_stands_beside_it_is() {
    let (mut world, _) = connected().await;
    let (user, contact) = hildegard(&world).await;
    let (other, colleague) = person(&world, 1, &[("jobtitle", "Clerk")]).await;
    world.account(PORTAL).erase("contacts", contact).unwrap();
    world.settle().await;
    // Mapped or not, and in the same body as another's.
    for property in ["jobtitle", "city"] {
        let beside = says(colleague, "jobtitle", "Chief clerk");
        events(&world, vec![says(contact, property, LATE), beside]).await;
        world.settle().await;
        nowhere(world.directory.path(), &[LATE]);
        somewhere(world.directory.path(), &["Chief clerk"]);
    }
    assert_eq!(world.values(&user).await, json!({}));
    assert_eq!(world.values(&other).await["job_title"], "Chief clerk");
    // What it is known by is not lost with a restart.
    world.restart().await;
    events(&world, vec![says(contact, "jobtitle", LATE)]).await;
    world.settle().await;
    nowhere(world.directory.path(), &[LATE]);
}

/// Appends an event as intake would: its signature is of another day.
async fn append(world: &World, mut event: Value) {
    event["portalId"] = PORTAL.into();
    let host = world.host();
    let entry = Entry {
        kind: EntryKind::Delivery,
        connector: "hubspot".into(),
        lane: Lane::default(),
        received_at: host.clock.now(),
        body: json!([event]).to_string().into(),
    };
    host.log.append(entry).await.unwrap();
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_looked_at_for_three_days() {
    let (world, _) = connected().await;
    let (user, contact) = hildegard(&world).await;
    world.account(PORTAL).erase("contacts", contact).unwrap();
    world.settle().await;
    let erased = async || {
        let store = &world.host().store;
        store
            .read(|tx| tx.erased_records())
            .await
            .unwrap()
            .of("hubspot")
            .is_some()
    };
    world.clock.turn(Duration::from_secs(71 * 3_600));
    append(&world, says(contact, "jobtitle", LATE)).await;
    nowhere(world.directory.path(), &[LATE]);
    assert!(erased().await);
    world.clock.turn(Duration::from_secs(2 * 3_600));
    world.until(async || !erased().await).await;
    // It stays erased all the same.
    append(&world, says(contact, "jobtitle", LATE)).await;
    assert_eq!(world.values(&user).await, json!({}));
    somewhere(world.directory.path(), &[LATE]);
}
