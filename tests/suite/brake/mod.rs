//! The brake of what comes live and of what a saved mapping derives anew: what
//! would take values from many users asks first. That of runs is beside them.

mod causes;
mod ends;
mod exempt;
mod first_readings;

use std::time::Duration;

use harness::world::World;
use jimo_connect::{config::JournalUse, store::projects::Role};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// Users, each of whom a contact gives a job title and a city.
struct Staff {
    world: World,
    connection: String,
    emails: Vec<String>,
    users: Vec<String>,
    contacts: Vec<u64>,
}

fn mappings() -> Value {
    json!({"contacts": {"fields": [
        {"property": "jobtitle", "variable": "job_title"},
        {"property": "city", "variable": "city"},
    ]}})
}

/// A world with so many of them, whose clock and HubSpot's tests turn.
async fn staff(count: usize) -> Staff {
    let world = World::start_at_noon(hubspot_sim::Config::default(), JournalUse::Off).await;
    let connection = world.connect(PORTAL).await;
    world.map(&connection, mappings()).await;
    let emails: Vec<_> = (0..count)
        .map(|n| format!("user-{n}@example.com"))
        .collect();
    let items: Vec<_> = emails
        .iter()
        .map(|email| json!({ "email": email }))
        .collect();
    let users = world.put_users(json!(items)).await;
    let account = world.account(PORTAL);
    let contacts = emails.iter().map(|email| {
        let values = [
            ("email", email.as_str()),
            ("jobtitle", "Cook"),
            ("city", "Lyon"),
        ];
        account.create("contacts", &values).unwrap()
    });
    let staff = Staff {
        contacts: contacts.collect(),
        world,
        connection,
        emails,
        users,
    };
    staff.settle().await;
    assert_eq!(staff.shown("Cook"), i64::try_from(count).unwrap());
    staff
}

impl Staff {
    /// Time passes, for both sides.
    fn pass(&self, seconds: u64) {
        let time = Duration::from_secs(seconds);
        // HubSpot's first: else it refuses what the host believes is allowed again.
        self.world.sim.turn(time);
        self.world.clock.turn(time);
    }

    /// What happened in HubSpot has come, and all of it was worked on.
    async fn settle(&self) {
        // The account allows so many calls a second.
        self.pass(10);
        self.world.settle().await;
    }

    /// Maps deals with this selection, too.
    async fn map_deals(&self, rule: &str, prefer_open: bool) {
        let mut mappings = mappings();
        mappings["deals"] = json!({
            "selection": {"rule": rule, "prefer_open": prefer_open},
            "fields": [{"property": "dealname", "variable": "deal"}],
        });
        let saved = self.world.map(&self.connection, mappings).await;
        assert_eq!(saved["deals"]["selection"]["rule"], rule, "{saved:#}");
        self.settle().await;
    }

    /// How many users show that.
    fn shown(&self, value: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM shown_values WHERE value = '{value}'");
        self.world.count(&sql)
    }

    /// These change at once, each of them a moment after what was before.
    fn patch(&self, contacts: &[u64], values: &[(&str, &str)]) {
        self.pass(1);
        let account = self.world.account(PORTAL);
        for contact in contacts {
            account.patch("contacts", *contact, values).unwrap();
        }
    }

    fn delete(&self, contacts: &[u64]) {
        self.pass(1);
        let account = self.world.account(PORTAL);
        for contact in contacts {
            account.delete("contacts", *contact).unwrap();
        }
    }

    fn restore(&self, contacts: &[u64]) {
        self.pass(1);
        let account = self.world.account(PORTAL);
        for contact in contacts {
            account.restore("contacts", *contact).unwrap();
        }
    }

    fn path(&self, path: &str) -> String {
        format!("/connections/{}{path}", self.connection)
    }

    /// What the connection asks, where it is held.
    async fn question(&self) -> Value {
        let connection = self.world.get(&self.path("")).await.good();
        assert_eq!(connection["status"], "active", "{connection:#}");
        connection["problem"].clone()
    }

    /// Waits until the connection is held no more.
    async fn ended(&self) {
        let is_over = async || self.question().await.is_null();
        self.world.until(is_over).await;
    }

    /// Lets the connection go on, and waits until it has.
    async fn go_on(&self) {
        let answer = self.world.post(&self.path("/continue"), json!({})).await;
        assert_eq!(answer.status, 202, "{:?}", answer.json);
        self.settle().await;
    }

