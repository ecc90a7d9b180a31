//! The first member, invitations, and a forgotten password.

use std::time::Duration;

use harness::program::{self, Program};
use jimo_connect::{
    members::{INVITATION_LIFE, OWNER_LINK_LIFE, RESET_LIFE},
    model::{PersonId, ProjectId},
    store::projects::Role,
};
use reqwest::{StatusCode, header};
use tempfile::TempDir;

use super::people::{
    PASSWORD, becomes, cookie, done, field, invite, invited, is_in, join, location, owner,
    owners_link, person, project_of, sign_in, token, told, try_password, welcome,
};
use crate::pages::world::{Browser, World};

const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread")]
async fn the_owners_link_makes_a_project_and_its_admin_who_is_signed_in() {
    let world = World::new().await;
    let token = owners_link(&world).await.unwrap();
    let mut browser = Browser::new(&world);
    let page = browser.page(&format!("/welcome?token={token}")).await;
    for asked in ["project", "time_zone", "name", "email", "password"] {
        assert!(page.contains(&format!("id=\"{asked}\"")), "{asked}: {page}");
    }
    assert!(page.contains("<option>Europe/Paris</option>"), "{page}");
    assert!(page.contains("<option selected>UTC</option>"), "{page}");

    let form = welcome(&token, " Olga@Example.com ");
    let answer = browser.post("/welcome", &form).await;
    assert_eq!(location(&answer), "/settings/integrations");
    browser.cookie = cookie(&answer);
    let page = browser.page("/settings/general").await;
    for shown in [
        "Northwind Two",
        "Europe/Paris",
        "Olga Owner",
        "Olga@Example.com",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert_eq!(field(&page, "project-id"), "prj_2");
    // They sign in again, however they write their address.
    sign_in(&world, "OLGA@example.com", PASSWORD).await;

    // Nobody else is the first one.
    let again = Browser::new(&world);
    let page = again.get(&format!("/welcome?token={token}")).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    let form = welcome(&token, "eve@example.com");
    let answer = again.post("/welcome", &form).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(owners_link(&world).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_owners_links_the_newest_alone_is_good_and_for_a_day() {
    let world = World::new().await;
    let (first, second) = (owners_link(&world).await, owners_link(&world).await);
    let browser = Browser::new(&world);
    let status = async |token: &str| {
        let answer = browser.get(&format!("/welcome?token={token}")).await;
        answer.status().as_u16()
    };
    let second = second.unwrap();
    assert_eq!(status(&first.unwrap()).await, 403);
    world
        .host
        .clock
        .turn(OWNER_LINK_LIFE - Duration::from_secs(60));
    assert_eq!(status(&second).await, 200);
    world.host.clock.turn(Duration::from_secs(60));
    assert_eq!(status(&second).await, 403);
    let form = welcome(&second, "olga@example.com");
    let answer = browser.post("/welcome", &form).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_first_form_stands_at_its_fields_and_the_link_stays_good() {
    let world = World::new().await;
    let token = owners_link(&world).await.unwrap();
    let browser = Browser::new(&world);
    let form = [
        ("token", token.as_str()),
        ("project", " "),
        ("time_zone", "Mars/Olympus"),
        ("name", ""),
        ("email", "olga"),
        ("password", "short"),
    ];
    let answer = browser.post("/welcome", &form).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = answer.text().await.unwrap();
    for wrong in ["project", "time_zone", "name", "email", "password"] {
        assert!(page.contains(&format!("id=\"{wrong}-error\"")), "{wrong}");
    }
    assert!(page.contains("At least 12 characters"), "{page}");
    assert_eq!(field(&page, "email"), "olga");
    assert!(!page.contains("short"), "a password is not sent back");
    let form = welcome(&token, "olga@example.com");
    let answer = browser.post("/welcome", &form).await;
    assert_eq!(location(&answer), "/settings/integrations");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_tells_the_owners_link_in_its_log_as_long_as_nobody_used_it() {
    let directory = TempDir::new().unwrap();
    let told_link = |line: &serde_json::Value| line["fields"]["link"].is_string();
    let start = async || {
        let program = Program::start(directory.path(), &program::alone());
        let line = program.line(told_link).await;
        let message = line["fields"]["message"].as_str().unwrap();
        assert!(message.starts_with("nobody has an account yet"), "{line}");
        let link = line["fields"]["link"].as_str().unwrap().to_owned();
        assert!(link.starts_with(&program.url), "{link}");
        (program, link)
    };
    let client = harness::bare::client();
    let (first, link) = start().await;
    assert_eq!(client.get(&link).send().await.unwrap().status(), 200);
    first.kill();
    let (second, newer) = start().await;
    let older = format!("{}/welcome?token={}", second.url, token(&link));
    assert_eq!(client.get(older).send().await.unwrap().status(), 403);
    let token = token(&newer);
    let form = welcome(&token, "olga@example.com");
    let begun = client.post(format!("{}/welcome", second.url)).form(&form);
    // It follows to the integrations, which without its cookie lead to sign-in.
    assert_eq!(begun.send().await.unwrap().status(), 200);
    second.kill();
    let third = Program::start(directory.path(), &program::alone());
    let ready = client.get(format!("{}/health/live", third.url));
    assert_eq!(ready.send().await.unwrap().status(), 200);
    assert!(
        !third.log().contains("nobody has an account"),
        "{}",
        third.log()
    );
    assert!(!third.log().contains("olga"), "{}", third.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_invited_joins_by_the_link_once_with_the_role_that_was_meant() {
    let world = World::new().await;
    let admin = owner(&world).await;
    let token = invite(&admin, "Mei@Example.com", "viewer").await;
    let page = admin.page("/settings/team").await;
    assert!(page.contains("Mei@Example.com"), "{page}");
    assert!(page.contains("invited by Olga Owner"), "{page}");
    assert!(!page.contains(&token), "it is shown once");

    let stranger = Browser::new(&world);
    let address = format!("/join?token={token}");
    // To look at it does not use it up.
    for _ in 0..2 {
        let page = stranger.page(&address).await;
        assert!(page.contains("Olga Owner invites you"), "{page}");
        assert!(page.contains("Northwind Two"), "{page}");
        assert_eq!(field(&page, "email"), "Mei@Example.com");
        assert!(page.contains("Choose a password"), "{page}");
    }
    let short = [
        ("token", token.as_str()),
        ("name", "Mei"),
        ("password", "short"),
    ];
    let answer = stranger.post("/join", &short).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let mei = join(&world, &token, "Mei Tanaka").await;
    let page = mei.page("/settings/account").await;
    assert!(
        page.contains("Mei Tanaka") && page.contains("Viewer"),
        "{page}"
    );
    let (status, _) = told(
        &mei,
        "/settings/general",
        &[("name", "Mine"), ("time_zone", "UTC")],
    )
    .await;
    assert_eq!(status, 403);

    let again = stranger.get(&address).await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN);
    let form = [
        ("token", token.as_str()),
        ("name", "Eve"),
        ("password", PASSWORD),
    ];
    let again = stranger.post("/join", &form).await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN);
    let page = admin.page("/settings/team").await;
    assert!(!page.contains("Waiting invitations"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_in_anew_goes_on_in_their_project_whatever_they_wanted_before() {
    let world = World::new().await;
    let wanting = async || {
        let mut browser = Browser::new(&world);
        let answer = browser.go("/settings/integrations/con_1").await;
        let kept = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(kept.starts_with("jimo_wanted="), "{kept}");
        browser.cookie = kept.split(';').next().map(str::to_owned);
        browser
    };
    let forgets = |answer: &reqwest::Response| {
        let set = answer.headers().get_all(header::SET_COOKIE).into_iter();
        let set = set.map(|value| value.to_str().unwrap());
        let mut of_wanted = set.filter(|cookie| cookie.starts_with("jimo_wanted=;"));
        of_wanted.any(|cookie| cookie.contains("Max-Age=0"))
    };
    let token = owners_link(&world).await.unwrap();
    let form = welcome(&token, "olga@example.com");
    let mut olga = wanting().await;
    let answer = olga.post("/welcome", &form).await;
    assert_eq!(location(&answer), "/settings/integrations");
    assert!(forgets(&answer));
    olga.cookie = cookie(&answer);

    let token = invite(&olga, "mei@example.com", "viewer").await;
    let form = [
        ("token", token.as_str()),
        ("name", "Mei"),
        ("password", PASSWORD),
    ];
    let answer = wanting().await.post("/join", &form).await;
    assert_eq!(location(&answer), "/users");
    assert!(forgets(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_good_for_seven_days_and_an_earlier_or_revoked_one_no_more() {
    let world = World::new().await;
    let admin = owner(&world).await;
    let stranger = Browser::new(&world);
    let status = async |token: &str| {
        let answer = stranger.get(&format!("/join?token={token}")).await;
        answer.status().as_u16()
    };
    let first = invite(&admin, "mei@example.com", "viewer").await;
    let second = invite(&admin, "MEI@example.com", "admin").await;
    assert_eq!((status(&first).await, status(&second).await), (403, 200));
    done(
        &admin,
        "/settings/team/invitations/2/revoke",
        &[],
        "/settings/team",
    )
    .await;
    assert_eq!(status(&second).await, 403);
    let (again, _) = told(&admin, "/settings/team/invitations/2/revoke", &[]).await;
    assert_eq!(again, 404);

    let third = invite(&admin, "mei@example.com", "viewer").await;
    world
        .host
        .clock
        .turn(INVITATION_LIFE - Duration::from_secs(60));
    assert_eq!(status(&third).await, 200);
    world.host.clock.turn(Duration::from_secs(60));
    assert_eq!(status(&third).await, 403);
    let form = [
        ("token", third.as_str()),
        ("name", "Mei"),
        ("password", PASSWORD),
    ];
    let answer = stranger.post("/join", &form).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_an_account_joins_another_project_with_its_password_or_as_signed_in() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let mei = invited(&world, &olga, "admin").await;
    let ids = (
        person(&world, "olga@example.com").await,
        person(&world, "mei@example.com").await,
    );
    for (name, is_signed_in) in [("Harbor", false), ("Lumen", true)] {
        project_of(&world, name, &[(ids.0, Role::Admin)]).await;
        let mut olga = sign_in(&world, "olga@example.com", PASSWORD).await;
        let page = olga.page("/users").await;
        let id = page.split(&format!(">{name}</button>")).next().unwrap();
        let id = id
            .rsplit("value=\"")
            .next()
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let csrf = olga.csrf().await;
        let form = [("csrf", csrf.as_str()), ("project", id)];
        let answer = olga.post("/switch-project", &form).await;
        olga.cookie = cookie(&answer);
        let token = invite(&olga, "mei@example.com", "viewer").await;
        let address = format!("/join?token={token}");

        // Whoever else is signed in cannot accept it.
        let (status, page) = told(&olga, "/join/here", &[("token", &token)]).await;
        assert_eq!(status, 422, "{page}");
        assert!(page.contains("another e-mail address"), "{page}");

        let mut stranger = Browser::new(&world);
        let page = stranger.page(&address).await;
        assert!(page.contains("Sign in and join"), "{page}");
        let wrong = [("token", token.as_str()), ("password", "not the password")];
        let answer = stranger.post("/join", &wrong).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        if is_signed_in {
            let page = mei.page(&address).await;
            assert!(
                page.contains("You are signed in as mei@example.com"),
                "{page}"
            );
            let csrf = mei.csrf().await;
            let form = [("csrf", csrf.as_str()), ("token", &token)];
            let answer = mei.post("/join/here", &form).await;
            assert_eq!(location(&answer), "/users");
            stranger.cookie = cookie(&answer);
        } else {
            let form = [("token", token.as_str()), ("password", PASSWORD)];
            let answer = stranger.post("/join", &form).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            stranger.cookie = cookie(&answer);
        }
        let page = stranger.page("/users").await;
        assert!(
            page.contains(&format!("<span class=\"project\">{name}</span>")),
            "{page}"
        );
        // Where they were before they are what they were.
        let role = world
            .host
            .store
            .read(move |tx| tx.member_role("prj_2".parse().unwrap(), ids.1));
        assert_eq!(role.await.unwrap(), Some(Role::Admin));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_forgot_their_password_chooses_a_new_one_by_a_link_of_an_admin() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let mei = invited(&world, &olga, "viewer").await;
    let id = person(&world, "mei@example.com").await;
    let path = format!("/settings/team/{id}/reset-link");
    let link = async || {
        let (status, page) = told(&olga, &path, &[]).await;
        assert_eq!(status, 200, "{page}");
        assert!(page.contains("Send this link to Mei"), "{page}");
        token(&field(&page, "link"))
    };
    let (first, second) = (link().await, link().await);
    let browser = Browser::new(&world);
    let at = |token: &str| format!("/reset-password?token={token}");
    assert_eq!(
        browser.get(&at(&first)).await.status(),
        StatusCode::FORBIDDEN
    );
    let page = browser.page(&at(&second)).await;
    assert_eq!(field(&page, "email"), "mei@example.com");
    let with = |password: &'static str| [("token", second.as_str()), ("password", password)];
    let refused = browser
        .post("/reset-password", &with("mei@example.com"))
        .await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused
            .text()
            .await
            .unwrap()
            .contains("your e-mail address")
    );

    // All her sessions end; those of others do not.
    let answer = browser
        .post("/reset-password", &with("a better password"))
        .await;
    assert_eq!(location(&answer), "/users");
    assert!(!is_in(&mei).await && is_in(&olga).await);
    let again = browser
        .post("/reset-password", &with("an even better one"))
        .await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN);
    let old = try_password(&browser, "mei@example.com", PASSWORD).await;
    assert_eq!(old.status(), StatusCode::UNPROCESSABLE_ENTITY);
    sign_in(&world, "mei@example.com", "a better password").await;

    let third = link().await;
    world.host.clock.turn(RESET_LIFE - Duration::from_secs(60));
    browser.page(&at(&third)).await;
    world.host.clock.turn(Duration::from_secs(60) + MOMENT);
    assert_eq!(
        browser.get(&at(&third)).await.status(),
        StatusCode::FORBIDDEN
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_cannot_become_who_is_a_member_of_projects_of_others_nor_themselves() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let mei = invited(&world, &olga, "viewer").await;
    let ids = (
        person(&world, "olga@example.com").await,
        person(&world, "mei@example.com").await,
    );
    let path = format!("/settings/team/{}/reset-link", ids.1);
    assert!(olga.page("/settings/team").await.contains(&path));
    let other = project_of(&world, "Harbor", &[(ids.1, Role::Viewer)]).await;
    for hers in [None, Some(Role::Viewer)] {
        if let Some(role) = hers {
            becomes(&world, other, ids.0, role).await;
        }
        assert!(!olga.page("/settings/team").await.contains(&path));
        let (status, page) = told(&olga, &path, &[]).await;
        assert_eq!(status, 422, "{page}");
    }
    // Where she is an admin of that as well, she may.
    becomes(&world, other, ids.0, Role::Admin).await;
    assert_eq!(told(&olga, &path, &[]).await.0, 200);
    let own = format!("/settings/team/{}/reset-link", ids.0);
    assert_eq!(told(&olga, &own, &[]).await.0, 422);
    assert_eq!(told(&mei, &own, &[]).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_for_a_new_password_is_good_as_long_as_who_made_it_may_make_it() {
    let world = World::new().await;
    let olga = owner(&world).await;
    invited(&world, &olga, "viewer").await;
    let ids = (
        person(&world, "olga@example.com").await,
        person(&world, "mei@example.com").await,
    );
    let own: ProjectId = "prj_2".parse().unwrap();
    let other = project_of(&world, "Harbor", &[(ids.0, Role::Admin)]).await;
    // Another admin, so that the first can go.
    let operator = world.sign_in_to(own, Role::Admin).await;
    let next = join(
        &world,
        &invite(&olga, "ben@example.com", "admin").await,
        "Ben",
    )
    .await;
    let path = format!("/settings/team/{}/reset-link", ids.1);
    let link = async |by: &Browser<'_>| {
        let (status, page) = told(by, &path, &[]).await;
        assert_eq!(status, 200, "{page}");
        token(&field(&page, "link"))
    };
    let stranger = Browser::new(&world);
    let looked_at = async |token: &str| {
        let path = format!("/reset-password?token={token}");
        stranger.get(&path).await.status().as_u16()
    };
    let used = async |token: &str| {
        let form = [("token", token), ("password", "an even better one")];
        let answer = stranger.post("/reset-password", &form).await;
        answer.status().as_u16()
    };
    let is_bad = async |token: &str, why: &str| {
        let statuses = (looked_at(token).await, used(token).await);
        assert_eq!(statuses, (403, 403), "{why}");
    };
    let leaves = async |project: ProjectId, person: PersonId| {
        let leaves = world
            .host
            .store
            .transact(move |tx| tx.remove_member(project, person));
        leaves.await.unwrap();
    };

    // She joins a project that who made it is a viewer of, or none of theirs.
    for (by, theirs) in [
        (&olga, Some(Role::Viewer)),
        (&next, None),
        (&operator, None),
    ] {
        let made = link(by).await;
        if let Some(role) = theirs {
            becomes(&world, other, ids.0, role).await;
        }
        becomes(&world, other, ids.1, Role::Viewer).await;
        is_bad(&made, "she is a member of another project").await;
        leaves(other, ids.1).await;
        assert_eq!(looked_at(&made).await, 200);
    }

    // Who made it is an admin no more, or no member.
    let made = link(&olga).await;
    becomes(&world, own, ids.0, Role::Viewer).await;
    is_bad(&made, "its maker was demoted").await;
    becomes(&world, own, ids.0, Role::Admin).await;
    assert_eq!(looked_at(&made).await, 200);
    leaves(own, ids.0).await;
    is_bad(&made, "its maker left the project").await;
    let made = link(&next).await;
    leaves(own, person(&world, "ben@example.com").await).await;
    is_bad(&made, "its maker has no account any more").await;

    // She is a member of another project instead.
    let made = link(&operator).await;
    becomes(&world, other, ids.1, Role::Viewer).await;
    leaves(own, ids.1).await;
    is_bad(&made, "she left the project").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_makes_a_link_for_a_new_password_by_the_command_line() {
    let world = World::new().await;
    owner(&world).await;
    let run = |email: &str| {
        std::process::Command::new(program::path())
            .args(["reset-password", email])
            .env("JIMO_DATA_DIR", &world.host.config.data.directory)
            .env("JIMO_PUBLIC_URL", world.host.public_url.as_str())
            .output()
            .unwrap()
    };
    let output = run(" OLGA@example.com");
    assert!(output.status.success());
    let link = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let browser = Browser::new(&world);
    let page = browser.page(&link).await;
    assert_eq!(field(&page, "email"), "olga@example.com");
    // Whatever she joins, it stays good: who can make it may read everything.
    let olga = person(&world, "olga@example.com").await;
    project_of(&world, "Harbor", &[(olga, Role::Viewer)]).await;
    let token = token(&link);
    let form = [("token", token.as_str()), ("password", "a better password")];
    let answer = browser.post("/reset-password", &form).await;
    assert_eq!(location(&answer), "/users");
    for (nobodys, said) in [("eve@example.com", "no such member"), ("olga", "e-mail")] {
        let output = run(nobodys);
        assert!(!output.status.success() && output.stdout.is_empty());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(said), "{errors}");
    }
}
