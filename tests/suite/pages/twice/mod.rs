//! Forms that are pressed twice, as on a slow line.

mod meanwhile;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::post};
use jimo_connect::{
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
    world::{Browser, World},
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
