//! What syncing costs and how long it takes: a host before a simulated HubSpot,
//! both in this process, or the program by itself where its memory counts.
//! `cargo bench --package jimo-connect-tests --bench sync -- NAME`, or no name for
//! all: `full`, `rule`, `arrivals`, `live`, `many`, `large`.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on fails by panicking"
)]

mod large;

use std::time::{Duration, Instant};

use harness::world::World;
use hubspot_sim::{Account, Call, Config, Limits, Route};
use jimo_connect::clock::Clock;
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// How often something that waits for the host is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

fn main() {
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        println!("| what | figure |\n| --- | --- |");
        if is_wanted("full") {
            full_sync("within HubSpot's limits", Limits::marketplace(), 30_000).await;
            let how = "where HubSpot allows a thousand calls a second";
            full_sync(how, free(), 100_000).await;
        }
        if is_wanted("rule") {
            another_rule(100_000).await;
        }
        if is_wanted("arrivals") {
            arrivals().await;
        }
        if is_wanted("live") {
            live().await;
        }
        if is_wanted("many") {
            many(100, 1_000).await;
        }
        if is_wanted("large") {
            large::full_sync(1_000_000).await;
        }
    });
}

/// Far more than HubSpot allows.
fn free() -> Limits {
    Limits {
        per_ten_seconds: Some(10_000),
        search_per_second: None,
        ..Limits::marketplace()
    }
}

/// Makes contacts with these addresses; their ids.
fn create(account: &Account, emails: &[String]) -> Vec<u64> {
    let contact = |email: &String| {
        let values = [("email", email.as_str()), ("jobtitle", "Cook")];
        account.create("contacts", &values).unwrap()
    };
    emails.iter().map(contact).collect()
}

/// A world whose webhooks are lost, or not, with contacts mapped; its
/// connection's id.
async fn world(limits: Limits, emails: &[String]) -> (World, String) {
    let config = Config {
        limits,
        ..Config::default()
    };
    let world = World::start_with(config, Clock::system()).await;
    put(&world, emails).await;
    let connection = world.connect(PORTAL).await;
    let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    (world, connection)
}

async fn put(world: &World, emails: &[String]) {
    for some in emails.chunks(1_000) {
        let items: Vec<_> = some.iter().map(|email| json!({ "email": email })).collect();
        world.put_users(json!(items)).await;
    }
}

fn emails(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!("user-{n}@example.com"))
        .collect()
}

/// A full sync of so many contacts, each of a user.
async fn full_sync(how: &str, limits: Limits, contacts: usize) {
    let allowed = limits.per_ten_seconds;
    let emails = emails(contacts);
    let (world, connection) = world(limits, &emails).await;
    world.sim.set_webhooks(|knobs| knobs.loss = 1.0);
    let account = world.account(PORTAL);
    create(&account, &emails);
    world.sim.clear_calls();
    let begun = Instant::now();
    let run = synced(&world, &connection).await;
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(run["counts"]["updated"], contacts, "{run}");
    let calls = world.sim.calls();
    let refused = calls.iter().filter(|call| call.status == 429).count();
    println!(
        "| full sync of {contacts} contacts {how}: records a second | {:.0} |",
        contacts as f64 / seconds
    );
    println!(
        "| calls, and of them refused with 429 | {}, {refused} |",
        calls.len()
    );
    if let Some(allowed) = allowed.filter(|allowed| *allowed < 1_000) {
        let most = busiest(&calls);
        println!("| the most calls in ten seconds, of {allowed} | {most} |");
    }
}

