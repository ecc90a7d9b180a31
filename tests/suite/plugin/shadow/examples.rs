//! Examples of what a version would change: few, and of nobody who is erased.

use std::time::{Duration, Instant};

use harness::{bare::BareHost, components::misbehaving_as, world::World};
use jimo_connect::{
    model::Existence,
    pipeline::routing::Routing,
    plugin::{EMBEDDED, digest},
    store::{
        records::RecordState,
        shadows::{Difference, Found, Kind},
    },
};
use reqwest::Method;
use serde_json::json;

use super::{Operator, PATIENCE, PORTAL, ana};

#[tokio::test]
async fn examples_are_few_and_tell_nothing_of_strangers_or_of_whom_is_erased() {
    let host = BareHost::start(EMBEDDED).await;
    host.connect("1", "city").await;
    let found = |kind: Kind, name: &str, record: u64, tells: bool| Found {
        difference: Difference {
            kind,
            object_type: Some("contacts".into()),
            name: name.into(),
        },
        connection: None,
        field: None,
        record: Some(record.to_string().into()),
        position: None,
        active: Some(json!({"value": "Lyon"})),
        candidate: None,
        tells,
    };
    let kept = host.host.store.transact(move |tx| {
        let now = jimo_connect::model::Timestamp(1);
        let routing = Routing::load(tx)?;
        let account = routing.account("hubspot", &"1".into()).unwrap();
        let connection = account.connections[0].id;
        tx.start_shadow("hubspot", &digest(EMBEDDED), None, "a test", now)?;
        let id = tx.shadow("hubspot")?.unwrap().id;
        let erased = tx.ensure_record(connection, &"contacts".into(), &"7".into())?;
        tx.save_record(&RecordState {
            existence: Existence::Erased,
            ..erased
        })?;
        let add = |found: Found| {
            let connection = Some(connection);
            let found = Found {
                connection,
                ..found
            };
            tx.add_shadow_examples(id, &[found])
        };
        // Of a record that is erased, and of a stranger.
        add(found(Kind::ChangeMissing, "created", 7, false))?;
        add(found(Kind::Value, "city", 7, true))?;
        add(found(Kind::Value, "city", 8, true))?;
        let first = tx.shadow_examples(id)?;
        for record in 100..120 {
            add(found(Kind::ChangeMissing, "created", record, false))?;
        }
        let second = tx.shadow_examples(id)?;
        for record in 200..400 {
            let name = format!("property {}", record % 50);
            add(found(Kind::ChangeAdded, &name, record, false))?;
        }
        Ok((first, second.len(), tx.shadow_examples(id)?.len()))
    });
    let (first, second, third) = kept.await.unwrap();
    assert_eq!(first, []);
    assert_eq!((second, third), (10, 100));
    host.stop().await;
}

/// A world in which examples tell of a user's title: its connection's id, the user's,
/// the contact's, and the version that shadows.
async fn with_examples(world: &World) -> (Operator, String, String, String, u64) {
    let (connection, user, contact) = ana(world).await;
    let account = world.account(PORTAL);
    account
        .patch("contacts", contact, &[("jobtitle", "Chef")])
        .unwrap();
    world.settle().await;
    let operator = Operator::of(world.host()).await;
    let other = misbehaving_as("hubspot", "read otherwise");
    let other = operator.install(other).await;
    let entries = *world.host().log.tail().borrow();
    operator
        .shadowed(&other, entries.0.try_into().unwrap())
        .await;
    // What the register keeps is read otherwise, and the event is not understood.
    assert!(told(world, "COOK") + told(world, "CHEF") > 0);
    assert!(told(world, "Chef") > 1);
    (operator, other, connection, user, contact)
}

/// How many examples have a text in what they say.
fn told(world: &World, text: &str) -> i64 {
    world.count(&format!(
        "SELECT count(*) FROM shadow_examples
         WHERE instr(coalesce(active, '') || coalesce(candidate, ''), '{text}')"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_record_that_is_erased_no_example_is_left_and_none_comes() {
    let world = World::start().await;
    let (operator, other, _, _, contact) = with_examples(&world).await;
    let of = |record: u64| {
        let sql = format!("SELECT count(*) FROM shadow_examples WHERE record = {record}");
        world.count(&sql)
    };
    // Of a stranger, too, of whom an example has no more than the id.
    let account = world.account(PORTAL);
    let stranger = [("email", "somebody@example.com"), ("jobtitle", "Spy")];
    let stranger = account.create("contacts", &stranger).unwrap();
    world.settle().await;
    let began = Instant::now();
    while of(stranger) == 0 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(told(&world, "Spy"), 0);
    assert!(of(contact) > 0);
    for record in [contact, stranger] {
        account.erase("contacts", record).unwrap();
    }
    world.settle().await;
    assert_eq!((of(contact), of(stranger)), (0, 0));
    // Nor when all is compared again.
    let entries = *world.host().log.tail().borrow();
    let path = format!("/{other}/shadow");
    let again = Some(json!({"since_hours": 24}));
    let (status, _) = operator.send(Method::POST, &path, again).await;
    assert_eq!(status, 202);
    let shadow = operator
        .until(&other, |shadow| {
            let compared = &shadow["compared"]["entries"];
            !shadow["caught_up_at"].is_null() && *compared == entries.0
        })
        .await;
    assert!(
        shadow["difference_count"].as_u64().unwrap() > 0,
        "{shadow:#}"
    );
    assert_eq!((of(contact), of(stranger)), (0, 0));
    assert_eq!(told(&world, "Chef"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_user_that_is_deleted_no_value_is_left_in_examples() {
    let world = World::start().await;
    let (_, _, _, user, _) = with_examples(&world).await;
    world.delete(&format!("/users/{user}")).await;
    for text in ["Cook", "Chef", "COOK", "CHEF"] {
        assert_eq!(told(&world, text), 0, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_loses_their_record_is_in_no_example_any_more() {
    let world = World::start().await;
    let (_, _, _, _, contact) = with_examples(&world).await;
    let account = world.account(PORTAL);
    account
        .patch("contacts", contact, &[("email", "somebody@example.com")])
        .unwrap();
    world.settle().await;
    for text in ["Cook", "Chef", "COOK", "CHEF"] {
        assert_eq!(told(&world, text), 0, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_connection_that_is_deleted_no_example_is_left() {
    let world = World::start().await;
    let (_, _, connection, _, _) = with_examples(&world).await;
    let path = format!("/connections/{connection}?values=keep");
    let deleted = world.delete(&path).await;
    assert_eq!(deleted.status / 100, 2, "{:#}", deleted.json);
    assert_eq!(
        world.count("SELECT count(*) FROM shadow_examples WHERE connection IS NOT NULL"),
        0
    );
}