    /// Where the connection was held and released, by activity, oldest first.
    async fn told(&self) -> Vec<(String, String)> {
        let (mut told, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = self.path(&format!("/activity?limit=200{cursor}"));
            let answer = self.world.get(&path).await;
            let link = answer
                .headers
                .get("link")
                .map(|link| link.to_str().unwrap());
            let next = link.and_then(|link| link.split_once("cursor="));
            let next = next.map(|(_, rest)| rest.split(['&', '>']).next().unwrap().to_owned());
            let lines = answer.good();
            let word = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
            let lines = lines.as_array().unwrap().iter();
            told.extend(
                lines
                    .map(|line| (word(line, "origin"), word(line, "outcome")))
                    .filter(|(_, outcome)| ["held", "released"].contains(&outcome.as_str())),
            );
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        told.reverse();
        told
    }

    /// A user who comes with a contact of their own; the user's id.
    async fn newcomer(&self, email: &str) -> String {
        let user = json!([{ "email": email }]);
        let user = self.world.put_users(user).await.remove(0);
        let values = [("email", email), ("jobtitle", "Chef")];
        let account = self.world.account(PORTAL);
        account.create("contacts", &values).unwrap();
        user
    }
}

fn pair(origin: &str, outcome: &str) -> (String, String) {
    (origin.to_owned(), outcome.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_deletion_is_held_before_more_than_a_hundred_users_lose_their_values() {
    let mut staff = staff(150).await;
    // Of another project, whose few users do lose theirs.
    let project = staff.world.make_project("Southwind").await;
    let token = staff.world.make_token(Some(&project), Role::Admin).await;
    let north = (
        std::mem::replace(&mut staff.world.project, project),
        std::mem::replace(&mut staff.world.token, token),
    );
    let other = staff.world.connect(PORTAL).await;
    staff.world.map(&other, mappings()).await;
    let first: Vec<_> = staff.emails[..20]
        .iter()
        .map(|email| json!({ "email": email }))
        .collect();
    let few = staff.world.put_users(json!(first)).await;
    staff.settle().await;
    assert_eq!(staff.world.values(&few[0]).await["job_title"], "Cook");

    staff.delete(&staff.contacts[..140]);
    staff.settle().await;
    assert_eq!(staff.world.values(&few[0]).await, json!({}));
    assert_eq!(staff.world.values(&few[19]).await, json!({}));
    let south = staff
        .world
        .get(&format!("/connections/{other}"))
        .await
        .good();
    assert!(south["problem"].is_null(), "{south:#}");

    (staff.world.project, staff.world.token) = north;
    let left = staff.shown("Cook");
    assert!((50..=150).contains(&left), "{left}");
    let question = staff.question().await;
    assert_eq!(question["code"], "braked");
    let detail = question["detail"].as_str().unwrap();
    let held = left - 10;
    assert!(
        detail.contains(&format!(" {held} more users. ")),
        "{detail}"
    );
    assert!(!detail.contains("usr_"), "{detail}");
    // They are named by what people know them by, and show their values still.
    let connection = staff.world.get(&staff.path("")).await.good();
    let named = connection["held_users"].as_array().unwrap();
    assert_eq!(named.len(), 10.min(held as usize), "{connection:#}");
    for user in named {
        let email = user["email"].as_str().unwrap();
        assert!(staff.emails.iter().any(|one| one == email), "{email}");
        let values = staff.world.values(user["id"].as_str().unwrap()).await;
        assert_eq!(values["job_title"], "Cook", "{email}");
    }
    let (_, metrics) = staff.world.page(staff.world.host().url("/metrics")).await;
    assert!(
        metrics.contains("jimo_connect_connections_held 1\n"),
        "{metrics}"
    );

    // All else goes on.
    staff.patch(&staff.contacts[140..], &[("city", "Rome")]);
    let newcomer = staff.newcomer("new@example.com").await;
    staff.settle().await;
    assert_eq!(staff.shown("Rome"), 10);
    assert_eq!(
        staff.world.values(&newcomer).await,
        json!({"job_title": "Chef"})
    );
    assert_eq!(staff.shown("Cook"), left);
    assert_eq!(staff.told().await, [pair("brake", "held")]);

    staff.go_on().await;
    assert_eq!((staff.shown("Cook"), staff.shown("Lyon")), (10, 0));
    assert_eq!(staff.shown("Rome"), 10);
    assert!(staff.question().await.is_null());
    assert_eq!(
        staff.told().await,
        [pair("brake", "held"), pair("admin", "released")]
    );
    let again = staff.world.post(&staff.path("/continue"), json!({})).await;
    again.problem(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_as_a_share_of_the_users_may_lose_values_and_no_more() {
    let staff = staff(600).await;
    // In small deliveries, so that it is seen how far it goes.
    for some in staff.contacts[..150].chunks(10) {
        staff.delete(some);
        staff.world.settle().await;
    }
    assert_eq!(staff.shown("Cook"), 480);
    assert_eq!(staff.question().await["code"], "braked");
    assert_eq!(staff.told().await, [pair("brake", "held")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_users_lose_their_values_unasked() {
    let staff = staff(100).await;
    staff.delete(&staff.contacts);
    staff.settle().await;
    assert_eq!(staff.shown("Cook"), 0);
    assert!(staff.question().await.is_null());
    assert_eq!(staff.told().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_an_hour_apart_does_not_add_up() {
    let staff = staff(180).await;
    staff.delete(&staff.contacts[..90]);
    staff.settle().await;
    staff.pass(3_600);
    staff.delete(&staff.contacts[90..]);
    staff.settle().await;
    assert_eq!(staff.shown("Cook"), 0);
    assert_eq!(staff.told().await, []);
}
