//! Webhooks: which events a change makes, and how they are delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use hubspot_sim::{Link, PropertySpec, sign_v1, sign_v3};
use serde_json::{Value, json};

use crate::world::{Listener, PORTAL, START_MS, World};

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["subscriptionType"] == kind)
        .collect()
}

#[tokio::test]
async fn one_creation_makes_a_creation_and_a_change_of_each_property_at_one_moment() {
    let world = World::new().await;
    world.sim.subscribe_defaults();
    let listener = Listener::start(&world.sim).await;
    let ana = world
        .account
        .create(
            "contacts",
            &[("email", "ana@example.com"), ("firstname", "Ana")],
        )
        .unwrap();
    world.sim.settle().await;
    let events = listener.events();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event["occurredAt"] == START_MS
        && event["objectId"] == ana
        && event["portalId"] == PORTAL
        && event["attemptNumber"] == 0));
    assert_eq!(
        of_type(&events, "contact.creation")[0]["changeFlag"],
        "CREATED"
    );
    let changes = of_type(&events, "contact.propertyChange");
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().any(|event| {
        event["propertyName"] == "email" && event["propertyValue"] == "ana@example.com"
    }));
    // The same value again is no change.
    world
        .account
        .patch("contacts", ana, &[("firstname", "Ana")])
        .unwrap();
    world.sim.settle().await;
    assert!(listener.events().is_empty());
}

#[tokio::test]
async fn deliveries_carry_both_signatures_over_the_configured_address() {
    let world = World::new().await;
    world.sim.subscribe("contact.creation", None).unwrap();
    let listener = Listener::start(&world.sim).await;
    world.account.create("contacts", &[]).unwrap();
    world.sim.settle().await;
    let deliveries = listener.take();
    let delivery = &deliveries[0];
    let secret = world.sim.app().client_secret;
    let header = |name: &str| delivery.headers[name].to_str().unwrap();
    assert_eq!(
        header("x-hubspot-signature"),
        sign_v1(&secret, &delivery.bytes)
    );
    assert_eq!(header("x-hubspot-signature-version"), "v1");
    let at: i64 = header("x-hubspot-request-timestamp").parse().unwrap();
    assert_eq!(at, START_MS);
    let target = format!("http://{}/hook", header("host"));
    assert_eq!(
        header("x-hubspot-signature-v3"),
        sign_v3(&secret, "POST", &target, &delivery.bytes, at)
    );
}

#[tokio::test]
async fn values_take_their_webhook_forms_and_sensitive_ones_are_redacted() {
    let world = World::new().await;
    for spec in [
        PropertySpec::date("renewal"),
        PropertySpec::datetime("seen"),
        PropertySpec::text("iban").sensitive(),
        PropertySpec::number("score").calculated(),
    ] {
        world.account.define("contacts", spec).unwrap();
    }
    for name in ["renewal", "seen", "iban", "score"] {
        world
            .sim
            .subscribe_generic("object.propertyChange", "contacts", Some(name))
            .unwrap();
    }
    let listener = Listener::start(&world.sim).await;
    let ana = world
        .account
        .create(
            "contacts",
            &[
                ("renewal", "2026-09-30"),
                ("seen", "2026-07-02T20:06:05Z"),
                ("iban", "FR76"),
            ],
        )
        .unwrap();
    world
        .account
        .recalculate("contacts", ana, "score", "7")
        .unwrap();
    world.sim.settle().await;
    let mut values: Vec<(String, String, bool)> = listener
        .events()
        .iter()
        .map(|event| {
            assert_eq!(event["objectTypeId"], "0-1");
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            (
                text("propertyName"),
                text("propertyValue"),
                event["isSensitive"].as_bool().unwrap(),
            )
        })
        .collect();
    values.sort();
    assert_eq!(
        values,
        [
            ("iban".to_owned(), "REDACTED".to_owned(), true),
            ("renewal".to_owned(), "1790726400000".to_owned(), false),
            ("seen".to_owned(), "1783022765000".to_owned(), false),
        ]
    );
}

