//! One account's slow or failing HubSpot delays nobody else, and neither does what many
//! accounts have to be done that can wait.

use std::{
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use futures_util::{future::join_all, poll};
use harness::world::World;
use hubspot_sim::{Config, FaultRule, Link, Route, Trouble};
use jimo_connect::{
    clock::Clock,
    store::{self, Store},
};
use serde_json::json;
use tempfile::TempDir;

/// The account whose HubSpot fails.
const FAILS: u64 = 1_001;

/// The account whose HubSpot works.
const WORKS: u64 = 1_002;

/// Past the end of a token's life, of half an hour.
const OVER: Duration = Duration::from_secs(1_801);

/// More than any wait for a moment, and past what may come at midnight.
const STEP: Duration = Duration::from_secs(3_600);

/// Two accounts that are connected to a project, and users whose contacts they
/// will have.
struct Two {
    world: World,
    /// The connections of the account that fails, and of the one that works.
    connections: [String; 2],
    ana: String,
    ben: String,
}

impl Two {
    async fn start() -> Self {
        let world = World::start().await;
        let fails = connect(&world, FAILS, "failing_title").await;
        let works = connect(&world, WORKS, "working_title").await;
        let users = json!([{"email": "ana@example.com"}, {"email": "ben@example.com"}]);
        let mut users = world.put_users(users).await;
        let (ben, ana) = (users.remove(1), users.remove(0));
        Self {
            world,
            connections: [fails, works],
            ana,
            ben,
        }
    }

    /// A contact of an account; to fill its user's values takes a read.
    fn create(&self, portal: u64, email: &str, title: &str) -> u64 {
        let values = [("email", email), ("jobtitle", title)];
        let account = self.world.account(portal);
        account.create("contacts", &values).unwrap()
    }

    fn change(&self, portal: u64, contact: u64, title: &str) {
        let account = self.world.account(portal);
        account
            .patch("contacts", contact, &[("jobtitle", title)])
            .unwrap();
    }

    async fn shows(&self, user: &str, variable: &str, title: &str) -> bool {
        self.world.values(user).await[variable] == title
    }

    async fn until_shown(&self, user: &str, variable: &str, title: &str) {
        let is_shown = async || self.shows(user, variable, title).await;
        self.world.until(is_shown).await;
    }

    async fn properties(&self, connection: &str) -> u16 {
        let path = format!("/connections/{connection}/properties?object_type=contacts");
        self.world.get(&path).await.status
    }
}

/// A connection that maps contacts' titles to a variable.
async fn connect(world: &World, portal: u64, variable: &str) -> String {
    let connection = world.connect(portal).await;
    let fields = json!([{"property": "jobtitle", "variable": variable}]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    connection
}

/// One account's calls fail in a way. Reads of the other, live changes of both,
/// and the API go on; and what the first one missed comes once it is mended.
async fn check_trouble(trouble: Trouble) {
    let two = Two::start().await;
    let contact = two.create(FAILS, "ana@example.com", "Cook");
    two.world.settle().await;
    two.world.sim.clear_calls();
    let fault = FaultRule::by_chance(trouble, 1.0).of(FAILS);
    two.world.sim.inject(fault);

    two.create(FAILS, "ben@example.com", "Baker");
    let is_called = async || !two.world.sim.calls().is_empty();
    two.world.until(is_called).await;
    let works = two.create(WORKS, "ben@example.com", "Brewer");
    two.until_shown(&two.ben, "working_title", "Brewer").await;
    two.change(WORKS, works, "Butler");
    two.until_shown(&two.ben, "working_title", "Butler").await;
    two.change(FAILS, contact, "Chef");
    two.until_shown(&two.ana, "failing_title", "Chef").await;
    assert_eq!(two.properties(&two.connections[1]).await, 200);
    assert!(!two.shows(&two.ben, "failing_title", "Baker").await);

    two.world.sim.clear_faults();
    let is_mended = async || {
        two.world.clock.turn(STEP);
        two.shows(&two.ben, "failing_title", "Baker").await
    };
    two.world.until(is_mended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_calls_are_not_answered_delays_no_other() {
    check_trouble(Trouble::Held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_answers_break_off_delays_no_other() {
    check_trouble(Trouble::CutBody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_told_to_wait_delays_no_other() {
    check_trouble(Trouble::TooManyRequests).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_day_is_spent_delays_no_other() {
    check_trouble(Trouble::DailyLimit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_hubspot_is_down_delays_no_other() {
    check_trouble(Trouble::Status(502)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_token_is_not_renewed_delays_no_other() {
    let two = Two::start().await;
    two.world.settle().await;
    let asked = || {
        let calls = two.world.sim.calls();
        let asked = calls.iter().filter(|call| call.path.ends_with("/token"));
        asked.count()
    };
    let before = asked();
    two.world.clock.turn(OVER);
    let hangs = FaultRule::once(Route::Token, Trouble::Held);
    two.world.sim.inject(hangs);
    // As a look at its properties asks for it, and waits.
    let fails = two
        .world
        .request(
            reqwest::Method::GET,
            &format!(
                "/connections/{}/properties?object_type=contacts",
                two.connections[0]
            ),
        )
        .send();
    let waits = tokio::spawn(fails);
    two.world.until(async || asked() == before + 1).await;

    assert_eq!(two.properties(&two.connections[1]).await, 200);
    assert_eq!(asked(), before + 2);
    assert!(!waits.is_finished());
    two.world.sim.clear_faults();
    assert_eq!(waits.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_hubspot_does_not_take_back_holds_up_no_other() {
    let two = Two::start().await;
    two.world.settle().await;
    let given_back = || {
        let calls = two.world.sim.calls();
        let made = calls.iter().filter(|call| call.path.ends_with("/revoke"));
        made.count()
    };
    let hangs = FaultRule::once(Route::Token, Trouble::Held);
    two.world.sim.inject(hangs);
    for (count, connection) in (1..).zip(&two.connections) {
        let path = format!("/connections/{connection}");
        assert_eq!(two.world.delete(&path).await.status, 204);
        two.world.until(async || given_back() == count).await;
    }
    let installed = async || !two.world.account(WORKS).is_installed();
    two.world.until(installed).await;
    two.world.sim.clear_faults();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_of_read_that_is_refused_delays_no_other_kind_of_its_account() {
    // A clock that stands: whatever waits for a moment waits for ever.
    let clock = Clock::manual(Clock::system().now());
    let world = World::start_with(Config::default(), clock).await;
    let connection = world.connect(FAILS).await;
    let fields = |property: &str, variable: &str| json!({"fields": [{"property": property, "variable": variable}]});
    let mappings = json!({
        "contacts": fields("jobtitle", "job_title"),
        "companies": fields("name", "company"),
    });
    world.map(&connection, mappings).await;
    let users = json!([{"email": "ana@example.com"}, {"email": "ben@example.com"}]);
    let users = world.put_users(users).await;
    let refusal = FaultRule::by_chance(Trouble::Status(400), 1.0).on(Route::Associations);
    world.sim.inject(refusal);

    let account = world.account(FAILS);
    let create = |email: &str| {
        let contact = account.create("contacts", &[("email", email), ("jobtitle", "Cook")]);
        let company = account.create("companies", &[("name", "Northwind")]);
        let ends = (
            ("contacts", contact.unwrap()),
            ("companies", company.unwrap()),
        );
        account.associate(ends.0, ends.1, Link::Primary).unwrap();
    };
    create("ana@example.com");
    // In halves, down to the one that is put off.
    let refused = || {
        let calls = world.sim.calls();
        let refused = calls
            .iter()
            .filter(|call| call.route == Route::Associations);
        refused.count()
    };
    world.until(async || refused() >= 7).await;
    create("ben@example.com");
    let is_read = async || world.values(&users[1]).await["job_title"] == "Cook";
    world.until(is_read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_waits_for_little_of_what_can_wait() {
    let directory = TempDir::new().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let (go_on, told) = mpsc::channel::<()>();
    let mut busy = pin!(store.transact(move |_| {
        // Whoever tells it goes on.
        let _ = told.recv();
        Ok(())
    }));
    assert!(poll!(&mut busy).is_pending());
    let done = Arc::new(Mutex::new(Vec::new()));
    let writes = |what: &'static str| {
        let done = done.clone();
        move |_: &store::Tx<'_>| {
            done.lock().unwrap().push(what);
            Ok(())
        }
    };
    let mut waits = pin!(join_all(
        (0..100).map(|_| store.transact_behind(writes("behind")))
    ));
    assert!(poll!(&mut waits).is_pending());
    let mut read = pin!(store.transact_much(writes("read")));
    assert!(poll!(&mut read).is_pending());
    let mut small = pin!(store.transact(writes("small")));
    assert!(poll!(&mut small).is_pending());

    go_on.send(()).unwrap();
    busy.await.unwrap();
    read.await.unwrap();
    small.await.unwrap();
    assert!(waits.await.iter().all(Result::is_ok));
    let done = done.lock().unwrap();
    assert_eq!(done.len(), 102);
    assert_eq!(done[..4], ["behind", "behind", "read", "small"]);
}
