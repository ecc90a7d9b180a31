//! A full sync of the program itself, killed again and again.

use std::time::Duration;

use harness::{
    program::{Program, Simulated},
    world::World,
};
use hubspot_sim::{Limits, Link};
use jimo_connect::{clock::Clock, model::RunId};
use serde_json::json;

use super::{PORTAL, lose_webhooks, mappings};
use crate::durability::random::Random;

/// How often it is killed, where `KILL_ROUNDS` does not say.
const ROUNDS: u32 = 6;

/// Contacts, each of a user.
const CONTACTS: u64 = 3_000;

/// Every hundredth contact has a company.
const COMPANIES: u64 = CONTACTS / 100;

/// It is killed after at most so many milliseconds.
const LATER_MAX: u64 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_where_it_was_and_counts_nothing_twice() {
    let rounds = std::env::var("KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut random = Random::seeded_by("KILL_SEED");
    let hubspot = hubspot_sim::Config {
        limits: Limits::unlimited(),
        ..hubspot_sim::Config::default()
    };
    let mut world = World::start_with(hubspot, Clock::system()).await;
    let emails: Vec<_> = (0..CONTACTS)
        .map(|n| format!("user-{n}@example.com"))
        .collect();
    // Before anything is connected: nobody is looked up.
    for some in emails.chunks(1_000) {
        let items: Vec<_> = some.iter().map(|email| json!({ "email": email })).collect();
        world.put_users(json!(items)).await;
    }
    lose_webhooks(&world);
    let connection = world.connect(PORTAL).await;
    let account = world.account(PORTAL);
    for (number, email) in emails.iter().enumerate() {
        let values = [("email", email.as_str()), ("jobtitle", "Cook")];
        let contact = account.create("contacts", &values).unwrap();
        if number % 100 == 0 {
            let company = account.create("companies", &[("name", email)]).unwrap();
            let ends = (("contacts", contact), ("companies", company));
            account.associate(ends.0, ends.1, Link::Primary).unwrap();
        }
    }
    let mut mapped = mappings();
    mapped.as_object_mut().unwrap().remove("deals");
    world.map(&connection, mapped).await;
    world.settle().await;
    let path = format!("/connections/{connection}/syncs");
    world.stop().await;

    let hubspot = Simulated::of(&world.sim);
    let directory = world.directory.path().to_path_buf();
    let run = ask(&directory, &connection);
    for _ in 0..rounds {
        let program = Program::start(&directory, &hubspot.settings());
        tokio::time::sleep(Duration::from_millis(random.below(LATER_MAX))).await;
        program.kill();
    }
    world.restart().await;
    let run = super::over(&world, &connection, &run.to_string()).await;
    assert_eq!(run["status"], "completed", "{run}");
    let counts = &run["counts"];
    assert_eq!(counts["read"], CONTACTS + COMPANIES, "{run}");
    assert_eq!(
        counts["values"],
        json!({"set": CONTACTS + COMPANIES}),
        "{run}"
    );
    let listed = world.get(&path).await.good();
    assert_eq!(listed["syncs"][0]["id"], run["id"]);
    let last = world.user_by_email(&emails[0]).await;
    assert_eq!(last["variables"]["company"]["value"], emails[0]);
}

/// Asks for a full sync by the command line.
fn ask(directory: &std::path::Path, connection: &str) -> RunId {
    let asked = std::process::Command::new(harness::program::path())
        .args(["sync", "full", "--connection", connection])
        .env("JIMO_DATA_DIR", directory)
        .output()
        .unwrap();
    let said = String::from_utf8(asked.stdout).unwrap();
    let id = said
        .trim()
        .strip_prefix("requested ")
        .unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&asked.stderr)));
    id.parse().unwrap()
}
