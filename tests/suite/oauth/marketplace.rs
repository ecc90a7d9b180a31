//! What HubSpot's marketplace begins: no state of ours, and no project yet.

use harness::world::World;
use jimo_connect::{
    hubspot::oauth::SCOPES,
    model::{PersonId, ProjectId},
    store::{members::Email, projects::Role},
    sync::consents,
    web::session,
};
use reqwest::{Response, Url, header};
use serde_json::json;

use super::{PORTAL, as_browser, cookie, post, project, token_of};

/// What HubSpot's marketplace sends an admin back with: no state of ours.
async fn from_marketplace(world: &World, portal: u64) -> Url {
    let mut url: Url = world.sim.authorize_url().parse().unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", &world.sim.app().client_id)
        .append_pair(
            "redirect_uri",
            world.host().url(consents::CALLBACK).as_str(),
        )
        .append_pair("scope", &SCOPES.join(" "));
    let begun = json!({"authorize_url": url.as_str()});
    let back = world.consent_at_hubspot(&begun, portal).await;
    assert!(
        !back.query_pairs().any(|(name, _)| name == "state"),
        "{back}"
    );
    back
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_marketplace_begins_is_signed_in_to_shown_and_confirmed() {
    let world = World::start().await;
    let confirm = world.host().url("/oauth/hubspot/confirm");
    let connections = async || world.get("/connections").await.good()["connections"].clone();

    // Nobody is signed in: HubSpot is not even asked.
    let back = from_marketplace(&world, PORTAL).await;
    let (_, page, at) = as_browser(back.clone(), None, None).await;
    assert_eq!(at.path(), "/sign-in", "{page}");
    let viewer = cookie(&world, Role::Viewer).await;
    assert_eq!(as_browser(back.clone(), Some(&viewer), None).await.0, 403);

    let admin = cookie(&world, Role::Admin).await;
    let (_, page, _) = as_browser(back, Some(&admin), None).await;
    assert!(page.contains("customer-1001.example"), "{page}");
    assert_eq!(connections().await, json!([]));
    let answer = as_browser(confirm.clone(), Some(&admin), Some(token_of(&page))).await;
    assert_eq!(answer.0, 200, "{}", answer.1);
    let made = connections().await;
    assert_eq!(
        (&made[0]["status"], &made[0]["account"]["id"]),
        (&json!("active"), &json!("1001"))
    );

    // Installed again, it is the same connection.
    let back = from_marketplace(&world, PORTAL).await;
    let (_, page, _) = as_browser(back, Some(&admin), None).await;
    let answer = as_browser(confirm, Some(&admin), Some(token_of(&page))).await;
    assert_eq!(answer.0, 200, "{}", answer.1);
    assert_eq!(connections().await.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_another_source_is_not_what_the_marketplace_means() {
    let world = World::start().await;
    let project: ProjectId = world.project.parse().unwrap();
    let now = world.host().clock.now();
    let other = world.host().store.transact(move |tx| {
        let other = tx.create_connection(project, "webhook", now)?;
        let key = PORTAL.to_string().as_str().into();
        let account = tx.save_account("webhook", &key, None, None, None)?;
        tx.set_connection_account(other, account)?;
        Ok(other)
    });
    other.await.unwrap();
    let admin = cookie(&world, Role::Admin).await;
    let page = shown(&world, &admin).await;
    let answer = confirm(&world, &admin, &page, project).await;
    assert!(answer.status().is_redirection(), "{answer:?}");
    assert_eq!(connections(&world, project).await, 2);
}

/// A member with these roles, and the cookie of their browser, which looks at the
/// first of the projects.
async fn member(world: &World, roles: &[(ProjectId, Role)]) -> (PersonId, String) {
    let (host, roles) = (world.host(), roles.to_vec());
    let (now, looks_at) = (host.clock.now(), roles[0].0);
    let made = host.store.transact(move |tx| {
        let email = Email {
            text: "mei@example.com".into(),
            key: "mei@example.com".into(),
        };
        let person = tx.create_person(&email, "Mei", "none", now)?;
        for (project, role) in roles {
            tx.set_member(project, person, role, now)?;
        }
        Ok(person)
    });
    let person = made.await.unwrap();
    let headers = header::HeaderMap::new();
    let begun = session::begin(host, person, looks_at, &headers).await;
    let set = begun.unwrap().unwrap();
    (person, sent_back(set.to_str().unwrap()))
}

/// What a browser sends of a cookie that was set.
fn sent_back(set: &str) -> String {
    set.split(';').next().unwrap().to_owned()
}

/// The page on which a browser confirms.
async fn shown(world: &World, cookie: &str) -> String {
    let back = from_marketplace(world, PORTAL).await;
    let (status, page, _) = as_browser(back, Some(cookie), None).await;
    assert_eq!(status, 200, "{page}");
    page
}

/// Confirms what a page shows, for a project.
async fn confirm(world: &World, cookie: &str, page: &str, project: ProjectId) -> Response {
    let url = world.host().url("/oauth/hubspot/confirm");
    let project = project.to_string();
    let form = [("token", token_of(page)), ("project", &project)];
    post(&url, cookie, &form).await
}

/// The options of a page, in their order.
fn options(page: &str) -> Vec<&str> {
    let options = page.split("<option value=\"").skip(1);
    options
        .map(|rest| rest.split('"').next().unwrap())
        .collect()
}

/// How many connections a project has.
async fn connections(world: &World, project: ProjectId) -> usize {
    let found = world.host().store.read(move |tx| tx.connections(project));
    found.await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_an_admin_of_several_projects_chooses_one_and_goes_on_in_it() {
    let world = World::start().await;
    let own: ProjectId = world.project.parse().unwrap();
    let (harbor, lumen) = (
        project(&world, "Harbor").await,
        project(&world, "Lumen").await,
    );
    let foreign = project(&world, "Foreign").await;
    // Of what they look at, they are a viewer.
    let roles = [
        (own, Role::Viewer),
        (lumen, Role::Admin),
        (harbor, Role::Admin),
    ];
    let (person, browser) = member(&world, &roles).await;
    let page = shown(&world, &browser).await;
    assert_eq!(options(&page), [harbor.to_string(), lumen.to_string()]);

    // No other project can be chosen: one that is not theirs, one that they only
    // view, and one in which they were demoted since.
    for refused in [foreign, own] {
        let page = shown(&world, &browser).await;
        let answer = confirm(&world, &browser, &page, refused).await;
        assert_eq!(answer.status(), 403, "{refused}");
    }
    let host = world.host();
    let demote = async |role| {
        let now = host.clock.now();
        let demoted = host
            .store
            .transact(move |tx| tx.set_member(harbor, person, role, now));
        demoted.await.unwrap();
    };
    demote(Role::Viewer).await;
    let answer = confirm(&world, &browser, &page, harbor).await;
    assert_eq!(answer.status(), 403);
    demote(Role::Admin).await;
    for project in [own, harbor, lumen, foreign] {
        assert_eq!(connections(&world, project).await, 0, "{project}");
    }

    let page = shown(&world, &browser).await;
    let answer = confirm(&world, &browser, &page, lumen).await;
    assert_eq!(answer.status(), 303);
    assert_eq!(connections(&world, lumen).await, 1);
    let at = answer.headers()[header::LOCATION].to_str().unwrap();
    let at = host.url(at);
    let moved = sent_back(answer.headers()[header::SET_COOKIE].to_str().unwrap());
    // The token before is void; with the new one they are in that project.
    let (_, _, led_to) = as_browser(at.clone(), Some(&browser), None).await;
    assert_eq!(led_to.path(), "/sign-in");
    let (status, page, _) = as_browser(at, Some(&moved), None).await;
    assert_eq!(status, 200);
    assert!(
        page.contains("<span class=\"project\">Lumen</span>"),
        "{page}"
    );

    // What they look at is the first choice, and with it the browser stays.
    let page = shown(&world, &moved).await;
    assert_eq!(options(&page), [lumen.to_string(), harbor.to_string()]);
    let answer = confirm(&world, &moved, &page, lumen).await;
    assert_eq!(answer.status(), 303);
    assert!(!answer.headers().contains_key(header::SET_COOKIE));
    assert_eq!(connections(&world, lumen).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_an_admin_of_one_project_alone_connects_it_wherever_they_look() {
    let world = World::start().await;
    let own: ProjectId = world.project.parse().unwrap();
    let harbor = project(&world, "Harbor").await;
    let roles = [(own, Role::Viewer), (harbor, Role::Admin)];
    let (_, browser) = member(&world, &roles).await;
    let page = shown(&world, &browser).await;
    assert!(page.contains("<strong>Harbor</strong>"), "{page}");
    assert!(options(&page).is_empty(), "{page}");
    let hidden = format!("name=\"project\" value=\"{harbor}\"");
    assert!(page.contains(&hidden), "{page}");
    let answer = confirm(&world, &browser, &page, harbor).await;
    assert_eq!(answer.status(), 303);
    assert!(answer.headers().contains_key(header::SET_COOKIE));
    assert_eq!(connections(&world, harbor).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_confirms_another_project_twice_goes_on_in_it_once() {
    let world = World::start().await;
    let own: ProjectId = world.project.parse().unwrap();
    let harbor = project(&world, "Harbor").await;
    let (_, browser) = member(&world, &[(own, Role::Viewer), (harbor, Role::Admin)]).await;
    let page = shown(&world, &browser).await;
    let mut url = world.host().url("/oauth/hubspot/confirm");
    url.set_query(Some("once=mark"));
    let project = harbor.to_string();
    let form = [("token", token_of(&page)), ("project", &project)];
    let first = post(&url, &browser, &form).await;
    let second = post(&url, &browser, &form).await;
    for header in [header::LOCATION, header::SET_COOKIE] {
        assert_eq!(first.headers()[&header], second.headers()[&header]);
    }
    assert_eq!(connections(&world, harbor).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_no_person_connects_its_own_project_alone() {
    let world = World::start().await;
    let own: ProjectId = world.project.parse().unwrap();
    let harbor = project(&world, "Harbor").await;
    let browser = cookie(&world, Role::Admin).await;
    let page = shown(&world, &browser).await;
    assert!(options(&page).is_empty(), "{page}");
    let answer = confirm(&world, &browser, &page, harbor).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(connections(&world, harbor).await, 0);
    let page = shown(&world, &browser).await;
    let answer = confirm(&world, &browser, &page, own).await;
    assert_eq!(answer.status(), 303);
    assert!(!answer.headers().contains_key(header::SET_COOKIE));
    assert_eq!(connections(&world, own).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_who_is_an_admin_of_nothing_hubspot_is_asked_nothing() {
    let world = World::start().await;
    let own: ProjectId = world.project.parse().unwrap();
    let harbor = project(&world, "Harbor").await;
    let roles = [(own, Role::Viewer), (harbor, Role::Viewer)];
    let (_, browser) = member(&world, &roles).await;
    let back = from_marketplace(&world, PORTAL).await;
    let calls = world.sim.calls().len();
    let (status, page, _) = as_browser(back, Some(&browser), None).await;
    assert_eq!(status, 403);
    assert!(page.contains("You are signed in as a viewer"), "{page}");
    assert_eq!(world.sim.calls().len(), calls);
}
