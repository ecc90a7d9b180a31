//! Forms that are pressed twice, as on a slow line.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::post};
use hubspot_sim::{FaultRule, PropertySpec, Route, Trouble};
use jimo_connect::{
    model::ConnectionId,
    store::projects::Role,
    web::{self, Extra, session::Link},
};
use reqwest::{Response, StatusCode, header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    location,
    world::{Browser, PATIENCE, World, hidden},
};
use crate::members::people::{
    self, PASSWORD, becomes, cookie, invited, is_in, owner, person, project_of, sign_in,
};

const CONNECTION: &str = "/settings/integrations/con_1";

/// Where a page says that a form is sent, with the mark of that page.
fn action<'p>(page: &'p str, path: &str) -> &'p str {
    let from = format!("action=\"{path}?once=");
    let at = page.find(&from).unwrap_or_else(|| panic!("{path}: {page}"));
    let rest = &page[at + "action=\"".len()..];
    rest.split('"').next().expect("an end")
}

/// Sends a form twice at once; where both answers lead, or what both pages say.
async fn pressed_twice(browser: &Browser<'_>, path: &str, form: &[(&str, &str)]) -> [String; 2] {
    let csrf = browser.csrf().await;
    let form = [&[("csrf", csrf.as_str())], form].concat();
    let press = async || {
        let answer = browser.post(path, &form).await;
        match answer.status() {
            StatusCode::SEE_OTHER => location(&answer).to_owned(),
            _ => answer.text().await.expect("text"),
        }
    };
    let (first, second) = tokio::join!(press(), press());
    [first, second]
}

