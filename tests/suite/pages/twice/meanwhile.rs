//! Forms that are pressed again while they are under way, or that nobody waits for.

use std::time::Duration;

use harness::settled::until;
use hubspot_sim::{FaultRule, PropertySpec, Route, Trouble};
use jimo_connect::{
    model::{ConnectionId, Timestamp},
    secrets::{Secret, hash_token},
    store::projects::Role,
    web::session::SESSION_IDLE,
};
use reqwest::{Response, StatusCode};
use tokio::net::TcpStream;

use super::{
    super::{
        location,
        world::{Browser, PATIENCE, World, hidden},
    },
    CONNECTION, TokenForm, action,
};

const MATCHING: &str = "/settings/integrations/con_1/matching";

/// Has a property, of which the host knows nothing.
fn define_customer_number(world: &World) {
    let spec = PropertySpec::text("customer_no").label("Customer number");
    world.account.define("contacts", spec).unwrap();
}

/// A form that has contacts matched by a property, of the page that shows it.
#[derive(Clone)]
struct RuleForm {
    path: String,
    csrf: String,
    version: String,
}

impl RuleForm {
    async fn load(browser: &Browser<'_>, property: &str) -> Self {
        let query = format!("?object_type=contacts&way=own&property={property}&user=external_id");
        let page = browser.page(&format!("{MATCHING}{query}")).await;
        Self {
            path: format!("{MATCHING}?once=mark"),
            csrf: browser.csrf().await,
            version: hidden(&page, "version").to_owned(),
        }
    }

