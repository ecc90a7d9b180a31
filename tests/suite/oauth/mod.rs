//! Consent: from the address at HubSpot to a connection, and every way in
//! which it does not get there.

mod marketplace;
mod refusals;

use std::time::Duration;

use harness::world::World;
use jimo_connect::{
    clock::Clock,
    hubspot::oauth::SCOPES,
    model::{ConnectionId, ProjectId},
    secrets::{Secret, hash_token},
    store::projects::Role,
    sync::consents,
    web::session::{Link, make_sign_in_link},
};
use reqwest::{Response, Url, header, redirect::Policy};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

async fn begin(world: &World) -> Value {
    let body = json!({"connector": "hubspot"});
    world.post("/connections", body).await.good()
}

async fn status(world: &World, begun: &Value) -> Value {
    let path = format!("/connections/{}", begun["id"].as_str().unwrap());
    world.get(&path).await.good()["status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_asks_hubspot_for_what_is_needed_and_no_more() {
    let world = World::start().await;
    let begun = begin(&world).await;
    let url: Url = begun["authorize_url"].as_str().unwrap().parse().unwrap();
    assert!(url.as_str().starts_with(&world.sim.authorize_url()));
    let value = |wanted: &str| {
        let mut pairs = url.query_pairs();
        let pair = pairs.find(|(name, _)| name == wanted);
        pair.unwrap_or_else(|| panic!("{wanted}")).1.into_owned()
    };
    assert_eq!(value("scope"), SCOPES.join(" "));
    let callback = world.host().url("/oauth/hubspot/callback");
    assert_eq!(value("redirect_uri"), callback.as_str());
    assert_eq!(value("code_challenge_method"), "S256");
    assert!(value("state").len() >= 43);
    assert!(!url.as_str().contains(&world.sim.app().client_secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_are_shown_and_nothing_is_connected_until_it_is_confirmed() {
    let world = World::start().await;
    world
        .patch("", json!({"name": "<b>Northwind</b> & co"}))
        .await
        .good();
    let begun = begin(&world).await;
    let page = world.consent(&begun, PORTAL).await;
    assert!(page.contains("customer-1001.example"), "{page}");
    assert!(page.contains("1001"), "{page}");
    assert!(!page.contains("<b>Northwind"), "{page}");
    assert!(page.contains("Northwind"), "{page}");
    assert_eq!(status(&world, &begun).await, "pending");
    let (good, text) = world.confirm(&page).await;
    assert_eq!(good, 200, "{text}");
    assert_eq!(status(&world, &begun).await, "active");
    // The form's token was good once.
    let (again, text) = world.confirm(&page).await;
    assert_eq!(again, 400, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_consent_can_neither_be_framed_nor_kept_nor_scripted() {
    let world = World::start().await;
    let begun = begin(&world).await;
    let back = world.consent_at_hubspot(&begun, PORTAL).await;
    let browser = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = browser.get(back).send().await.unwrap();
    let value = |name: header::HeaderName| answer.headers()[name].to_str().unwrap();
    assert_eq!(value(header::CACHE_CONTROL), "no-store");
    assert_eq!(value(header::REFERRER_POLICY), "same-origin");
    let policy = value(header::CONTENT_SECURITY_POLICY);
    for part in [
        "default-src 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_good_once_and_a_made_up_one_never() {
    let world = World::start().await;
    let begun = begin(&world).await;
    let back = world.consent_at_hubspot(&begun, PORTAL).await;
    let (first, _) = world.page(back.clone()).await;
    let (second, text) = world.page(back.clone()).await;
    assert_eq!((first, second), (200, 400));
    assert!(text.contains("used already"), "{text}");
    let mut made_up = back;
    made_up.set_query(Some("code=abc&state=made-up"));
    let (status, text) = world.page(made_up.clone()).await;
    assert_eq!(status, 400, "{text}");
    made_up.set_query(None);
    assert_eq!(world.page(made_up).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_is_too_late_after_ten_minutes_at_either_step() {
    let clock = Clock::system();
    let world = World::start_with(hubspot_sim::Config::default(), clock.clone()).await;
    let begun = begin(&world).await;
    let back = world.consent_at_hubspot(&begun, PORTAL).await;
    clock.turn(Duration::from_secs(601));
    assert_eq!(world.page(back).await.0, 400);

    let path = format!("/connections/{}/reconnect", begun["id"].as_str().unwrap());
    let again = world.post(&path, json!({})).await.good();
    let page = world.consent(&again, PORTAL).await;
    clock.turn(Duration::from_secs(601));
    assert_eq!(world.confirm(&page).await.0, 400);
    assert_eq!(status(&world, &begun).await, "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_says_no_is_told_what_that_means() {
    let world = World::start().await;
    let begun = begin(&world).await;
    let mut back = world.consent_at_hubspot(&begun, PORTAL).await;
    let state = back
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    back.query_pairs_mut()
        .clear()
        .append_pair("error", "access_denied")
        .append_pair("error_description", "<script>no</script>")
        .append_pair("state", &state);
    let (_, text) = world.page(back).await;
    assert!(text.contains("access was not granted"), "{text}");
    assert!(!text.contains("<script>"), "{text}");
    assert_eq!(status(&world, &begun).await, "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_is_connected_to_a_project_once() {
    let world = World::start().await;
    world.connect(PORTAL).await;
    let begun = begin(&world).await;
    let back = world.consent_at_hubspot(&begun, PORTAL).await;
    let (refused, text) = world.page(back).await;
    assert_eq!(refused, 409, "{text}");
    assert!(text.contains("connected to the project already"), "{text}");
    assert_eq!(status(&world, &begun).await, "pending");
    // Another account is welcome.
    world.connect(PORTAL + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_consents_for_one_account_make_one_connection() {
    let world = World::start().await;
    let (first, second) = (begin(&world).await, begin(&world).await);
    let pages = [
        world.consent(&first, PORTAL).await,
        world.consent(&second, PORTAL).await,
    ];
    assert_eq!(world.confirm(&pages[0]).await.0, 200);
    assert_eq!(world.confirm(&pages[1]).await.0, 409);
    assert_eq!(status(&world, &first).await, "active");
    assert_eq!(status(&world, &second).await, "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn reconnecting_goes_on_with_the_same_account_and_refuses_another() {
    let world = World::start().await;
    let id = world.connect(PORTAL).await;
    let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
    world
        .map(&id, json!({"contacts": {"fields": fields}}))
        .await;
    let path = format!("/connections/{id}/reconnect");
    let begun = world.post(&path, json!({})).await.good();
    let url = begun["authorize_url"].as_str().unwrap();
    assert!(url.contains("/oauth/1001/authorize"), "{url}");
    let back = world.consent_at_hubspot(&begun, PORTAL + 1).await;
    let (refused, text) = world.page(back).await;
    assert_eq!(refused, 409, "{text}");
    assert!(text.contains("1001") && text.contains("1002"), "{text}");

    // The customer uninstalled the app: the next call finds out, and says so.
    let account = world.account(PORTAL);
    account.uninstall();
    account.expire_access();
    let properties = format!("/connections/{id}/properties?object_type=companies");
    let refused = world.get(&properties).await.problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("Reconnect"));
    let held = world.get(&format!("/connections/{id}")).await.good();
    assert_eq!(held["status"], "needs_attention");
    assert_eq!(held["problem"]["code"], "access_revoked");

    let begun = world.post(&path, json!({})).await.good();
    let page = world.consent(&begun, PORTAL).await;
    assert_eq!(world.confirm(&page).await.0, 200);
    let held = world.get(&format!("/connections/{id}")).await.good();
    assert_eq!(held["status"], "active");
    assert_eq!(held["problem"], Value::Null);
    world.get(&properties).await.good();
    let mapped = world
        .get(&format!("/connections/{id}/mappings"))
        .await
        .good();
    assert_eq!(mapped["contacts"]["fields"][0]["variable"], "job_title");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_deleted_meanwhile_is_not_made_again() {
    let world = World::start().await;
    let begun = begin(&world).await;
    let page = world.consent(&begun, PORTAL).await;
    let path = format!("/connections/{}", begun["id"].as_str().unwrap());
    assert_eq!(world.delete(&path).await.status, 204);
    let (status, text) = world.confirm(&page).await;
    assert_eq!(status, 400, "{text}");
    world.get(&path).await.problem(404);
}

/// Another project.
async fn project(world: &World, name: &'static str) -> ProjectId {
    let (store, now) = (&world.host().store, world.host().clock.now());
    let made = store.transact(move |tx| tx.create_project(name, "UTC", now));
    made.await.unwrap().id
}

/// The cookie of a browser that is signed in to the world's project by a link.
async fn cookie(world: &World, role: Role) -> String {
    cookie_for(world, world.project.parse().unwrap(), role).await
}

/// [`cookie`], of another project.
async fn cookie_for(world: &World, project: ProjectId, role: Role) -> String {
    let host = world.host();
    let now = host.clock.now();
    let made = make_sign_in_link(
        &host.store,
        &host.public_url,
        (project, role),
        Link::Again,
        now,
    );
    let link = made.await.unwrap();
    let browser = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none());
    let answer = browser.build().unwrap().get(link).send().await.unwrap();
    let set = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

/// Asks for a page, or sends the token of one that asks for confirmation.
async fn as_browser(url: Url, cookie: Option<&str>, token: Option<&str>) -> (u16, String, Url) {
    let browser = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = match token {
        None => browser.get(url),
        Some(token) => browser.post(url).form(&[("token", token)]),
    };
    let request = match cookie {
        Some(cookie) => request.header(header::COOKIE, cookie),
        None => request,
    };
    let answer = request.send().await.unwrap();
    let (status, url) = (answer.status().as_u16(), answer.url().clone());
    (status, answer.text().await.unwrap(), url)
}

/// Sends a form, and follows no redirect.
async fn post(url: &Url, cookie: &str, form: &[(&str, &str)]) -> Response {
    let browser = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none());
    let request = browser.build().unwrap().post(url.clone()).form(form);
    let request = request.header(header::COOKIE, cookie);
    request.send().await.unwrap()
}

fn token_of(page: &str) -> &str {
    let (_, rest) = page.split_once("name=\"token\" value=\"").expect(page);
    rest.split('"').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_begun_in_a_browser_ends_in_that_browser_alone() {
    let world = World::start().await;
    let begun = begin(&world).await;
    let (own, other) = (
        cookie(&world, Role::Admin).await,
        cookie(&world, Role::Admin).await,
    );
    let (_, own_token) = own.split_once('=').unwrap();
    let hash = hash_token(&Secret::from(own_token));
    let id: ConnectionId = begun["id"].as_str().unwrap().parse().unwrap();
    let project = world.project.parse().unwrap();
    let back = async || {
        let url = consents::begin(world.host(), project, id, Some(hash)).await;
        let begun = json!({"authorize_url": url.unwrap().as_str()});
        world.consent_at_hubspot(&begun, PORTAL).await
    };
    for stranger in [None, Some(&*other)] {
        assert_eq!(as_browser(back().await, stranger, None).await.0, 403);
        assert_eq!(status(&world, &begun).await, "pending");
    }
    let confirm = world.host().url("/oauth/hubspot/confirm");
    let (_, page, _) = as_browser(back().await, Some(&own), None).await;
    assert!(page.contains("customer-1001.example"), "{page}");
    assert_eq!(status(&world, &begun).await, "pending");
    let stolen = as_browser(confirm.clone(), Some(&other), Some(token_of(&page))).await;
    assert_eq!(stolen.0, 403);
    let (_, page, _) = as_browser(back().await, Some(&own), None).await;
    let (good, _, at) = as_browser(confirm, Some(&own), Some(token_of(&page))).await;
    assert_eq!(
        (good, at.path()),
        (200, &*format!("/settings/integrations/{id}"))
    );
    assert_eq!(status(&world, &begun).await, "active");
    // The same account again asks nothing.
    let (again, _, at) = as_browser(back().await, Some(&own), None).await;
    assert_eq!(
        (again, at.path()),
        (200, &*format!("/settings/integrations/{id}"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_begun_over_the_api_is_of_whoever_brings_it_signed_in_or_not() {
    let world = World::start().await;
    let confirm = world.host().url("/oauth/hubspot/confirm");
    let own = world.project.parse().unwrap();
    let other = project(&world, "Harbor").await;
    for (portal, (looks_at, role)) in (PORTAL..).zip([
        (own, Role::Viewer),
        (own, Role::Admin),
        (other, Role::Viewer),
        (other, Role::Admin),
    ]) {
        let begun = begin(&world).await;
        let browser = cookie_for(&world, looks_at, role).await;
        let back = world.consent_at_hubspot(&begun, portal).await;
        let (shown, page, _) = as_browser(back, Some(&browser), None).await;
        assert_eq!(shown, 200, "{page}");
        // It is of its project, whatever the form says.
        let others = other.to_string();
        let form = [("token", token_of(&page)), ("project", &others)];
        let answer = post(&confirm, &browser, &form).await;
        assert_eq!(status(&world, &begun).await, "active");
        assert!(!answer.headers().contains_key(header::SET_COOKIE));
        if looks_at == own {
            let at = answer.headers()[header::LOCATION].to_str().unwrap();
            let id = begun["id"].as_str().unwrap();
            assert_eq!(at, format!("/settings/integrations/{id}"));
        } else {
            assert_eq!(answer.status(), 200);
            let page = answer.text().await.unwrap();
            assert!(page.contains("is connected to the project"), "{page}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_signed_in_and_confirms_twice_connects_once_and_is_told_where_to_see_it() {
    let world = World::start().await;
    let begun = begin(&world).await;
    let back = world.consent_at_hubspot(&begun, PORTAL).await;
    let (_, page, _) = as_browser(back, None, None).await;
    let (_, action) = page.split_once("action=\"").expect(&page);
    let confirm = world.host().url("");
    let confirm = confirm.join(action.split('"').next().unwrap()).unwrap();
    let press = async || as_browser(confirm.clone(), None, Some(token_of(&page))).await;
    let (first, second) = tokio::join!(press(), press());
    let mut told = [first, second];
    told.sort_by_key(|(status, ..)| *status);
    let [(200, connected, _), (400, over, _)] = told else {
        panic!("{told:?}")
    };
    assert!(
        connected.contains("is connected to the project"),
        "{connected}"
    );
    assert!(over.contains("Integrations shows whether"), "{over}");
    assert_eq!(status(&world, &begun).await, "active");
    assert_eq!(press().await.0, 400);
    let made = world.get("/connections").await.good();
    assert_eq!(made["connections"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_way_back_is_refused_and_asks_hubspot_nothing_of_strangers() {
    let world = World::start().await;
    let mut url = world.host().url(consents::CALLBACK);
    assert_eq!(as_browser(url.clone(), None, None).await.0, 400);
    url.set_query(Some("code=made-up"));
    let calls = world.sim.calls().len();
    assert_eq!(
        as_browser(url.clone(), None, None).await.2.path(),
        "/sign-in"
    );
    assert_eq!(world.sim.calls().len(), calls);
    let admin = cookie(&world, Role::Admin).await;
    assert_eq!(as_browser(url, Some(&admin), None).await.0, 400);
}
