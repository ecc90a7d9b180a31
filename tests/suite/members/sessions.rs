//! Signed-in browsers: how long, and that they end.

use std::{sync::Arc, time::Duration};

use harness::engine;
use jimo_connect::{
    clock::Clock,
    host,
    store::projects::Role,
    web::session::{Link, SESSION_IDLE, SESSION_LIFE, make_sign_in_link},
};
use reqwest::{StatusCode, header};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::people::{
    PASSWORD, cookie, done, is_in, location, owner, send, sign_in, told, try_password,
};
use crate::pages::world::{Browser, World};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_after_a_week_unused_and_after_a_month_in_any_case() {
    let world = World::new().await;
    let idle = owner(&world).await;
    let used = sign_in(&world, "olga@example.com", PASSWORD).await;
    world.host.clock.turn(SESSION_IDLE - MINUTE);
    assert!(is_in(&used).await);
    world.host.clock.turn(MINUTE);
    assert!(!is_in(&idle).await);
    assert!(is_in(&used).await);
    let mut passed = SESSION_IDLE;
    // When it was used is known to ten minutes.
    let step = SESSION_IDLE - 11 * MINUTE;
    while passed + step < SESSION_LIFE {
        passed += step;
        world.host.clock.turn(step);
        assert!(is_in(&used).await, "{passed:?}");
    }
    world.host.clock.turn(SESSION_LIFE - passed - MINUTE);
    assert!(is_in(&used).await);
    world.host.clock.turn(MINUTE);
    assert!(!is_in(&used).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_browsers_are_listed_and_each_can_be_signed_out() {
    let world = World::new().await;
    let this = owner(&world).await;
    let mut other = Browser::new(&world);
    let form = [("email", "olga@example.com"), ("password", PASSWORD)];
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
    let answer = other
        .post_with("/sign-in", ("User-Agent", agent), &form)
        .await;
    other.cookie = cookie(&answer);
    let page = this.page("/settings/account").await;
    assert_eq!(page.matches("This browser").count(), 1, "{page}");
    assert!(page.contains("Firefox on Linux"), "{page}");

    let path = |id: i64| format!("/settings/account/sessions/{id}/end");
    // Of another person, and of nobody.
    world.sign_in(Role::Admin).await;
    for foreign in [3, 999] {
        assert_eq!(told(&this, &path(foreign), &[]).await.0, 404);
    }
    done(&this, &path(2), &[], "/settings/account?done=signed-out").await;
    assert!(!is_in(&other).await && is_in(&this).await);
    let answer = send(&this, &path(1), &[]).await;
    assert_eq!(location(&answer), "/sign-in");
    let forgotten = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(forgotten.contains("Max-Age=0"), "{forgotten}");
    assert!(!is_in(&this).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_everywhere_ends_all_of_ones_sessions_and_nobody_elses() {
    let world = World::new().await;
    let first = owner(&world).await;
    let second = sign_in(&world, "olga@example.com", PASSWORD).await;
    let others = world.sign_in(Role::Admin).await;
    let csrf = second.csrf().await;
    let answer = send(&first, "/settings/account/sign-out-everywhere", &[]).await;
    assert_eq!(location(&answer), "/sign-in");
    assert!(!is_in(&first).await && !is_in(&second).await && is_in(&others).await);
    // A form that was open meanwhile changes nothing.
    let form = [
        ("csrf", csrf.as_str()),
        ("name", "Late"),
        ("time_zone", "UTC"),
    ];
    let late = second.post("/settings/general", &form).await;
    assert_eq!(location(&late), "/sign-in");
    let again = sign_in(&world, "olga@example.com", PASSWORD).await;
    assert!(!again.page("/settings/general").await.contains("Late"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_signs_other_browsers_out_and_renews_this_ones_token() {
    let world = World::new().await;
    let mut this = owner(&world).await;
    let other = sign_in(&world, "olga@example.com", PASSWORD).await;
    let path = "/settings/account/password";
    for (current, new, at) in [
        ("not her password", "a better password", "current-error"),
        (PASSWORD, "short", "password-error"),
        (PASSWORD, "my olga@example.com!", "password-error"),
    ] {
        let form = [("current", current), ("password", new)];
        let (status, page) = told(&this, path, &form).await;
        assert_eq!(status, 422, "{page}");
        assert!(page.contains(at), "{page}");
    }
    assert!(is_in(&other).await);

    let form = [("current", PASSWORD), ("password", "a better password")];
    let answer = send(&this, path, &form).await;
    assert_eq!(location(&answer), "/settings/account?done=password");
    assert!(!is_in(&other).await && !is_in(&this).await);
    this.cookie = cookie(&answer);
    assert!(is_in(&this).await);
    let browser = Browser::new(&world);
    let old = try_password(&browser, "olga@example.com", PASSWORD).await;
    assert_eq!(old.status(), StatusCode::UNPROCESSABLE_ENTITY);
    sign_in(&world, "olga@example.com", "a better password").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_link_is_nobodys_and_has_no_account_to_change() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let page = admin.page("/settings/account").await;
    assert!(page.contains("You have no account here"), "{page}");
    assert!(page.contains("Signed in by a link"), "{page}");
    for (path, form) in [
        ("/settings/account/name", &[("name", "Olga")][..]),
        (
            "/settings/account/password",
            &[("current", PASSWORD), ("password", "a better password")],
        ),
        ("/settings/account/sign-out-everywhere", &[]),
        ("/settings/account/sessions/1/end", &[]),
        ("/switch-project", &[("project", "prj_1")]),
    ] {
        assert_eq!(told(&admin, path, form).await.0, 422, "{path}");
    }
    assert!(is_in(&admin).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_the_cookie_is_of_this_very_host_alone() {
    let sim = hubspot_sim::Simulator::start(hubspot_sim::Config::default()).await;
    let sim = sim.unwrap();
    let directory = TempDir::new().unwrap();
    let config = harness::host::config(&sim, directory.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = host::listening_url(&listener).unwrap();
    let public_url = "https://connect.example.com".parse().unwrap();
    let host = engine::open(config, public_url, Clock::system())
        .await
        .unwrap();
    let (host, stop) = (Arc::new(host), CancellationToken::new());
    let running = tokio::spawn(host::run(host.clone(), listener, stop.clone()));
    let now = host.clock.now();
    let project = host
        .store
        .transact(move |tx| tx.create_project("Acme", "UTC", now));
    let project = project.await.unwrap().id;
    let link = make_sign_in_link(
        &host.store,
        &host.public_url,
        (project, Role::Admin),
        Link::Once,
        now,
    );
    let token = super::people::token(link.await.unwrap().as_str());
    let no_redirects = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder().no_proxy().redirect(no_redirects);
    let client = client.build().unwrap();
    let signed_in = client
        .post(address.join("/sign-in/link").unwrap())
        .form(&[("token", token)]);
    let signed_in = signed_in.send().await.unwrap();
    let set = signed_in.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(set.starts_with("__Host-jimo_session="), "{set}");
    for attribute in ["; Path=/;", "; HttpOnly;", "; SameSite=Lax;", "; Secure"] {
        assert!(set.contains(attribute), "{set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    let kept = set.split(';').next().unwrap();
    let status = async |cookie: &str| {
        let users = client.get(address.join("/users").unwrap());
        let users = users.header(header::COOKIE, cookie).send().await.unwrap();
        users.status().as_u16()
    };
    assert_eq!(status(kept).await, 200);
    // One that another host of the domain may have set is not looked at.
    let foreign = kept.strip_prefix("__Host-").unwrap();
    assert_eq!(status(foreign).await, 303);
    stop.cancel();
    running.await.unwrap().unwrap();
}
