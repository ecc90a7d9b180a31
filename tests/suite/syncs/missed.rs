//! What live had missed, by kind.

use harness::world::World;
use hubspot_sim::{Account, Link};
use serde_json::{Value, json};

use super::{PORTAL, mappings, silent, sync, users};

const EMAILS: [&str; 6] = [
    "deleted@example.com",
    "merged@example.com",
    "associated@example.com",
    "changed@example.com",
    "calculated@example.com",
    "matched@example.com",
];

/// Contacts of all but the last user, and what the rest of the story needs.
struct Cast {
    contacts: Vec<u64>,
    other: u64,
    company: u64,
}

fn create(account: &Account, email: &str, title: &str) -> u64 {
    let values = [("email", email), ("jobtitle", title)];
    account.create("contacts", &values).unwrap()
}

/// One of each kind happens.
fn one_of_each(account: &Account, cast: &Cast, title: &str, is_told: bool) {
    let [deleted, merged, associated, changed, calculated] = cast.contacts[..] else {
        panic!("five contacts");
    };
    account.delete("contacts", deleted).unwrap();
    account.merge("contacts", cast.other, merged).unwrap();
    let (contact, company) = (("contacts", associated), ("companies", cast.company));
    account.associate(contact, company, Link::Primary).unwrap();
    account
        .patch("contacts", changed, &[("jobtitle", title)])
        .unwrap();
    create(account, EMAILS[5], title);
    if !is_told {
        account
            .recalculate("contacts", calculated, "jobtitle", title)
            .unwrap();
    }
}

async fn world() -> (World, String, Vec<String>, Cast) {
    let (world, connection) = silent().await;
    let ids = users(&world, &EMAILS).await;
    let account = world.account(PORTAL);
    let contacts = EMAILS[..5]
        .iter()
        .map(|email| create(&account, email, "Cook"));
    let cast = Cast {
        contacts: contacts.collect(),
        other: create(&account, "other@example.com", "Sailor"),
        company: account.create("companies", &[("name", "Acme")]).unwrap(),
    };
    // It is known, and feeds another.
    let changed = ("contacts", cast.contacts[3]);
    let company = ("companies", cast.company);
    account.associate(changed, company, Link::Primary).unwrap();
    world.map(&connection, mappings()).await;
    sync(&world, &connection, "full").await;
    (world, connection, ids, cast)
}

/// What users show after one of each.
async fn check(world: &World, ids: &[String], calculated: &str) {
    let expected = [
        json!({}),
        json!({"job_title": "Sailor"}),
        json!({"job_title": "Cook", "company": "Acme"}),
        json!({"job_title": "Chef", "company": "Acme"}),
        json!({ "job_title": calculated }),
        json!({"job_title": "Chef"}),
    ];
    for (id, expected) in ids.iter().zip(expected) {
        assert_eq!(world.values(id).await, expected);
    }
}

fn kinds(count: u64) -> Value {
    json!({
        "deletion": count, "merge": count, "association": count,
        "property": count, "calculated": count, "match": count,
    })
}

async fn metric(world: &World, kind: &str) -> Option<f64> {
    let (_, text) = world.page(world.host().url("/metrics")).await;
    let name = format!("jimo_connect_missed{{kind=\"{kind}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.map(|value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catch_up_says_of_which_kind_it_was() {
    let (world, connection, ids, cast) = world().await;
    let account = world.account(PORTAL);
    // Live works, until it is cut off.
    world.sim.set_webhooks(|knobs| knobs.loss = 0.0);
    super::pass(&world, 60);
    let calculated = cast.contacts[4];
    account
        .patch("contacts", calculated, &[("jobtitle", "Baker")])
        .unwrap();
    world.settle().await;
    super::lose_webhooks(&world);
    super::pass(&world, 60);
    one_of_each(&account, &cast, "Chef", false);
    let run = sync(&world, &connection, "catch_up").await;
    check(&world, &ids, "Chef").await;
    assert_eq!(run["counts"]["missed"], kinds(1), "{run}");
    assert_eq!(run["counts"]["updated"], 6, "{run}");
    assert_eq!(metric(&world, "calculated").await, Some(1.0));

    // The next one finds nothing.
    let run = sync(&world, &connection, "catch_up").await;
    assert_eq!(run["counts"]["missed"], kinds(0), "{run}");
    assert_eq!(metric(&world, "calculated").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catch_up_finds_nothing_where_live_did_its_work() {
    let (world, connection, ids, cast) = world().await;
    world.sim.set_webhooks(|knobs| knobs.loss = 0.0);
    super::pass(&world, 60);
    one_of_each(&world.account(PORTAL), &cast, "Chef", true);
    let settled = async || {
        // Reads that come too soon are made again.
        super::pass(&world, 1);
        world.values(&ids[5]).await == json!({"job_title": "Chef"})
            && world.count("SELECT count(*) FROM reads") == 0
    };
    world.until(settled).await;
    world.settle().await;
    check(&world, &ids, "Cook").await;
    let run = sync(&world, &connection, "catch_up").await;
    assert_eq!(run["counts"]["missed"], kinds(0), "{run}");
    assert_eq!(run["counts"]["updated"], 0, "{run}");
    // What a full sync does says nothing of live.
    let full = sync(&world, &connection, "full").await;
    assert_eq!(full["counts"]["missed"], Value::Null, "{full}");
}
