//! What somebody changed of the fields and has not saved: theirs as long as they
//! may save it, and nobody else's.

use jimo_connect::store::projects::Role;
use reqwest::StatusCode;

use super::people::{
    PASSWORD, cookie, done, invite, invited, join, location, person, project_of, send, sign_in,
};
use crate::pages::world::{Browser, World, hidden};

const FIELDS: &str = "/settings/integrations/con_1/fields";
const MEI: &str = "mei@example.com";

/// Adds a field to one's draft.
async fn add(browser: &Browser<'_>) {
    let form = [
        ("object_type", "contacts"),
        ("property", "firstname"),
        ("variable", "drafted_name"),
    ];
    let answer = send(browser, &format!("{FIELDS}/add"), &form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

/// Whether the fields show with what was added.
async fn is_drafted(browser: &Browser<'_>) -> bool {
    let page = browser.page(FIELDS).await;
    let is_counted = page.contains("1 change is not saved yet");
    assert_eq!(page.contains("drafted_name"), is_counted, "{page}");
    is_counted
}

/// Renews a session by a form.
async fn renewed(browser: &mut Browser<'_>, path: &str, form: &[(&str, &str)]) {
    let answer = send(browser, path, form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
    let before = std::mem::replace(&mut browser.cookie, cookie(&answer));
    assert!(browser.cookie.is_some() && browser.cookie != before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_goes_on_in_all_of_ones_browsers_after_other_projects_and_passwords() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let mut mei = invited(&world, &admin, "admin").await;
    let hers = person(&world, MEI).await;
    let harbor = project_of(&world, "Harbor", &[(hers, Role::Admin)]).await;
    add(&mei).await;
    assert!(is_drafted(&mei).await);
    renewed(
        &mut mei,
        "/switch-project",
        &[("project", &harbor.to_string())],
    )
    .await;
    assert_eq!(mei.get(FIELDS).await.status(), StatusCode::NOT_FOUND);
    let back = world.project.to_string();
    renewed(&mut mei, "/switch-project", &[("project", &back)]).await;
    assert!(is_drafted(&mei).await);
    let new = "a better password";
    let form = [("current", PASSWORD), ("password", new)];
    renewed(&mut mei, "/settings/account/password", &form).await;
    assert!(is_drafted(&mei).await);
    send(&mei, "/sign-out", &[]).await;
    let other = sign_in(&world, MEI, new).await;
    assert!(is_drafted(&other).await);
    assert!(!is_drafted(&admin).await, "nobody else's");
    // What is saved in one browser is a draft in no other.
    let again = sign_in(&world, MEI, new).await;
    let review = format!("{FIELDS}/review");
    let page = other.page(&review).await;
    let form = ["version", "draft"].map(|name| (name, hidden(&page, name)));
    let saved = send(&other, &review, &form).await;
    assert_eq!(location(&saved), format!("{FIELDS}?saved=1"));
    let page = again.page(FIELDS).await;
    assert!(page.contains("drafted_name") && !page.contains("not saved yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_ends_when_its_author_may_not_save_it_any_more() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let mei = invited(&world, &admin, "admin").await;
    let hers = person(&world, MEI).await;
    // Somebody else is an admin, too.
    let token = invite(&admin, "max@example.com", "admin").await;
    join(&world, &token, "Max").await;
    // She is a member elsewhere, so she stays a person.
    project_of(&world, "Harbor", &[(hers, Role::Admin)]).await;
    let role = format!("/settings/team/{hers}/role");
    add(&mei).await;
    assert!(is_drafted(&mei).await);
    done(&admin, &role, &[("role", "viewer")], "/settings/team").await;
    assert!(!is_drafted(&mei).await);
    done(&admin, &role, &[("role", "admin")], "/settings/team").await;
    assert!(!is_drafted(&mei).await);

    add(&mei).await;
    let remove = format!("/settings/team/{hers}/remove");
    let answer = send(&admin, &remove, &[]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let token = invite(&admin, MEI, "admin").await;
    let mut mei = sign_in(&world, MEI, PASSWORD).await;
    renewed(&mut mei, "/join/here", &[("token", &token)]).await;
    assert!(!is_drafted(&mei).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_of_a_session_by_a_link_goes_on_in_that_session_alone() {
    let world = World::new().await;
    let one = world.sign_in(Role::Admin).await;
    add(&one).await;
    let other = world.sign_in(Role::Admin).await;
    assert!(is_drafted(&one).await && !is_drafted(&other).await);
}