/// The tokens that a page shows, which it does once.
fn token(page: &str) -> &str {
    let (_, rest) = page.split_once("id=\"token\"").expect(page);
    let (_, rest) = rest.split_once("value=\"").expect(page);
    rest.split('"').next().expect("an end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_begins_once_from_one_page_and_again_from_another() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let path = format!("{CONNECTION}/syncs");
    let form = [("kind", "full")];
    let page = browser.page(&path).await;
    let [first, second] = pressed_twice(&browser, action(&page, &path), &form).await;
    assert!(first.contains("/syncs/run_"), "{first}");
    assert_eq!(first, second);
    let mut events = browser.follow(&format!("{first}/live")).await;
    events.until("Completed").await;
    let page = browser.page(&path).await;
    let [third, _] = pressed_twice(&browser, action(&page, &path), &form).await;
    assert_ne!(first, third);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_once_and_both_answers_show_it() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let path = "/settings/tokens";
    let page = browser.page(path).await;
    let once = action(&page, path).to_owned();
    // What was refused is looked at anew.
    let nameless = [("name", " "), ("role", "admin")];
    for page in pressed_twice(&browser, &once, &nameless).await {
        assert!(page.contains("name-error"), "{page}");
    }
    let form = [("name", "Nightly import"), ("role", "viewer")];
    let [first, second] = pressed_twice(&browser, &once, &form).await;
    assert_eq!(token(&first), token(&second));
    let revoke = browser.page(path).await.matches("/revoke?once=").count();
    assert_eq!(revoke, 1);
    // The answer is of that session alone.
    let other = world.sign_in(Role::Admin).await;
    let [others, _] = pressed_twice(&other, &once, &form).await;
    assert_ne!(token(&others), token(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_or_deleted_is_said_to_whoever_pressed_twice() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;

    let path = "/segments/new";
    let page = browser.page(path).await;
    let save = page.split("formaction=\"").nth(1).expect(&page);
    let save = save.split('"').next().expect("an end");
    let form = [
        ("g", "all"),
        ("a", "attribute.lifecycle_stage"),
        ("o", "is_empty"),
        ("e", ""),
        ("name", "Without a stage"),
        ("description", ""),
        ("act", "save"),
    ];
    for answer in pressed_twice(&browser, save, &form).await {
        assert_eq!(answer, "/segments/seg_1?saved=true");
    }

    let path = format!("{CONNECTION}/delete");
    let page = browser.page(&path).await;
    let form = [("values", "keep")];
    for answer in pressed_twice(&browser, action(&page, &path), &form).await {
        assert_eq!(answer, "/settings/integrations?deleted=keep");
    }
}

const TOKENS: &str = "/settings/tokens";

/// A form that makes a token, of the page that a browser loads now.
struct TokenForm {
    path: String,
    csrf: String,
}

impl TokenForm {
    async fn load(browser: &Browser<'_>) -> Self {
        let page = browser.page(TOKENS).await;
        Self {
            path: action(&page, TOKENS).to_owned(),
            csrf: browser.csrf().await,
        }
    }

    fn fields(&self) -> [(&str, &str); 3] {
        let name = ("name", "Nightly import");
        [("csrf", self.csrf.as_str()), name, ("role", "viewer")]
    }

    async fn send(&self, browser: &Browser<'_>) -> Response {
        browser.post(&self.path, &self.fields()).await
    }

    /// Sends it; the token that the page which comes back shows.
    async fn made(&self, browser: &Browser<'_>) -> String {
        let page = self.send(browser).await.text().await.expect("text");
        token(&page).to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_signs_a_browser_in_is_given_again() {
    let world = World::new().await;
    owner(&world).await;
    let path = "/sign-in?once=mark";
    let form = [("email", "olga@example.com"), ("password", PASSWORD)];
    let first = Browser::new(&world).post(path, &form).await;
    let second = Browser::new(&world).post(path, &form).await;
    let (first, second) = (cookie(&first), cookie(&second));
    assert!(first.is_some() && second.is_some());
    assert_ne!(first, second);
    let site = ("Sec-Fetch-Site", "cross-site");
    let foreign = Browser::new(&world).post_with(path, site, &form).await;
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    assert_eq!(cookie(&foreign), None);

    let link = world.link(world.project, Role::Admin, Link::Once).await;
    let link = people::token(link.as_str());
    let (path, form) = ("/sign-in/link?once=mark", [("token", link.as_str())]);
    let first = Browser::new(&world).post(path, &form).await;
    assert!(cookie(&first).is_some());
    let second = Browser::new(&world).post(path, &form).await;
    assert_eq!(second.status(), StatusCode::FORBIDDEN);
    assert_eq!(cookie(&second), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_given_to_no_other_site_and_to_no_session_that_is_over() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let form = TokenForm::load(&browser).await;
    let made = form.made(&browser).await;
    for site in ["cross-site", "same-site"] {
        let site = ("Sec-Fetch-Site", site);
        let foreign = browser.post_with(&form.path, site, &form.fields()).await;
        assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
        assert!(!foreign.text().await.unwrap().contains(&made));
    }
    assert_eq!(form.made(&browser).await, made);
    let nobody = form.send(&Browser::new(&world)).await;
    assert_eq!(location(&nobody), "/sign-in");
    let signed_out = browser.post("/sign-out", &form.fields()[..1]).await;
    assert_eq!(location(&signed_out), "/sign-in");
    assert_eq!(location(&form.send(&browser).await), "/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_not_given_to_whom_may_not_do_it_any_more() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let mei = invited(&world, &olga, "admin").await;
    let form = TokenForm::load(&mei).await;
    let made = form.made(&mei).await;
    assert_eq!(form.made(&mei).await, made);
    let id = person(&world, "mei@example.com").await;
    let memberships = world.host.store.read(move |tx| tx.memberships(id)).await;
    let project = memberships.unwrap()[0].project.id;
    becomes(&world, project, id, Role::Viewer).await;
    let refused = form.send(&mei).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(!refused.text().await.unwrap().contains(&made));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_not_kept_for_longer_than_a_minute() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let form = TokenForm::load(&browser).await;
    let made = form.made(&browser).await;
    assert_eq!(form.made(&browser).await, made);
    world.host.clock.turn(Duration::from_secs(60));
    assert_ne!(form.made(&browser).await, made);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_nobody_no_more_of_a_form_is_read_for_its_mark() {
    let world = World::new().await;
    let url = world.url("/sign-in?once=mark");
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The rest of it never comes.
    let form = "a".repeat(5 * 1024);
    let request = format!(
        "POST /sign-in?once=mark HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 200000\r\n\r\n{form}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

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
        let (_, version) = page.split_once("name=\"version\" value=\"").expect(&page);
        Self {
            path: format!("{MATCHING}?once=mark"),
            csrf: browser.csrf().await,
            version: version.split('"').next().unwrap().to_owned(),
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
    let (_, version) = page.split_once("name=\"version\" value=\"").unwrap();
    let version = version.split('"').next().unwrap();
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

/// Mei, invited to a project that she is not in yet, and the form by which she joins it
/// from where she is signed in.
async fn joining<'w>(world: &'w World) -> (Browser<'w>, String, [(&'static str, String); 2]) {
    let olga = owner(world).await;
    let mei = invited(world, &olga, "admin").await;
    let id = person(world, "olga@example.com").await;
    let harbor = project_of(world, "Harbor", &[(id, Role::Admin)]).await;
    let mut olga = sign_in(world, "olga@example.com", PASSWORD).await;
    let harbor = harbor.to_string();
    let moved = people::send(&olga, "/switch-project", &[("project", &harbor)]).await;
    olga.cookie = cookie(&moved);
    let token = people::invite(&olga, "mei@example.com", "viewer").await;
    let page = mei.page(&format!("/join?token={token}")).await;
    let path = action(&page, "/join/here").to_owned();
    let form = [("csrf", mei.csrf().await), ("token", token)];
    (mei, path, form)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_twice_from_one_page_is_let_in_and_stays_signed_in() {
    let world = World::new().await;
    let (mut mei, path, form) = joining(&world).await;
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    let first = mei.post(&path, &form).await;
    let renewed = cookie(&first).expect("another token");
    assert!(!is_in(&mei).await, "the token before is good no more");
    // The browser may have taken the new one, or dropped it with the first answer.
    for token in [mei.cookie.clone(), Some(renewed.clone())] {
        mei.cookie = token;
        let second = mei.post(&path, &form).await;
        assert_eq!(location(&second), "/users");
        assert_eq!(cookie(&second).as_deref(), Some(renewed.as_str()));
    }
    assert!(is_in(&mei).await);
    assert!(mei.page("/users").await.contains("Harbor"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_given_again_to_no_other_browser_and_not_once_it_is_over() {
    let world = World::new().await;
    let (mut mei, path, form) = joining(&world).await;
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    let ended = mei.cookie.clone();
    let first = mei.post(&path, &form).await;
    let renewed = cookie(&first).expect("another token");
    let mut others = vec![Browser::new(&world), world.sign_in(Role::Admin).await];
    others.push(sign_in(&world, "mei@example.com", PASSWORD).await);
    for other in others {
        let answer = other.post(&path, &form).await;
        assert_eq!(cookie(&answer), None, "{answer:?}");
    }
    // Another page's form has another mark.
    let foreign = mei.post("/join/here?once=another", &form).await;
    assert_eq!(cookie(&foreign), None);

    let mut signed_in = Browser::new(&world);
    signed_in.cookie = Some(renewed);
    people::send(&signed_in, "/sign-out", &[]).await;
    mei.cookie = ended;
    let late = mei.post(&path, &form).await;
    assert_eq!(location(&late), "/sign-in");
    assert_eq!(cookie(&late), None);
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

/// Has HubSpot take its time to say which properties there are.
fn hold_properties(world: &World) {
    world.sim.clear_calls();
    let held = FaultRule::by_chance(Trouble::Held, 1.0);
    world.sim.inject(held.on(Route::Properties));
}

/// Waits until HubSpot is asked that.
async fn is_asked(world: &World) {
    let asked = async {
        while asks(world) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    asked.expect("HubSpot is asked");
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
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn a_form_whose_work_panics_is_told_so_and_begun_again() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let work = async move || match count.fetch_add(1, Ordering::SeqCst) {
        0 => panic!("a test"),
        _ => "done",
    };
    let extra = Extra {
        pages: Router::new().route("/panics", post(work)),
        simulated_hubspot: None,
    };
    let router = web::router(&world.host, extra, &world.stop);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/panics?once=mark", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let send = async || {
        let cookie = browser.cookie.clone().unwrap();
        let request = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = request.post(&url).form(&[("a", "b")]);
        let answer = request.header(header::COOKIE, cookie).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let (status, page) = send().await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{page}");
    for _ in 0..2 {
        assert_eq!(send().await, (StatusCode::OK, "done".to_owned()));
    }
    assert_eq!(begun.load(Ordering::SeqCst), 2);
}