#[tokio::test]
async fn a_merge_sends_deletions_and_a_merge_and_no_property_changes() {
    let world = World::new().await;
    world.sim.subscribe_defaults();
    let account = &world.account;
    let one = account.create("companies", &[("name", "One")]).unwrap();
    let two = account
        .create("companies", &[("name", "Two"), ("domain", "two.example")])
        .unwrap();
    let listener = Listener::start(&world.sim).await;
    let into = account.merge("companies", one, two).unwrap();
    world.sim.settle().await;
    let events = listener.events();
    let mut gone: Vec<u64> = of_type(&events, "company.deletion")
        .iter()
        .map(|event| event["objectId"].as_u64().unwrap())
        .collect();
    gone.sort_unstable();
    assert_eq!(gone, [one, two]);
    let merge = of_type(&events, "company.merge")[0];
    assert_eq!(merge["primaryObjectId"], one);
    assert_eq!(merge["mergedObjectIds"], json!([two]));
    assert_eq!(merge["newObjectId"], into);
    assert_eq!(events.len(), 3);
}

#[tokio::test]
async fn both_sides_of_an_association_tell_of_each_of_its_types() {
    let world = World::new().await;
    world.sim.subscribe_defaults();
    let account = &world.account;
    let ana = account.create("contacts", &[]).unwrap();
    let company = account.create("companies", &[]).unwrap();
    let listener = Listener::start(&world.sim).await;
    account
        .associate(("contacts", ana), ("companies", company), Link::Primary)
        .unwrap();
    world.sim.settle().await;
    let events = listener.events();
    assert_eq!(events.len(), 4);
    for (kind, association, from) in [
        ("contact.associationChange", "CONTACT_TO_COMPANY", ana),
        ("company.associationChange", "COMPANY_TO_CONTACT", company),
    ] {
        let side = of_type(&events, kind);
        assert_eq!(side.len(), 2);
        assert!(
            side.iter()
                .all(|event| event["associationType"] == association
                    && event["fromObjectId"] == from
                    && event["associationRemoved"] == false
                    && event.get("objectId").is_none())
        );
        let primary = |event: &&&Value| event["isPrimaryAssociation"] == true;
        assert_eq!(side.iter().filter(primary).count(), 1);
    }
}