/// Runs a full sync; what is said of it in the end.
async fn synced(world: &World, connection: &str) -> Value {
    let path = format!("/connections/{connection}/syncs");
    let started = world.post(&path, json!({"kind": "full"})).await.good();
    let path = format!("{path}/{}", started["id"].as_str().unwrap());
    loop {
        let run = world.get(&path).await.good();
        if run["status"] != "running" {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Another matching rule for so many contacts, each linked to a user: how long it takes
/// to be saved, in the one transaction that everybody's values wait for, and until all is
/// let go of that came of the old one.
async fn another_rule(contacts: usize) {
    let emails = emails(contacts);
    let (world, connection) = world(free(), &emails).await;
    create(&world.account(PORTAL), &emails);
    let run = synced(&world, &connection).await;
    assert_eq!(run["status"], "completed", "{run}");
    let path = format!("/connections/{connection}/mappings");
    let mut mappings = world.get(&path).await.good();
    mappings["contacts"]["matching"]["user"] = "external_id".into();
    let begun = Instant::now();
    let path = format!("{path}?removed=clear");
    world.put(&path, mappings).await.good();
    let saved = begun.elapsed().as_secs_f64();
    let left = "SELECT (SELECT count(*) FROM purges) + (SELECT count(*) FROM releases)";
    while world.count(left) > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let done = begun.elapsed().as_secs_f64();
    println!(
        "| another matching rule for {contacts} linked contacts: until it is saved / until all is let go of | {saved:.2} / {done:.1} s |"
    );
}

/// The most calls that count in the general limit in any ten seconds.
fn busiest(calls: &[Call]) -> usize {
    let counted = calls.iter().filter(|call| call.route == Route::List);
    let moments: Vec<i64> = counted.map(|call| call.at_ms).collect();
    let within = |at: i64| {
        let window = at..at + 10_000;
        moments
            .iter()
            .filter(|moment| window.contains(moment))
            .count()
    };
    moments.iter().map(|at| within(*at)).max().unwrap_or(0)
}

/// Users who come, one by one and ten thousand at once.
async fn arrivals() {
    let (world, _) = world(Limits::marketplace(), &[]).await;
    world.sim.set_webhooks(|knobs| knobs.loss = 1.0);
    let account = world.account(PORTAL);
    let emails = emails(10_000);
    create(&account, &emails);
    let mut times = Vec::new();
    for email in &emails[..30] {
        let begun = Instant::now();
        let items = json!([{ "email": email }]);
        let id = world.put_users(items).await.remove(0);
        while world.values(&id).await == Value::Object(Default::default()) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        times.push(begun.elapsed());
    }
    times.sort();
    println!(
        "| from a user's arrival to their values, p50 / the longest of 30, HubSpot's own time being none | {} / {} ms |",
        times[15].as_millis(),
        times[29].as_millis()
    );
    world.sim.clear_calls();
    let begun = Instant::now();
    put(&world, &emails[30..]).await;
    world.settle().await;
    println!(
        "| ten thousand arrivals at once: calls, and seconds until all have their values | {}, {:.0} |",
        world.sim.calls().len(),
        begun.elapsed().as_secs_f64()
    );
}

/// Calls that a thousand changes cost.
async fn live() {
    let emails = emails(1_000);
    let (world, _) = world(Limits::marketplace(), &emails).await;
    let account = world.account(PORTAL);
    let make = |prefix: &str| -> Vec<u64> {
        let create = |number: usize| {
            let email = format!("{prefix}-{number}@example.com");
            account.create("contacts", &[("email", &email)]).unwrap()
        };
        (0..1_000).map(create).collect()
    };
    for (what, prefix) in [("users", "user"), ("strangers", "stranger")] {
        world.settle().await;
        world.sim.clear_calls();
        let ids = make(prefix);
        world.settle().await;
        let calls = world.sim.calls().len();
        println!("| calls for a thousand new contacts of {what} | {calls} |");
        world.sim.clear_calls();
        for id in ids {
            account
                .patch("contacts", id, &[("jobtitle", "Chef")])
                .unwrap();
        }
        world.settle().await;
        let calls = world.sim.calls().len();
        println!("| calls for a thousand changes of known contacts of {what} | {calls} |");
    }
}

/// How long an account's changes take to show, alone, and beside full syncs of so many
/// other accounts.
async fn many(accounts: u64, contacts: usize) {
    let emails = emails(contacts);
    let (world, _) = world(free(), &emails).await;
    world.sim.set_webhooks(|knobs| knobs.loss = 1.0);
    let mut others = Vec::new();
    for number in 1..=accounts {
        let connection = world.connect(PORTAL + number).await;
        let variable = format!("title_{number}");
        let fields = json!([{"property": "jobtitle", "variable": variable}]);
        world
            .map(&connection, json!({"contacts": {"fields": fields}}))
            .await;
        create(&world.account(PORTAL + number), &emails);
        others.push(connection);
    }
    world.sim.set_webhooks(|knobs| knobs.loss = 0.0);
    let account = world.account(PORTAL);
    let contact = create(&account, &emails[..1])[0];
    let users = world.get("/users?limit=1").await.good();
    let user = users["users"][0]["id"].as_str().unwrap().to_owned();
    let shows = async |title: &str| {
        let begun = Instant::now();
        account
            .patch("contacts", contact, &[("jobtitle", title)])
            .unwrap();
        while world.values(&user).await["job_title"] != title {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        begun.elapsed()
    };
    world.settle().await;
    let mut times = Vec::new();
    for number in 0..100 {
        times.push(shows(&format!("Chef {number}")).await);
    }
    println!(
        "| from HubSpot's change to the user's value, p50 / p99 | {} |",
        spread(&mut times)
    );
    let begun = Instant::now();
    for connection in &others {
        let path = format!("/connections/{connection}/syncs");
        world.post(&path, json!({"kind": "full"})).await.good();
    }
    let mut times = Vec::new();
    while world.count("SELECT count(*) FROM runs WHERE status = 'running'") > 0 {
        times.push(shows(&format!("Baker {}", times.len())).await);
    }
    println!(
        "| the same beside full syncs of {accounts} accounts, each of {contacts} contacts | {} |\n\
         | records of these a second meanwhile | {:.0} |",
        spread(&mut times),
        (accounts * contacts as u64) as f64 / begun.elapsed().as_secs_f64()
    );
}

fn spread(times: &mut [Duration]) -> String {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_millis();
    format!("{} / {} ms", at(0.5), at(0.99))
}