    async fn send(&self, browser: &Browser<'_>, property: &str) -> Response {
        let form = [
            ("csrf", self.csrf.as_str()),
            ("object_type", "contacts"),
            ("way", "own"),
            ("property", property),
            ("user", "external_id"),
            ("version", self.version.as_str()),
        ];
        browser.post(&self.path, &form).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_is_done_though_nobody_waits_and_told_to_who_presses_again() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let form = RuleForm::load(&browser, "email").await;
    define_customer_number(&world);
    hold_properties(&world);
    tokio::select! {
        answer = form.send(&browser, "customer_no") => panic!("{answer:?}"),
        () = is_asked(&world) => {}
    }
    // The host has seen that the browser went.
    browser.page("/users").await;
    world.sim.clear_faults();

    let id: ConnectionId = "con_1".parse().unwrap();
    let mut changed = world.host.pipeline.changed();
    let before: i64 = form.version.parse().unwrap();
    let mut is_saved = async || {
        loop {
            changed.mark_unchanged();
            let version = world.host.store.read(move |tx| tx.mappings_version(id));
            if version.await.unwrap() > before {
                break;
            }
            changed.changed().await.unwrap();
        }
    };
    let saved = tokio::time::timeout(PATIENCE, is_saved()).await;
    saved.expect("it is saved");
    let again = form.send(&browser, "customer_no").await;
    assert_eq!(location(&again), format!("{MATCHING}?saved=true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_looked_at_anew() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let form = RuleForm::load(&browser, "email").await;
    let refused = form.send(&browser, "customer_no").await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    define_customer_number(&world);
    let saved = form.send(&browser, "customer_no").await;
    assert_eq!(location(&saved), format!("{MATCHING}?saved=true"));

    let fields = format!("{CONNECTION}/fields");
    let csrf = browser.csrf().await;
    let add = [
        ("csrf", csrf.as_str()),
        ("object_type", "contacts"),
        ("property", "firstname"),
        ("variable", "first_name"),
    ];
    browser.post(&format!("{fields}/add"), &add).await;
    let path = format!("{fields}/review");
    let page = browser.page(&path).await;
    let version = hidden(&page, "version");
    let draft = hidden(&page, "draft");
    let save = [
        ("csrf", csrf.as_str()),
        ("version", version),
        ("draft", draft),
    ];
    let save = async || browser.post(action(&page, &path), &save).await;
    world
        .account
        .archive_property("contacts", "customer_no")
        .unwrap();
    // Of what HubSpot defines, a minute is kept.
    world.host.clock.turn(Duration::from_secs(120));
    let refused = save().await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let told = refused.text().await.unwrap();
    assert!(told.contains("It could not be saved"), "{told}");
    define_customer_number(&world);
    assert_eq!(location(&save().await), format!("{fields}?saved=1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_press_waits_for_what_the_first_one_began() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let form = RuleForm::load(&browser, "email").await;
    define_customer_number(&world);
    hold_properties(&world);
    let press = async || location(&form.send(&browser, "customer_no").await).to_owned();
    let release = async {
        is_asked(&world).await;
        // By now the second one waits, or is about to.
        browser.page("/users").await;
        let asked = asks(&world);
        world.sim.clear_faults();
        asked
    };
    let (first, second, asked) = tokio::join!(press(), press(), release);
    assert_eq!((first.as_str(), asked), (second.as_str(), 1));
    assert_eq!(first, format!("{MATCHING}?saved=true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_presses_again_before_a_refusal_is_told_the_reason_and_begins_nothing_anew() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let form = RuleForm::load(&browser, "email").await;
    hold_properties(&world);
    let press = async || {
        let answer = form.send(&browser, "customer_no").await;
        (answer.status(), answer.text().await.unwrap())
    };
    // It is kept that a session is used where it was not for as long.
    let unused = Duration::from_secs(600);
    let later = world.host.clock.now().plus(unused);
    let again = async {
        is_asked(&world).await;
        world.host.clock.turn(unused);
        press().await
    };
    let release = async {
        // The second one waits, or is about to.
        is_used(&world, &browser, later).await;
        // Were it begun anew, nothing would be wrong with it.
        define_customer_number(&world);
        world.sim.clear_faults();
    };
    let (first, second, ()) = tokio::join!(press(), again, release);
    assert_eq!(first.0, StatusCode::UNPROCESSABLE_ENTITY, "{}", first.1);
    assert!(first.1.contains("It was not saved"), "{}", first.1);
    assert_eq!(first, second);
    // Who sends it from now on begins it anew.
    assert_eq!(press().await.0, StatusCode::SEE_OTHER);
}

/// Waits until it is kept that a browser's session was used at that moment or later.
async fn is_used(world: &World, browser: &Browser<'_>, since: Timestamp) {
    let (_, token) = browser.cookie.as_ref().unwrap().split_once('=').unwrap();
    let hash = hash_token(&Secret::from(token));
    until(async || {
        let now = world.host.clock.now();
        let found = world.host.store.read(move |tx| {
            let found = tx.session(hash, now, now.minus(SESSION_IDLE))?;
            Ok(found.expect("it goes on").used_at)
        });
        found.await.unwrap() >= since
    })
    .await;
}

/// Has HubSpot take its time to say which properties there are.
fn hold_properties(world: &World) {
    world.sim.clear_calls();
    let held = FaultRule::by_chance(Trouble::Held, 1.0);
    world.sim.inject(held.on(Route::Properties));
}

/// Waits until HubSpot is asked that.
async fn is_asked(world: &World) {
    until(async || asks(world) > 0).await;
}

/// How often HubSpot was asked which properties there are.
fn asks(world: &World) -> usize {
    let calls = world.sim.calls();
    let asks = calls.iter().filter(|call| call.route == Route::Properties);
    asks.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_does_what_was_begun_to_its_end() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let form = RuleForm::load(&browser, "email").await;
    define_customer_number(&world);
    hold_properties(&world);
    tokio::select! {
        answer = form.send(&browser, "customer_no") => panic!("{answer:?}"),
        () = is_asked(&world) => {}
    }
    let before: i64 = form.version.parse().unwrap();
    let url = world.url("/");
    let address = (url.host_str().unwrap(), url.port().unwrap());
    world.stop.cancel();
    // Nobody is served any more, and HubSpot has not answered yet.
    until(async || TcpStream::connect(address).await.is_err()).await;
    world.sim.clear_faults();
    world.running.await.unwrap().unwrap();
    let id: ConnectionId = "con_1".parse().unwrap();
    let version = world.host.store.read(move |tx| tx.mappings_version(id));
    assert!(version.await.unwrap() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_more_marks_than_a_session_may_hold_the_rest_simply_run() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let form = RuleForm::load(&browser, "email").await;
    define_customer_number(&world);
    hold_properties(&world);
    let held = (1..=8).map(|number| {
        let path = format!("{MATCHING}?once=mark-{number}");
        let form = RuleForm {
            path,
            ..form.clone()
        };
        let browser = &browser;
        async move { form.send(browser, "customer_no").await }
    });
    let mut held = std::pin::pin!(futures_util::future::join_all(held));
    let is_full = async {
        loop {
            let form = TokenForm::load(&browser).await;
            if form.made(&browser).await != form.made(&browser).await {
                return;
            }
        }
    };
    tokio::select! {
        answers = &mut held => panic!("{answers:?}"),
        full = tokio::time::timeout(PATIENCE, is_full) => full.expect("no more are held"),
    }
    let other = world.sign_in(Role::Admin).await;
    let token = TokenForm::load(&other).await;
    assert_eq!(token.made(&other).await, token.made(&other).await);
    world.sim.clear_faults();
    held.await;
    let token = TokenForm::load(&browser).await;
    assert_eq!(token.made(&browser).await, token.made(&browser).await);
}