#[tokio::test]
async fn a_privacy_deletion_comes_with_a_deletion() {
    let world = World::new().await;
    world.sim.subscribe_defaults();
    let ana = world.account.create("contacts", &[]).unwrap();
    let listener = Listener::start(&world.sim).await;
    world.account.erase("contacts", ana).unwrap();
    world.sim.settle().await;
    let events = listener.events();
    assert_eq!(events.len(), 2);
    assert_eq!(of_type(&events, "contact.privacyDeletion").len(), 1);
    assert_eq!(of_type(&events, "contact.deletion").len(), 1);
    let bin = world.get("/crm/v3/objects/contacts?archived=true").await;
    assert_eq!(bin.body["results"], json!([]));
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_ten_times_within_a_day() {
    let world = World::new().await;
    world.sim.subscribe("contact.creation", None).unwrap();
    let listener = Listener::start(&world.sim).await;
    listener.answer_next(&[500, 404]);
    world.account.create("contacts", &[]).unwrap();
    let settled = world.sim.settle().await;
    assert_eq!((settled.delivered, settled.waiting), (0, 1));
    let settled = world.sim.drain().await;
    assert_eq!((settled.delivered, settled.waiting), (1, 0));
    let attempts: Vec<u64> = listener
        .events()
        .iter()
        .map(|event| event["attemptNumber"].as_u64().unwrap())
        .collect();
    assert_eq!(attempts, [0, 1, 2]);

    let began = world.sim.clock().now_ms();
    listener.answer_next(&[503; 11]);
    world.account.create("contacts", &[]).unwrap();
    let settled = world.sim.drain().await;
    assert_eq!(settled.given_up, 1);
    assert_eq!(listener.events().len(), 11);
    let day = Duration::from_secs(24 * 3_600).as_millis();
    let took = world.sim.clock().now_ms() - began;
    assert!(u128::from(took.unsigned_abs()) <= day);
}

#[tokio::test]
async fn bodies_hold_a_hundred_events_at_most() {
    let world = World::with(|config| config.webhooks.hold = true).await;
    world.sim.subscribe("contact.creation", None).unwrap();
    let listener = Listener::start(&world.sim).await;
    for _ in 0..1_250 {
        world.account.create("contacts", &[]).unwrap();
    }
    world.sim.settle().await;
    let sizes: Vec<usize> = listener.take().iter().map(|d| d.events().len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 1_250);
    assert_eq!(sizes.iter().filter(|size| **size == 100).count(), 12);
    assert_eq!(sizes.len(), 13);
}

#[tokio::test]
async fn one_seed_gives_one_disorder_with_repeats_and_losses() {
    async fn run(seed: u64) -> (Vec<Value>, u64) {
        let world = World::with(|config| {
            config.seed = seed;
            config.webhooks.hold = true;
            config.webhooks.repeats = 0.1;
            config.webhooks.disorder = 0.3;
            config.webhooks.loss = 0.05;
        })
        .await;
        world.sim.subscribe("contact.creation", None).unwrap();
        let listener = Listener::start(&world.sim).await;
        for _ in 0..90 {
            world.account.create("contacts", &[]).unwrap();
            world.sim.turn(Duration::from_secs(1));
        }
        let settled = world.sim.settle().await;
        (listener.events(), settled.lost)
    }
    let (events, lost) = run(42).await;
    let (again, _) = run(42).await;
    assert_eq!(events, again);
    let stamps: Vec<i64> = events
        .iter()
        .map(|event| event["occurredAt"].as_i64().unwrap())
        .collect();
    assert!(!stamps.is_sorted());
    let mut unique = stamps.clone();
    unique.sort_unstable();
    unique.dedup();
    assert!(unique.len() < stamps.len());
    assert_eq!(unique.len() as u64 + lost, 90);
    assert!(lost > 0);
}

#[tokio::test]
async fn nothing_is_sent_for_an_account_without_the_app() {
    let world = World::new().await;
    world.sim.subscribe_defaults();
    let listener = Listener::start(&world.sim).await;
    world.account.uninstall();
    world.account.create("contacts", &[]).unwrap();
    world.sim.settle().await;
    assert!(listener.take().is_empty());
}

#[tokio::test]
async fn one_body_may_carry_events_of_several_accounts() {
    let world = World::with(|config| {
        config.webhooks.hold = true;
        config.webhooks.mix_accounts = true;
    })
    .await;
    world.sim.subscribe("contact.creation", None).unwrap();
    let listener = Listener::start(&world.sim).await;
    let other = world.sim.account(62_515);
    other.install(&["oauth"]);
    world.account.create("contacts", &[]).unwrap();
    other.create("contacts", &[]).unwrap();
    world.sim.settle().await;
    let deliveries = listener.take();
    assert_eq!(deliveries.len(), 1);
    let mut portals: Vec<u64> = deliveries[0]
        .events()
        .iter()
        .map(|event| event["portalId"].as_u64().unwrap())
        .collect();
    portals.sort_unstable();
    assert_eq!(portals, [62_515, PORTAL]);
}

#[tokio::test]
async fn no_more_requests_are_in_flight_than_the_app_allows() {
    let world = World::with(|config| config.webhooks.hold = true).await;
    world.sim.subscribe("contact.creation", None).unwrap();
    let gauge = Arc::new(AtomicUsize::new(0));
    let highest = Arc::new(AtomicUsize::new(0));
    let (now, most) = (gauge.clone(), highest.clone());
    let slow = async move || {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(30)).await;
        now.fetch_sub(1, Ordering::SeqCst);
    };
    let app = Router::new().route("/hook", post(slow));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/hook", socket.local_addr().unwrap());
    world.sim.set_webhook_target(&target);
    tokio::spawn(async move { axum::serve(socket, app).await });
    for _ in 0..2_500 {
        world.account.create("contacts", &[]).unwrap();
    }
    let settled = world.sim.settle().await;
    assert_eq!(settled.delivered, 2_500);
    assert_eq!(highest.load(Ordering::SeqCst), 10);
}
