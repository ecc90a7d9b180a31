//! The pages, as a browser gets them.

mod audience;
mod fields;
mod health;
mod matching;
mod operator;
mod settings;
mod twice;
pub mod world;

use std::time::Duration;

use jimo_connect::{
    store::projects::Role,
    web::session::{COOKIE_NAME, Link},
};
use reqwest::{Method, StatusCode, header};

use self::world::{Browser, World};

fn location(answer: &reqwest::Response) -> &str {
    answer.headers()[header::LOCATION].to_str().expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_in_and_without_a_session_every_page_says_how() {
    let world = World::new().await;
    let stranger = Browser::new(&world);
    for path in [
        "/users",
        "/users/usr_1",
        "/users/usr_1/live",
        "/demo/hubspot/contacts",
    ] {
        let answer = stranger.get(path).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        assert_eq!(location(&answer), "/sign-in", "{path}");
    }
    let page = stranger.page("/sign-in").await;
    assert!(page.contains("type=\"password\""), "{page}");
    assert!(page.contains("jimo-connect sign-in"), "{page}");

    let link = world.link(world.project, Role::Admin, Link::Once).await;
    let (_, token) = link.as_str().split_once("token=").expect("token");
    // Who only looks, as a preview of the link does, does not use it up.
    for _ in 0..2 {
        let answer = stranger.get(link.as_str()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers().get(header::SET_COOKIE).is_none());
        let page = answer.text().await.expect("text");
        assert!(page.contains(&format!("value=\"{token}\"")), "{page}");
    }
    let answer = stranger.post("/sign-in/link", &[("token", token)]).await;
    assert_eq!(location(&answer), "/users");
    let cookie = answer.headers()[header::SET_COOKIE].to_str().expect("text");
    assert!(cookie.starts_with(&format!("{COOKIE_NAME}=")), "{cookie}");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(
        !cookie.contains("Secure"),
        "over plain HTTP it would be lost: {cookie}"
    );
    let again = stranger.get(link.as_str()).await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN);
    let again = stranger.post("/sign-in/link", &[("token", token)]).await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN);

    // The demo's link may be followed again and again.
    world.sign_in(Role::Admin).await;
    world.sign_in(Role::Admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_comes_to_the_page_that_was_asked_for_and_to_no_other_host() {
    let world = World::new().await;
    let wanted = format!("/users/{}?a=b", world.ana);
    let mut browser = Browser::new(&world);
    let answer = browser.go(&wanted).await;
    assert_eq!(location(&answer), "/sign-in");
    let kept = answer.headers()[header::SET_COOKIE].to_str().expect("text");
    browser.cookie = kept.split(';').next().map(str::to_owned);
    let link = world.link(world.project, Role::Viewer, Link::Again).await;
    let answer = browser.get(link.as_str()).await;
    assert_eq!(location(&answer), wanted);
    let set: Vec<_> = answer
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .collect();
    assert_eq!(set.len(), 2);
    let forgotten = set[1].to_str().expect("text");
    assert!(forgotten.starts_with("jimo_wanted=;") && forgotten.contains("Max-Age=0"));

    // `//evil.example/`, and what is no path at all.
    for forged in ["Ly9ldmlsLmV4YW1wbGUv", "nonsense", ""] {
        browser.cookie = Some(format!("jimo_wanted={forged}"));
        let answer = browser.get(link.as_str()).await;
        assert_eq!(location(&answer), "/users", "{forged}");
    }

    // Nobody wants to end at a stream, or at what a script asked for.
    let stream = browser.get(&format!("/users/{}/live", world.ana)).await;
    assert!(stream.headers().get(header::SET_COOKIE).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_answered_with_a_page() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let contact = format!("/demo/hubspot/contacts/{}", world.contact);
    for (method, path, status) in [
        (Method::GET, "/nothing/here", StatusCode::NOT_FOUND),
        (Method::GET, "/users?after=zz", StatusCode::BAD_REQUEST),
        (
            Method::GET,
            "/demo/hubspot/contacts/abc",
            StatusCode::NOT_FOUND,
        ),
        (
            Method::GET,
            &format!("{contact}?user=qq"),
            StatusCode::BAD_REQUEST,
        ),
        (Method::GET, "/sign-out", StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, "/users", StatusCode::METHOD_NOT_ALLOWED),
        (
            Method::POST,
            "/oauth/hubspot/confirm",
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let answer = admin.request(method.clone(), path).send().await;
        let answer = answer.expect("answer");
        assert_eq!(answer.status(), status, "{method} {path}");
        if status == StatusCode::METHOD_NOT_ALLOWED {
            assert!(answer.headers().contains_key(header::ALLOW), "{path}");
        }
        let page = answer.text().await.expect("text");
        assert!(page.contains("<main class=\"notice\">"), "{path}: {page}");
    }
    let large = "x".repeat(5_000);
    let stranger = Browser::new(&world);
    for path in [
        "/oauth/hubspot/confirm",
        "/sign-in",
        "/sign-in/link",
        "/welcome",
        "/join",
        "/reset-password",
    ] {
        let answer = stranger.post(path, &[("token", &large)]).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_itself() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Viewer).await;
    let csrf = admin.csrf().await;
    let answer = admin.post("/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(location(&answer), "/sign-in");
    // The cookie is still sent, and is worth nothing.
    assert_eq!(location(&admin.get("/users").await), "/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_another_project_are_not_there() {
    let world = World::new().await;
    let now = world.host.clock.now();
    let other = world
        .host
        .store
        .transact(move |tx| tx.create_project("Other", "UTC", now));
    let other = other.await.expect("project");
    let stranger = world.sign_in_to(other.id, Role::Admin).await;
    for path in [
        format!("/users/{}", world.ana),
        format!("/users/{}/live", world.ana),
    ] {
        let answer = stranger.get(&path).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let page = stranger.page("/users").await;
    assert!(page.contains("No users yet"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_and_found_by_name_email_and_user_id() {
    let world = World::new().await;
    let viewer = world.sign_in(Role::Viewer).await;
    let page = viewer.page("/users").await;
    assert!(page.contains("Jonas Weber") && page.contains("Anonymous") || page.contains("u_20486"));
    for query in ["ruiz", "ANA@northwind", "u_20481"] {
        let page = viewer.page(&format!("/users?q={query}")).await;
        assert!(page.contains("Ana Ruiz"), "{query}");
        assert!(!page.contains("Jonas Weber"), "{query}");
        assert!(page.contains("1 user found"), "{query}");
    }
    let page = viewer.page("/users?q=nobody%26%3C").await;
    assert!(
        page.contains("No user matches “nobody&#38;&#60;”"),
        "{page}"
    );
}

/// Where a link of a page leads, by what it is to the page.
fn linked(page: &str, rel: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("rel=\"{rel}\" href=\""))?;
    let address = rest.split('"').next()?;
    Some(address.replace("&#38;", "&").replace("&amp;", "&"))
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_come_a_page_at_a_time_forth_and_back() {
    let world = World::new().await;
    let (now, project) = (world.host.clock.now(), world.project);
    let made = world.host.store.transact(move |tx| {
        for number in 0..160 {
            let name = format!("Guest {number:03}");
            tx.create_user(project, None, None, Some(&name), now)?;
        }
        Ok(())
    });
    made.await.expect("users");
    let viewer = world.sign_in(Role::Viewer).await;
    let first = "/users?q=Guest";
    let begins = |page: &str, with: usize| {
        page.contains(&format!("Guest {with:03}"))
            && !page.contains(&format!("Guest {:03}", with + 50))
    };
    let mut pages = vec![first.to_owned()];
    for number in 0..4 {
        let page = viewer.page(&pages[number]).await;
        assert!(begins(&page, number * 50), "{number}: {page}");
        let back = linked(&page, "prev");
        assert_eq!(
            back.as_ref(),
            number.checked_sub(1).map(|before| &pages[before])
        );
        assert_eq!(page.contains("First page"), number > 1, "{number}");
        pages.extend(linked(&page, "next"));
    }
    assert_eq!(pages.len(), 4, "the last leads no further");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_says_where_each_value_comes_from() {
    let world = World::new().await;
    let viewer = world.sign_in(Role::Viewer).await;
    let page = viewer.page(&format!("/users/{}", world.ana)).await;
    let why = format!("/settings/integrations/con_1/activity?q={}\"", world.ana);
    assert!(page.contains(&why), "{page}");
    let row = |key: &str| {
        let (_, rest) = page
            .split_once(&format!("data-key=\"{key}\""))
            .unwrap_or_else(|| panic!("no {key}: {page}"));
        rest.split("</tr>").next().expect("row").to_owned()
    };
    assert!(row("native-email").contains("Native"));
    assert!(row("attribute-plan").contains("<p>Jimo</p>"));
    let stage = row("attribute-lifecycle_stage");
    assert!(stage.contains("opportunity"), "{stage}");
    let link = format!("/demo/hubspot/contacts/{}#lifecyclestage", world.contact);
    assert!(stage.contains(&link), "{stage}");
    assert!(stage.contains("HubSpot · ") && stage.contains("Changed <time datetime="));
    let size = row("attribute-company_size");
    assert!(size.contains("1,250") && size.contains(&format!("Company {}", world.company)));
    assert!(row("attribute-total_revenue").contains("48,250.5"));
    assert!(row("attribute-company_renewal").contains("31 January 2027"));
    assert!(row("attribute-buying_roles").contains("<li>DECISION_MAKER</li><li>CHAMPION</li>"));
    assert!(row("attribute-opted_out").contains(">No<"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_follows_what_is_saved_in_hubspot() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let csrf = admin.csrf().await;
    let mut events = admin.follow(&format!("/users/{}/live", world.ana)).await;
    let first = events.next().await.expect("the part as it is");
    assert!(first.contains("Head of Operations"));

    let record = format!("/demo/hubspot/contacts/{}", world.contact);
    let page = admin.page(&record).await;
    assert!(page.contains("value=\"Head of Operations\"") && page.contains("data-live="));
    let form = [
        ("csrf", csrf.as_str()),
        ("jobtitle", "Chief <b>Operating</b>\r\nOfficer"),
    ];
    let answer = admin.post(&record, &form).await;
    assert_eq!(location(&answer), format!("{record}?saved=true"));
    let saved = admin.page(location(&answer)).await;
    assert!(saved.contains("Saved in HubSpot."), "{saved}");
    let html = events.until("Chief &#60;b&#62;Operating").await;
    assert!(
        html.contains("opportunity"),
        "the rest is as it was: {html}"
    );
    assert!(!html.contains("<b>"), "{html}");

    // Cleared there, it leaves the profile.
    let answer = admin
        .post(&record, &[("csrf", &csrf), ("jobtitle", "")])
        .await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    loop {
        let html = events.next().await.expect("a part");
        if !html.contains("attribute-job_title") {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_the_session_and_with_the_host() {
    let world = World::new().await;
    let live = format!("/users/{}/live", world.ana);
    let leaving = world.sign_in(Role::Admin).await;
    let staying = world.sign_in(Role::Admin).await;
    let mut ending = leaving.follow(&live).await;
    let mut going_on = staying.follow(&live).await;
    ending.next().await.expect("the part as it is");
    going_on.next().await.expect("the part as it is");
    let csrf = leaving.csrf().await;
    leaving.post("/sign-out", &[("csrf", &csrf)]).await;
    world.host.pipeline.notify_changed();
    assert_eq!(ending.next().await, None);

    world.stop.cancel();
    assert_eq!(going_on.next().await, None);
    let stopped = tokio::time::timeout(Duration::from_secs(5), world.running).await;
    let ended = stopped.expect("no stream holds the host up");
    ended.expect("host").expect("no defect");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_cannot_hold_all_the_streams_there_are() {
    let world = World::new().await;
    let live = format!("/users/{}/live", world.ana);
    let greedy = world.sign_in(Role::Viewer).await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(greedy.follow(&live).await);
    }
    let refused = greedy.get(&live).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let other = world.sign_in(Role::Viewer).await;
    let mut events = other.follow(&live).await;
    events.next().await.expect("the part as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_forms_of_this_session_by_an_admin_change_anything() {
    let world = World::new().await;
    let record = format!("/demo/hubspot/contacts/{}", world.contact);
    let admin = world.sign_in(Role::Admin).await;
    let viewer = world.sign_in(Role::Viewer).await;
    let (admins, viewers) = (admin.csrf().await, viewer.csrf().await);
    let change = ("jobtitle", "Intruder");
    for (browser, form, status) in [
        (
            &viewer,
            vec![("csrf", viewers.as_str()), change],
            StatusCode::FORBIDDEN,
        ),
        (&admin, vec![change], StatusCode::FORBIDDEN),
        (
            &admin,
            vec![("csrf", viewers.as_str()), change],
            StatusCode::FORBIDDEN,
        ),
        (&admin, vec![("csrf", ""), change], StatusCode::FORBIDDEN),
        (
            &Browser::new(&world),
            vec![("csrf", admins.as_str()), change],
            StatusCode::SEE_OTHER,
        ),
    ] {
        let answer = browser.post(&record, &form).await;
        assert_eq!(answer.status(), status, "{form:?}");
    }
    let held = world
        .account
        .record("contacts", world.contact)
        .expect("record");
    assert_eq!(held.value("jobtitle"), Some("Head of Operations"));
    let page = viewer.page(&record).await;
    assert!(!page.contains("Save in HubSpot"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hubspot_refuses_is_said() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let csrf = admin.csrf().await;
    let record = format!("/demo/hubspot/contacts/{}", world.contact);
    let form = [("csrf", csrf.as_str()), ("total_revenue", "plenty")];
    let referer = format!("{}?user={}", world.url(&record), world.ana);
    let from = ("referer", referer.as_str());
    let answer = admin.post_with(&record, from, &form).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = answer.text().await.expect("text");
    assert!(page.contains("total_revenue"), "{page}");
    // The way on is the way back to the form.
    let form = format!("href=\"{record}?user={}\"", world.ana);
    assert!(page.contains(&form), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_not_taken_is_said_beside_the_one_that_stays() {
    let world = World::new().await;
    let viewer = world.sign_in(Role::Viewer).await;
    let live = format!("/users/{}/live?place=pane", world.ana);
    let mut events = viewer.follow(&live).await;
    let first = events.next().await.expect("the part as it is");
    assert!(!first.contains("newer value"), "{first}");
    let long = "x".repeat(701);
    let patch = world
        .account
        .patch("contacts", world.contact, &[("jobtitle", &long)]);
    patch.expect("patch");
    let html = events.until("more than the 700 characters").await;
    assert!(html.contains("Head of Operations"), "{html}");
    let taken = world
        .account
        .patch("contacts", world.contact, &[("jobtitle", "Cook")]);
    taken.expect("patch");
    let html = events.until(">Cook<").await;
    assert!(!html.contains("newer value"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_record_is_told_from_the_users_and_has_one_first_heading() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let record = format!("/demo/hubspot/contacts/{}", world.contact);
    let page = admin.page(&record).await;
    assert!(
        page.contains("<title>Ana Ruiz · Contact · Jimo</title>"),
        "{page}"
    );
    assert_eq!(page.matches("<h1").count(), 1);
    assert!(page.contains("/live?place=pane\""), "{page}");
    assert!(!page.contains("native-email"), "{page}");
    assert!(
        page.contains("aria-describedby=\"jobtitle-feeds\""),
        "{page}"
    );
    assert!(!page.contains("Nothing from HubSpot yet"), "{page}");
    let found = admin.page("/users?q=jonas").await;
    let (_, rest) = found.split_once("href=\"/users/usr_").expect("Jonas");
    let jonas = rest.split('"').next().expect("id");
    let live = format!("/users/usr_{jonas}/live?place=pane");
    let bare = admin.follow(&live).await.next().await.expect("a part");
    assert!(bare.contains("Nothing from HubSpot yet"), "{bare}");
    let profile = admin.page(&format!("/users/{}", world.ana)).await;
    assert!(profile.contains("<title>Ana Ruiz · Jimo</title>"));
    assert_eq!(profile.matches("<h1").count(), 1);
    assert!(profile.contains("Times in Europe/Paris"), "{profile}");

    // What stands beside the record is of the users who have its address.
    let csrf = admin.csrf().await;
    let quiet = ("x-quiet", "1");
    let city = [("csrf", csrf.as_str()), ("jobtitle", "Cook")];
    let answer = admin.post_with(&record, quiet, &city).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let email = [("csrf", csrf.as_str()), ("email", "jonas@weber.example")];
    let answer = admin.post_with(&record, quiet, &email).await;
    assert_eq!(answer.status(), StatusCode::RESET_CONTENT);
    let page = admin.page(&record).await;
    assert!(page.contains("Jonas Weber"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_created_and_deleted_in_the_simulated_hubspot() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let csrf = admin.csrf().await;
    let form = [
        ("csrf", csrf.as_str()),
        ("email", "jonas@weber.example"),
        ("firstname", "Jonas"),
    ];
    let answer = admin.post("/demo/hubspot/contacts", &form).await;
    let path = location(&answer).to_owned();
    assert!(
        admin.page(&path).await.contains("Jonas Weber"),
        "the Jimo user is beside it"
    );
    assert!(
        admin
            .page("/demo/hubspot/contacts")
            .await
            .contains("jonas@weber.example")
    );
    let answer = admin
        .post(&format!("{path}/delete"), &[("csrf", &csrf)])
        .await;
    assert_eq!(location(&answer), "/demo/hubspot/contacts");
    assert_eq!(admin.get(&path).await.status(), StatusCode::NOT_FOUND);
    for path in ["companies", "deals"] {
        admin.page(&format!("/demo/hubspot/{path}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_carries_scripts_or_styles_of_its_own_or_of_others() {
    let world = World::new().await;
    let script = [
        ("lastname", "<script>alert(1)</script>"),
        ("jobtitle", "\"><img src=x>"),
    ];
    world
        .account
        .patch("contacts", world.contact, &script)
        .expect("patch");
    world.sim.settle().await;
    let admin = world.sign_in(Role::Admin).await;
    for path in [
        "/users".to_owned(),
        "/users?q=%3Cscript%3E".to_owned(),
        format!("/users/{}", world.ana),
        "/sign-in".to_owned(),
        "/settings/general".to_owned(),
        "/settings/team".to_owned(),
        "/settings/tokens".to_owned(),
        "/settings/account".to_owned(),
        "/nothing/here".to_owned(),
        "/demo/hubspot/contacts".to_owned(),
        format!("/demo/hubspot/contacts/{}", world.contact),
        format!("/demo/hubspot/companies/{}", world.company),
    ] {
        let answer = admin.get(&path).await;
        let headers = answer.headers().clone();
        let policy = headers[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .expect("text");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(headers[header::REFERRER_POLICY], "same-origin", "{path}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        let page = answer.text().await.expect("text");
        for (at, _) in page.match_indices("<script") {
            let tag = page[at..].split('>').next().expect("tag");
            assert!(
                tag.starts_with("<script src=\"/static/page."),
                "{path}: {tag}"
            );
        }
        for inline in [" style=", "<style", " onclick=", "<img", "javascript:"] {
            assert!(!page.contains(inline), "{path}: {inline}");
        }
        for (at, _) in page.match_indices("/static/") {
            let file = page[at..].split('"').next().expect("address");
            let answer = admin.get(file).await;
            assert_eq!(answer.status(), StatusCode::OK, "{file}");
            let kept = answer.headers()[header::CACHE_CONTROL]
                .to_str()
                .expect("text");
            assert!(kept.contains("immutable"), "{kept}");
        }
    }
}
