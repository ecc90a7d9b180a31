//! Signing in by a password: what is told, and how often it may be tried.

use std::time::Duration;

use futures_util::future::join_all;
use jimo_connect::{store::projects::Role, web::session::Link};
use reqwest::{Method, StatusCode, header};

use super::people::{
    PASSWORD, cookie, field, invite, invited, is_in, location, owner, owners_link, person,
    project_of, sign_in, token, told, try_password, welcome,
};
use crate::pages::world::{Browser, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_address_are_told_in_the_same_words() {
    let world = World::new().await;
    owner(&world).await;
    let browser = Browser::new(&world);
    let mut answers = Vec::new();
    for (email, password) in [
        ("olga@example.com", "not her password"),
        ("nobody@example.com", "not her password"),
        ("nobody@example.com", PASSWORD),
        ("olga@example.com", ""),
    ] {
        let answer = try_password(&browser, email, password).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(cookie(&answer).is_none());
        answers.push(answer.text().await.unwrap().replace(email, "EMAIL"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0].contains("do not go together"), "{}", answers[0]);
    let answer = try_password(&browser, "olga@example.com", PASSWORD).await;
    assert_eq!(location(&answer), "/users");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_tried_ten_times_and_again_after_a_quarter_of_an_hour() {
    let world = World::new().await;
    owner(&world).await;
    let browser = Browser::new(&world);
    // Whether it has an account is not told by this, either.
    for email in ["olga@example.com", "nobody@example.com"] {
        for _ in 0..10 {
            let answer = try_password(&browser, email, "a guess a guess").await;
            assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        }
        let answer = try_password(&browser, &email.to_uppercase(), PASSWORD).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        let page = answer.text().await.unwrap();
        assert!(page.contains("quarter of an hour"), "{page}");
    }
    world.host.clock.turn(Duration::from_secs(10 * 60));
    let answer = try_password(&browser, "olga@example.com", PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    world.host.clock.turn(Duration::from_secs(5 * 60));
    sign_in(&world, "olga@example.com", PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_attempts_with_many_addresses_is_not_computed() {
    let world = World::new().await;
    owner(&world).await;
    let browser = Browser::new(&world);
    let attempts = (0..140).map(async |number| {
        let email = format!("user-{number}@example.com");
        let answer = try_password(&browser, &email, "a guess a guess").await;
        answer.status().as_u16()
    });
    let statuses = join_all(attempts).await;
    let looked_at = statuses.iter().filter(|status| **status == 422).count();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((looked_at, refused), (120, 20));
    world.host.clock.turn(Duration::from_secs(60));
    sign_in(&world, "olga@example.com", PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_signs_nobody_in_by_any_way() {
    let world = World::new().await;
    let browser = Browser::new(&world);
    // Sent by pages of other sites it is refused, and stays good for our own.
    let only_ours = async |path: &str, form: &[(&str, &str)]| {
        let mut answers = Vec::new();
        for site in ["cross-site", "same-site", "nonsense", "same-origin"] {
            let answer = browser.post_with(path, ("Sec-Fetch-Site", site), form);
            answers.push(answer.await);
        }
        let ours = answers.pop().unwrap();
        for foreign in answers {
            assert_eq!(foreign.status(), StatusCode::FORBIDDEN, "{path}");
            assert!(cookie(&foreign).is_none(), "{path}");
        }
        assert_eq!(ours.status(), StatusCode::SEE_OTHER, "{path}");
        let mut signed_in = Browser::new(&world);
        signed_in.cookie = cookie(&ours);
        assert!(is_in(&signed_in).await, "{path}");
        signed_in
    };
    let first = owners_link(&world).await.unwrap();
    let olga = only_ours("/welcome", &welcome(&first, "olga@example.com")).await;
    let form = [("email", "olga@example.com"), ("password", PASSWORD)];
    only_ours("/sign-in", &form).await;
    let link = world.link(world.project, Role::Admin, Link::Once).await;
    let link = token(link.as_str());
    only_ours("/sign-in/link", &[("token", &link)]).await;
    let invitation = invite(&olga, "mei@example.com", "viewer").await;
    let form = [
        ("token", invitation.as_str()),
        ("name", "Mei"),
        ("password", PASSWORD),
    ];
    only_ours("/join", &form).await;
    let id = person(&world, "mei@example.com").await;
    let path = format!("/settings/team/{id}/reset-link");
    let (_, page) = told(&olga, &path, &[]).await;
    let reset = token(&field(&page, "link"));
    let form = [("token", reset.as_str()), ("password", "a better password")];
    only_ours("/reset-password", &form).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_comes_to_the_page_they_wanted_with_a_new_token_each_time() {
    let world = World::new().await;
    owner(&world).await;
    let mut browser = Browser::new(&world);
    let answer = browser.go("/settings/team").await;
    assert_eq!(location(&answer), "/sign-in");
    let kept = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    let wanted = kept.split(';').next().unwrap().to_owned();
    browser.cookie = Some(wanted);
    let answer = try_password(&browser, "olga@example.com", PASSWORD).await;
    assert_eq!(location(&answer), "/settings/team");
    let first = cookie(&answer).unwrap();

    // Signed in again in the same browser, the token before is void.
    browser.cookie = Some(first.clone());
    let answer = try_password(&browser, "olga@example.com", PASSWORD).await;
    assert_ne!(cookie(&answer), Some(first));
    assert!(!is_in(&browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_several_projects_comes_back_to_the_one_they_looked_at_last() {
    let world = World::new().await;
    let mut olga = owner(&world).await;
    let id = person(&world, "olga@example.com").await;
    let harbor = project_of(&world, "Harbor", &[(id, Role::Viewer)]).await;
    let foreign = project_of(&world, "Foreign", &[]).await;
    let page = olga.page("/users").await;
    assert!(
        page.contains("switch project") && page.contains(">Harbor</button>"),
        "{page}"
    );
    assert!(!page.contains("Foreign"), "{page}");

    let csrf = olga.csrf().await;
    let to = |project: String| [("csrf", csrf.clone()), ("project", project)];
    let post = async |form: [(&str, String); 2]| {
        let request = olga.request(Method::POST, "/switch-project").form(&form);
        request.send().await.unwrap()
    };
    let refused = post(to(foreign.to_string())).await;
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    let answer = post(to(harbor.to_string())).await;
    assert_eq!(location(&answer), "/users");
    // What the pages of the project before would send is not taken any more.
    assert!(!is_in(&olga).await);
    olga.cookie = cookie(&answer);
    let stale = olga
        .post(
            "/settings/team",
            &[
                ("csrf", csrf.as_str()),
                ("email", "eve@example.com"),
                ("role", "admin"),
            ],
        )
        .await;
    assert_eq!(stale.status(), StatusCode::FORBIDDEN);
    let page = olga.page("/settings/team").await;
    assert!(
        page.contains("Harbor") && !page.contains("name=\"role\""),
        "{page}"
    );

    let again = sign_in(&world, "olga@example.com", PASSWORD).await;
    let page = again.page("/users").await;
    assert!(
        page.contains("<span class=\"project\">Harbor</span>"),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_who_is_a_member_of_nothing_any_more_nothing_is_kept() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let mei = invited(&world, &olga, "viewer").await;
    let id = person(&world, "mei@example.com").await;
    let path = format!("/settings/team/{id}/remove");
    super::people::done(&olga, &path, &[], "/settings/team").await;
    assert!(!is_in(&mei).await);
    let browser = Browser::new(&world);
    let answer = try_password(&browser, "mei@example.com", PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    // Invited again, she begins anew.
    let token = invite(&olga, "mei@example.com", "viewer").await;
    let page = browser.page(&format!("/join?token={token}")).await;
    assert!(page.contains("Choose a password"), "{page}");
}
