//! Every form of these pages: by whom it is taken, and by whom not.

use jimo_connect::store::projects::Role;
use reqwest::StatusCode;

use super::people::{invite, invited, location, owner, person, sign_in};
use crate::pages::world::{Browser, World};

/// A form: its path, its fields, and whether it takes an admin.
type Form = (String, Vec<(&'static str, &'static str)>, bool);

/// All forms that are sent by who is signed in.
fn forms(member: &str) -> Vec<Form> {
    let form = |path: &str, fields: &[(&'static str, &'static str)], is_admins: bool| {
        (path.replace("MEMBER", member), fields.to_vec(), is_admins)
    };
    vec![
        form(
            "/settings/general",
            &[("name", "Theirs"), ("time_zone", "UTC")],
            true,
        ),
        form(
            "/settings/team",
            &[("email", "eve@example.com"), ("role", "admin")],
            true,
        ),
        form("/settings/team/invitations/1/revoke", &[], true),
        form("/settings/team/MEMBER/role", &[("role", "viewer")], true),
        form("/settings/team/MEMBER/remove", &[], true),
        form("/settings/team/MEMBER/reset-link", &[], true),
        form(
            "/settings/tokens",
            &[("name", "Theirs"), ("role", "admin")],
            true,
        ),
        form("/settings/tokens/1/revoke", &[], true),
        form("/settings/account/name", &[("name", "Changed")], false),
        form(
            "/settings/account/password",
            &[
                ("current", super::people::PASSWORD),
                ("password", "a better password"),
            ],
            false,
        ),
        form("/settings/account/sessions/1/end", &[], false),
        form("/settings/account/sign-out-everywhere", &[], false),
        form("/switch-project", &[("project", "prj_2")], false),
        form("/join/here", &[("token", "nonsense")], false),
        form("/sign-out", &[], false),
    ]
}

/// A line without what tells one form from the next one of the same page.
fn without_once(line: &str) -> String {
    let mut parts = line.split("?once=");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shown, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_".contains(c));
        shown + rest
    })
}

/// What the pages show of the project, which nothing here may change.
async fn shown(admin: &Browser<'_>) -> String {
    let mut shown = String::new();
    for page in ["general", "team", "tokens", "account"] {
        shown += &admin.page(&format!("/settings/{page}")).await;
    }
    // When a session was last used is said on the way.
    shown
        .lines()
        .filter(|line| !line.contains("<time"))
        .map(without_once)
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_is_taken_without_its_code_by_a_viewer_or_by_who_is_signed_out() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let mei = invited(&world, &olga, "viewer").await;
    invite(&olga, "waiting@example.com", "viewer").await;
    let token = [("name", "Ours"), ("role", "viewer")];
    super::people::told(&olga, "/settings/tokens", &token).await;
    let id = person(&world, "olga@example.com").await.to_string();
    let before = shown(&olga).await;

    // A browser that is not signed in, and one whose session of another member
    // the code is of.
    let (stranger, meis) = (Browser::new(&world), mei.csrf().await);
    let out = sign_in(&world, "mei@example.com", super::people::PASSWORD).await;
    let outs = out.csrf().await;
    let ended = super::people::send(&out, "/sign-out", &[]).await;
    assert_eq!(location(&ended), "/sign-in");
    for (path, fields, is_admins) in forms(&id) {
        let with = |code: Option<&str>| {
            let code = code.map(|code| ("csrf", code.to_owned()));
            let fields = fields
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()));
            fields.chain(code).collect::<Vec<_>>()
        };
        let post = async |browser: &Browser<'_>, form: Vec<(&str, String)>| {
            let form: Vec<_> = form
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            browser.post(&path, &form).await
        };
        for code in [None, Some(""), Some("nonsense"), Some(meis.as_str())] {
            let answer = post(&olga, with(code)).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {code:?}");
        }
        for (browser, code) in [(&stranger, &meis), (&out, &outs)] {
            let answer = post(browser, with(Some(code))).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
            assert_eq!(location(&answer), "/sign-in", "{path}");
        }
        if is_admins {
            let answer = post(&mei, with(Some(&meis))).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
            let page = answer.text().await.unwrap();
            assert!(
                page.contains("You are signed in as a viewer"),
                "{path}: {page}"
            );
        }
    }
    assert_eq!(shown(&olga).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_every_page_and_no_form_but_of_their_own_account() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let mei = invited(&world, &olga, "viewer").await;
    invite(&olga, "waiting@example.com", "viewer").await;
    let link = world
        .sign_in_to("prj_2".parse().unwrap(), Role::Viewer)
        .await;
    for (page, says) in [
        ("general", "An admin of the project can change these."),
        ("team", "An admin of the project can invite others"),
        (
            "tokens",
            "An admin of the project can make and revoke tokens.",
        ),
    ] {
        for viewer in [&mei, &link] {
            let shown = viewer.page(&format!("/settings/{page}")).await;
            assert!(shown.contains(says), "{shown}");
            let main = shown.split("<main").nth(1).unwrap();
            assert!(!main.contains("<form"), "{page}: {main}");
            assert!(!main.contains("Remove…"), "{page}: {main}");
        }
    }
    assert!(mei.page("/settings/team").await.contains("Leave…"));
    assert!(!link.page("/settings/team").await.contains("Leave…"));
    let id = person(&world, "olga@example.com").await;
    let remove = mei.get(&format!("/settings/team/{id}/remove")).await;
    assert_eq!(remove.status(), StatusCode::FORBIDDEN);
    assert!(
        mei.page("/settings/account")
            .await
            .contains("Change the password")
    );
}
