//! Who operates the host, and that nobody else finds its pages.

use jimo_connect::store::projects::Role;
use reqwest::Method;

use super::{PLUGINS, SET_ASIDE, command, operator, printed};
use crate::{
    members::people::{becomes, invited, location, person, project_of, send, told},
    pages::world::{Browser, World},
};

/// Whether the navigation leads to the operator's pages.
async fn is_led_there(browser: &Browser<'_>) -> bool {
    browser.page("/users").await.contains(PLUGINS)
}

/// Every path that operators have, by how it is asked for.
fn paths() -> Vec<(Method, String)> {
    let (get, post) = (Method::GET, Method::POST);
    let version = format!("{PLUGINS}/0123456789ab");
    [
        (&get, "/operator".to_owned()),
        (&get, PLUGINS.to_owned()),
        (&post, PLUGINS.to_owned()),
        (&get, format!("{PLUGINS}/live")),
        (&get, format!("{PLUGINS}/rollback?connector=hubspot")),
        (&post, format!("{PLUGINS}/rollback")),
        (&get, version.clone()),
        (&get, format!("{version}/live")),
        (&post, format!("{version}/shadow")),
        (&post, format!("{version}/shadow/end")),
        (&get, format!("{version}/activate")),
        (&post, format!("{version}/activate")),
        (&post, format!("{version}/give-back")),
        (&get, format!("{version}/remove")),
        (&post, format!("{version}/remove")),
        (&get, SET_ASIDE.to_owned()),
        (&get, format!("{SET_ASIDE}/live")),
        (&post, format!("{SET_ASIDE}/replay")),
        (&get, format!("{SET_ASIDE}/replays/1")),
        (&get, format!("{SET_ASIDE}/replays/1/live")),
        (&get, format!("{SET_ASIDE}/1")),
        (&get, format!("{SET_ASIDE}/1/bytes")),
        (&post, format!("{SET_ASIDE}/1/replay")),
    ]
    .map(|(method, path)| (method.clone(), path))
    .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn for_whoever_is_no_operator_nothing_of_it_is_there() {
    let world = World::new().await;
    let olga = operator(&world).await;
    let mei = invited(&world, &olga, "admin").await;
    let admin = world.sign_in(Role::Admin).await;
    let viewer = world.sign_in(Role::Viewer).await;
    for browser in [&mei, &admin, &viewer] {
        assert!(!is_led_there(browser).await);
        let csrf = browser.csrf().await;
        for (method, path) in paths() {
            let request = browser.request(method.clone(), &path);
            let answer = match method {
                Method::POST => request.form(&[("csrf", &csrf)]),
                _ => request,
            };
            let answer = answer.send().await.unwrap();
            assert_eq!(answer.status(), 404, "{method} {path}");
            let page = answer.text().await.unwrap();
            assert!(
                page.contains("There is no such page"),
                "{method} {path}: {page}"
            );
        }
    }
    assert!(is_led_there(&olga).await);
    assert_eq!(location(&olga.get("/operator").await), PLUGINS);
    let stranger = Browser::new(&world);
    assert_eq!(location(&stranger.get(PLUGINS).await), "/sign-in");
    // What operators send comes from a page of theirs.
    for (method, path) in paths() {
        if method == Method::POST && path != PLUGINS {
            assert_eq!(olga.post(&path, &[]).await.status(), 403, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_are_made_and_ended_beside_a_running_host_and_it_holds_at_once() {
    let world = World::new().await;
    let olga = operator(&world).await;
    let mei = invited(&world, &olga, "viewer").await;
    let listed = printed(&world, &["operator", "list"]);
    let lines: Vec<_> = listed.lines().collect();
    assert!(
        lines.len() == 1 && lines[0].starts_with("olga@example.com\tOlga Owner\t"),
        "{listed}"
    );

    let told = printed(&world, &["operator", "grant", " Mei@Example.com"]);
    assert_eq!(told, "mei@example.com operates the host\n");
    assert!(is_led_there(&mei).await);
    assert_eq!(mei.get(SET_ASIDE).await.status(), 200);
    assert_eq!(printed(&world, &["operator", "list"]).lines().count(), 2);
    let mut streams = [
        mei.follow(&format!("{PLUGINS}/live")).await,
        mei.follow(&format!("{SET_ASIDE}/live")).await,
    ];
    for stream in &mut streams {
        assert!(stream.next().await.is_some());
    }
    let told = printed(&world, &["operator", "revoke", "mei@example.com"]);
    assert_eq!(told, "mei@example.com operates the host no more\n");
    assert_eq!(mei.get(PLUGINS).await.status(), 404);
    assert!(!is_led_there(&mei).await);
    for stream in &mut streams {
        assert!(stream.next().await.is_none(), "a stream goes on");
    }
    // She is signed in as before.
    assert_eq!(mei.get("/users").await.status(), 200);

    for (who, said) in [
        ("mei@example.com", "mei@example.com is no operator"),
        ("nobody@example.com", "there is no such member"),
        ("nobody", "e-mail"),
    ] {
        let refused = command(&world, &["operator", "revoke", who]);
        let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && errors.contains(said),
            "{errors}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_admin_becomes_an_operator_by_a_link_for_a_new_password() {
    let world = World::new().await;
    let olga = operator(&world).await;
    let mei = invited(&world, &olga, "admin").await;
    let (olgas, meis) = (
        person(&world, "olga@example.com").await,
        person(&world, "mei@example.com").await,
    );
    let link = format!("/settings/team/{olgas}/reset-link");
    assert!(!mei.page("/settings/team").await.contains(&link));
    let (status, page) = told(&mei, &link, &[]).await;
    assert!(
        status == 422 && page.contains("operate Jimo Connect"),
        "{page}"
    );
    // Who signed in by a link of the project is none either.
    let project = project_of(&world, "Harbor", &[(olgas, Role::Viewer)]).await;
    let by_link = world.sign_in_to(project, Role::Admin).await;
    assert_eq!(told(&by_link, &link, &[]).await.0, 422);

    // Of operators one may for another, where she may in all projects.
    printed(&world, &["operator", "grant", "mei@example.com"]);
    becomes(&world, project, meis, Role::Admin).await;
    let (status, page) = told(&mei, &link, &[]).await;
    assert_eq!(status, 200, "{page}");
    let reset = crate::members::people::token(&crate::members::people::field(&page, "link"));
    // And no more once she is one no more.
    printed(&world, &["operator", "revoke", "mei@example.com"]);
    let form = [("token", reset.as_str()), ("password", "a better password")];
    let answer = Browser::new(&world).post("/reset-password", &form).await;
    assert_eq!(answer.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demos_link_signs_in_an_admin_who_operates_the_host() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Operator).await;
    assert!(is_led_there(&browser).await);
    assert_eq!(browser.get(PLUGINS).await.status(), 200);
    let form = [("name", "Renamed"), ("time_zone", "UTC")];
    let answer = send(&browser, "/settings/general", &form).await;
    assert_eq!(answer.status(), 303);
    let replay = send(&browser, &format!("{SET_ASIDE}/replay"), &[]).await;
    assert_eq!(location(&replay), format!("{SET_ASIDE}/replays/1"));
    let page = browser.page(&format!("{SET_ASIDE}/replays/1")).await;
    assert!(page.contains("Nothing to do"), "{page}");
}
