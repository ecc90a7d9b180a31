//! Everything that came from the record goes, and nothing else.

use harness::world::World;
use serde_json::{Value, json};

use super::{
    ADDRESS, NAME, PORTAL, TITLE, connected, events, hildegard, nowhere, person, says, somewhere,
};

/// People beside her: enough that the store's pages were split.
const OTHERS: usize = 40;

/// All lines of a connection's activity.
async fn activity(world: &World, connection: &str) -> Vec<Value> {
    let path = format!("/connections/{connection}/activity?limit=200");
    let lines = world.get(&path).await.good();
    lines.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_for_privacy_is_in_no_file_any_more() {
    let (mut world, connection) = connected().await;
    let mut others = Vec::new();
    for number in 1..=OTHERS / 2 {
        others.push(person(&world, number, &[("jobtitle", &format!("Cook {number}"))]).await);
    }
    let (user, contact) = hildegard(&world).await;
    for number in OTHERS / 2 + 1..=OTHERS {
        others.push(person(&world, number, &[("jobtitle", &format!("Cook {number}"))]).await);
    }
    // What the plugin refuses is set aside, with hers a neighbour's.
    let mut undated = [
        says(contact, "jobtitle", TITLE),
        says(others[0].1, "jobtitle", "Undated"),
    ];
    for event in &mut undated {
        event["occurredAt"] = Value::Null;
    }
    events(&world, undated.to_vec()).await;
    let beside = says(others[1].1, "jobtitle", "Chef");
    events(&world, vec![says(contact, "firstname", NAME), beside]).await;
    // And what is no JSON at all.
    let broken = format!(r#"[{{"portalId":{PORTAL},"objectId":{contact},"x":"{ADDRESS}"]"#);
    let url = world.host().url(jimo_connect::intake::PATH);
    let secret = world.sim.app().client_secret;
    let sent = harness::bare::deliver(url.as_str(), &secret, broken.into()).await;
    assert_eq!(sent.unwrap(), 204);
    world.settle().await;
    let hers = [ADDRESS, NAME, TITLE];
    let directory = world.directory.path().to_path_buf();
    somewhere(&directory, &hers);
    let held = world.values(&user).await;
    assert_eq!(held["crm_email"], ADDRESS);
    let id = contact.to_string();
    let names_her = |line: &Value| line["record_id"] == id.as_str();
    assert!(activity(&world, &connection).await.iter().any(names_her));

    world.account(PORTAL).erase("contacts", contact).unwrap();
    world.settle().await;

    nowhere(&directory, &hers);
    assert_eq!(world.values(&user).await, json!({}));
    // The user is Jimo's.
    assert_eq!(world.user(&user).await["email"], "u-0@jimo.example");
    let lines = activity(&world, &connection).await;
    assert!(!lines.iter().any(names_her), "{lines:#?}");
    let told = lines.iter().find(|line| line["outcome"] == "erased");
    let told = told.expect("a line").as_object().unwrap();
    assert_eq!(told["object_type"], "contacts");
    assert!(!told.contains_key("variables") && !told.contains_key("user"));
    let path = format!("/connections/{connection}");
    let counts = world.get(&path).await.good()["counts"].clone();
    assert_eq!(counts["erased"], 1, "{counts:#}");
    // The neighbours' stays, in the same bodies.
    somewhere(&directory, &["Undated", "Chef"]);
    assert_eq!(world.values(&others[1].0).await["job_title"], "Chef");
    for (number, (user, _)) in others.iter().enumerate().skip(2) {
        let title = format!("Cook {}", number + 1);
        assert_eq!(world.values(user).await["job_title"], *title);
    }

    world.restart().await;
    nowhere(&directory, &hers);
    world.stop().await;
    nowhere(&directory, &hers);
    somewhere(&directory, &["Undated", "Chef"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_comes_with_it_changes_nothing_in_whatever_order() {
    for first in ["contact.deletion", "contact.privacyDeletion"] {
        let (world, connection) = connected().await;
        let (user, contact) = hildegard(&world).await;
        world.sim.unsubscribe_all();
        world.account(PORTAL).erase("contacts", contact).unwrap();
        let now = world.clock.now().0;
        let told =
            |what: &str| json!({"objectId": contact, "subscriptionType": what, "occurredAt": now});
        let mut both = ["contact.privacyDeletion", "contact.deletion"];
        if both[0] != first {
            both.reverse();
        }
        for what in both {
            events(&world, vec![told(what)]).await;
            world.settle().await;
        }
        nowhere(world.directory.path(), &[ADDRESS, NAME, TITLE]);
        assert_eq!(world.values(&user).await, json!({}));
        let lines = activity(&world, &connection).await;
        let id = contact.to_string();
        assert!(!lines.iter().any(|line| line["record_id"] == id.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_else_has_a_record_is_fed_by_it_and_companies_stay_with_whom_they_reach() {
    let (world, _) = connected().await;
    let (user, contact) = hildegard(&world).await;
    let account = world.account(PORTAL);
    let second = account
        .create("contacts", &[("jimo_id", "u-0"), ("jobtitle", "Reader")])
        .unwrap();
    let (other, colleague) = person(&world, 1, &[("jobtitle", "Clerk")]).await;
    let company = account.create("companies", &[("name", "Archive")]).unwrap();
    for contact in [contact, colleague] {
        let link = hubspot_sim::Link::Plain;
        account
            .associate(("contacts", contact), ("companies", company), link)
            .unwrap();
    }
    world.settle().await;
    assert_eq!(world.values(&user).await["job_title"], TITLE);
    assert_eq!(world.values(&user).await["company"], "Archive");
    account.erase("contacts", contact).unwrap();
    world.settle().await;
    nowhere(world.directory.path(), &[ADDRESS, NAME, TITLE]);
    assert!(second > contact);
    assert_eq!(world.values(&user).await, json!({"job_title": "Reader"}));
    let expected = json!({"job_title": "Clerk", "company": "Archive"});
    assert_eq!(world.values(&other).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_part_of_it_goes_too_whenever_that_is_heard_of() {
    for merge_first in [true, false] {
        let (world, _) = connected().await;
        let (user, contact) = hildegard(&world).await;
        let old = ["old@hidden.example", "Of her former life"];
        let values = [("email", old[0]), ("jobtitle", old[1])];
        let (_, former) = person(&world, 1, &values).await;
        somewhere(world.directory.path(), &old);
        world.sim.unsubscribe_all();
        let account = world.account(PORTAL);
        let merged = account.merge("contacts", contact, former).unwrap();
        account.erase("contacts", merged).unwrap();
        let now = world.clock.now().0;
        let mut told = [
            json!({
                "subscriptionType": "contact.merge", "objectId": merged, "occurredAt": now,
                "primaryObjectId": contact, "mergedObjectIds": [contact, former],
                "newObjectId": merged,
            }),
            json!({
                "subscriptionType": "contact.privacyDeletion", "objectId": merged,
                "occurredAt": now + 1,
            }),
        ];
        if !merge_first {
            told.reverse();
        }
        for event in told {
            events(&world, vec![event]).await;
            world.settle().await;
        }
        nowhere(world.directory.path(), &old);
        nowhere(world.directory.path(), &[ADDRESS, NAME, TITLE]);
        assert_eq!(world.values(&user).await, json!({}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_part_of_it_by_way_of_others_goes_too_when_all_comes_at_once() {
    for reversed in [false, true] {
        let (world, _) = connected().await;
        let (user, contact) = hildegard(&world).await;
        let old = ["old@hidden.example", "Of her former life"];
        let values = [("email", old[0]), ("jobtitle", old[1])];
        let (_, former) = person(&world, 1, &values).await;
        world.sim.unsubscribe_all();
        let account = world.account(PORTAL);
        let now = world.clock.now().0;
        // One became part of another, and that of a third, which is erased.
        let merged = account.merge("contacts", contact, former).unwrap();
        let third = account.create("contacts", &[]).unwrap();
        let last = account.merge("contacts", third, merged).unwrap();
        account.erase("contacts", last).unwrap();
        let merge = |into: u64, primary: u64, other: u64, at: i64| {
            json!({
                "subscriptionType": "contact.merge", "objectId": into, "occurredAt": at,
                "primaryObjectId": primary, "mergedObjectIds": [primary, other],
                "newObjectId": into,
            })
        };
        let mut told = vec![
            merge(merged, contact, former, now),
            merge(last, third, merged, now + 1),
            json!({
                "subscriptionType": "contact.privacyDeletion", "objectId": last,
                "occurredAt": now + 2,
            }),
        ];
        if reversed {
            told.reverse();
        }
        events(&world, told).await;
        world.settle().await;
        nowhere(world.directory.path(), &old);
        nowhere(world.directory.path(), &[ADDRESS, NAME, TITLE]);
        assert_eq!(world.values(&user).await, json!({}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_connection_erases_as_well() {
    let (world, connection) = connected().await;
    let (user, contact) = hildegard(&world).await;
    let path = format!("/connections/{connection}");
    world.post(&format!("{path}/pause"), json!({})).await.good();
    somewhere(world.directory.path(), &[ADDRESS, NAME, TITLE]);
    world.account(PORTAL).erase("contacts", contact).unwrap();
    world.settle().await;
    nowhere(world.directory.path(), &[ADDRESS, NAME, TITLE]);
    assert_eq!(world.values(&user).await, json!({}));
}
