//! Health, activity and alerts of a connection, as a browser gets them without
//! scripts.

use std::collections::BTreeMap;

use harness::receivers::HttpReceiver;
use hubspot_sim::{FaultRule, Trouble};
use jimo_connect::{
    model::{ConnectionId, Problem, Status},
    pipeline::mapping::{self, NewMappings},
    store::{hours::freshness_bucket, projects::Role},
};
use reqwest::StatusCode;

use super::{location, world::World};

const CONNECTION: &str = "/settings/integrations/con_1";

fn path(page: &str) -> String {
    format!("{CONNECTION}{page}")
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_what_came_and_that_nothing_needs_anybody() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let page = admin.page(&path("/health")).await;
    for said in [
        "All is well",
        "Half of the changes",
        "What came, and what it did",
        "<svg",
        "role=\"img\"",
        "Show as a table",
        "Last catch-up",
        "Last proof of truth",
        "requests used in the present ten seconds",
        "How changes arrive",
        "Webhooks",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    // In the usual order.
    let place = |of: &str| page.find(&format!("<th scope=\"row\">{of}</th>"));
    let (contacts, companies) = (place("Contacts"), place("Companies"));
    assert!(contacts.is_some() && contacts < companies, "{page}");
    // The hour with what was synced has a bar, and the table its numbers.
    assert!(page.contains("<rect class=\"updated\""), "{page}");
    assert!(
        !page.contains("style=") && !page.contains("<script>"),
        "{page}"
    );
    assert_eq!(page.matches("<tr><th scope=\"row\"><time").count(), 24);
    let week = admin.page(&path("/health?hours=168")).await;
    assert_eq!(week.matches("<tr><th scope=\"row\"><time").count(), 168);
    let mut events = admin.follow(&path("/health/live")).await;
    let first = events.next().await.expect("the part as it is");
    assert!(first.contains("All is well"), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_connected_or_maps_nothing_is_not_said_to_be_well() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let csrf = admin.csrf().await;
    let enable = "/settings/integrations/enable/hubspot";
    admin.post(enable, &[("csrf", &csrf)]).await;
    let pending = "/settings/integrations/con_2";
    let page = admin.page(&format!("{pending}/health")).await;
    assert!(page.contains("Not connected yet"), "{page}");
    assert!(page.contains("it is not connected yet"), "{page}");
    assert!(!page.contains("All is well"), "{page}");
    // Below its head nothing is brought up to date until it is finished.
    let page = admin.page(pending).await;
    assert!(page.contains("Finish connecting"), "{page}");
    let stream = format!("data-live=\"{pending}/head/live?until=finished\"");
    assert!(page.contains(&stream), "{page}");

    let (project, keys, now) = (
        world.project,
        world.host.keys.clone(),
        world.host.clock.now(),
    );
    let unmapped = world.host.store.transact(move |tx| {
        let connections = tx.connections(project)?;
        let connection = connections.iter().find(|one| one.account.is_some());
        let connection = connection.expect("the one that is connected");
        let nothing = NewMappings {
            mappings: Vec::new(),
            options: Vec::new(),
            options_read_at: now,
        };
        mapping::save(tx, &keys, connection.id, &nothing, true, now)
    });
    unmapped.await.expect("saved");
    let page = admin.page(&path("/health")).await;
    assert!(page.contains("Nothing is mapped yet"), "{page}");
    assert!(page.contains(">Map fields<"), "{page}");
    assert!(!page.contains("All is well"), "{page}");
    let viewer = world.sign_in(Role::Viewer).await;
    let page = viewer.page(&path("/health")).await;
    assert!(!page.contains(">Map fields<"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_consent_sees_that_it_was_finished_elsewhere() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let csrf = admin.csrf().await;
    let enable = "/settings/integrations/enable/hubspot";
    admin.post(enable, &[("csrf", &csrf)]).await;
    let page = "/settings/integrations/con_2/matching";
    let page = admin.page(page).await;
    let (_, stream) = page.split_once("data-live=\"").expect(&page);
    let stream = stream.split('"').next().unwrap();
    let mut waiting = admin.follow(stream).await;
    let list = admin.page("/settings/integrations").await;
    let own = "data-live=\"/settings/integrations/live\"";
    assert!(list.contains(own), "{list}");
    let mut list = admin.follow("/settings/integrations/live").await;
    let told = waiting.until("Not finished").await;
    assert!(!told.contains("data-load-again"), "{told}");
    let told = list.until("Finish connecting").await;
    assert!(!told.contains("second.example"), "{told}");

    let id: ConnectionId = "con_2".parse().unwrap();
    let finished = world.host.store.transact(move |tx| {
        let domain = Some("second.example");
        let account = tx.save_account("hubspot", &"2".into(), domain, None, None)?;
        tx.set_connection_account(id, account)?;
        tx.set_connection_status(id, Status::Active, None)
    });
    finished.await.expect("finished");
    world.host.pipeline.notify_changed();
    waiting.until("data-load-again").await;
    let told = list.until("second.example").await;
    assert!(!told.contains("Finish connecting"), "{told}");
    // Then it is a page like any other.
    let page = admin.page("/settings/integrations/con_2/matching").await;
    assert!(page.contains("/con_2/head/live\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_page_that_is_another_once_a_connection_is_finished_waits_for_that() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let csrf = admin.csrf().await;
    let enable = "/settings/integrations/enable/hubspot";
    admin.post(enable, &[("csrf", &csrf)]).await;
    let pending = "/settings/integrations/con_2";
    for waits in ["", "/matching", "/fields", "/syncs"] {
        let page = admin.page(&format!("{pending}{waits}")).await;
        let stream = format!("data-live=\"{pending}/head/live?until=finished\"");
        assert!(page.contains(&stream), "{waits}: {page}");
    }
    let alone = format!("data-live=\"{pending}/head/live\"");
    for other in ["/activity", "/alerts", "/delete"] {
        let page = admin.page(&format!("{pending}{other}")).await;
        assert!(page.contains(&alone), "{other}: {page}");
    }
    // A signing secret is shown once.
    let form = [
        ("csrf", csrf.as_str()),
        ("kind", "webhook"),
        ("to", "https://hooks.example/jimo"),
    ];
    let added = admin.post(&format!("{pending}/alerts"), &form).await;
    let page = added.text().await.expect("text");
    assert!(page.contains("id=\"signing-secret\""), "{page}");
    assert!(page.contains(&alone), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_integrations_shows_what_asks_and_how_fresh_it_is_as_they_change() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let mut list = admin.follow("/settings/integrations/live").await;
    let shown = list.next().await.expect("the list as it is");
    let page = admin.page("/settings/integrations").await;
    for said in [
        ">Connected<",
        "northwind.example",
        "Account 48975575",
        "freshness not measured yet",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
        assert!(page.contains(said), "{said}: {page}");
    }
    let id: ConnectionId = "con_1".parse().unwrap();
    let now = world.host.clock.now();
    // One change, which took about three seconds.
    let took = BTreeMap::from([(freshness_bucket(3_000), 1)]);
    let came = world
        .host
        .store
        .transact(move |tx| tx.add_freshness(id, now, &took));
    came.await.expect("added");
    world.host.pipeline.notify_changed();
    list.until("half of the last day’s changes within 3").await;
    let becomes = async |status, problem: Option<Problem>| {
        let set = world
            .host
            .store
            .transact(move |tx| tx.set_connection_status(id, status, problem.as_ref()));
        set.await.expect("set");
        world.host.pipeline.notify_changed();
    };
    let problem = Problem {
        code: "missing_scopes".into(),
        detail: "Deals cannot be read.".into(),
        remedy: "Reconnect.".into(),
    };
    becomes(Status::Active, Some(problem)).await;
    list.until(">Asks you<").await;
    becomes(Status::Paused, None).await;
    list.until(">Paused<").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_hubspot_does_not_answer_is_told_with_the_next_try_until_it_does() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let csrf = admin.csrf().await;
    let fault = FaultRule::by_chance(Trouble::Status(502), 1.0);
    world.sim.inject(fault);
    let begun = [("csrf", csrf.as_str()), ("kind", "full")];
    let answer = admin.post(&path("/syncs"), &begun).await;
    let run = location(&answer).to_owned();
    let mut events = admin.follow(&format!("{run}/live")).await;
    let html = events.until("Waits for HubSpot").await;
    assert!(
        html.contains("(status 502)") && html.contains("The next try:"),
        "{html}"
    );
    for said in ["Asking HubSpot how much", "Waiting its turn", "a second"] {
        assert!(!html.contains(said), "{said}: {html}");
    }
    // What happens again is no chance.
    events.until("HubSpot has not answered since").await;
    let mut health = admin.follow(&path("/health/live")).await;
    let html = health.until("HubSpot does not answer").await;
    assert!(html.contains("(status 502)"), "{html}");
    assert!(!html.contains("All is well"), "{html}");

    world.sim.clear_faults();
    let html = events.until("Completed").await;
    assert!(!html.contains("not answered"), "{html}");
    let page = admin.page(&path("/health")).await;
    assert!(page.contains("All is well"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_somebody_comes_first_with_what_mends_it() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let viewer = world.sign_in(Role::Viewer).await;
    let csrf = admin.csrf().await;
    admin.post(&path("/pause"), &[("csrf", &csrf)]).await;
    let page = admin.page(&path("/health")).await;
    assert!(page.contains("One thing needs you"), "{page}");
    assert!(
        page.contains("The integration is paused") && page.contains(">Resume<"),
        "{page}"
    );
    // The head says the same, and so does what follows it.
    let events = admin.follow(&path("/health/live")).await.next().await;
    let events = events.expect("the part as it is");
    assert!(
        events.contains(">Paused<") && !events.contains("class=\"banners\""),
        "{events}"
    );
    // Once, and not in a banner above the page as well.
    assert!(!page.contains("class=\"banners\""), "{page}");
    let looked = viewer.page(&path("/health")).await;
    assert!(!looked.contains(">Resume<"), "{looked}");
    admin.post(&path("/resume"), &[("csrf", &csrf)]).await;

    world.account.uninstall();
    let mut events = admin.follow(&path("/health/live")).await;
    // Whatever needs a call notices.
    world
        .host
        .store
        .transact(|tx| {
            let sql = tx.connected_accounts()?;
            tx.allow_reads(sql[0])
        })
        .await
        .expect("allowed");
    let run = [("csrf", csrf.as_str()), ("kind", "full")];
    admin.post(&path("/syncs"), &run).await;
    let html = events.until("Access was revoked").await;
    assert!(html.contains(">Reconnect<") && html.contains("Nothing that was synced is lost"));

    // What is not held cannot go on.
    let answer = admin
        .post(&path("/health/continue"), &[("csrf", &csrf)])
        .await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_filtered_and_explains_why() {
    let world = World::new().await;
    let viewer = world.sign_in(Role::Viewer).await;
    let page = viewer.page(&path("/activity")).await;
    assert!(
        page.contains("Live update") && page.contains("Ana Ruiz"),
        "{page}"
    );
    let contact = world.contact.to_string();
    assert!(
        page.contains(&format!("activity?q=contacts%20{contact}")),
        "{page}"
    );
    let none = viewer
        .page(&path("/activity?outcome=erased&origin=&user="))
        .await;
    assert!(none.contains("No line is like that."), "{none}");
    // By an address as well, and with what reached them through others.
    let hers = viewer
        .page(&path(
            "/activity?user=ANA%40northwind.example&outcome=updated",
        ))
        .await;
    assert!(
        hers.contains(&format!("Contact {contact}"))
            && hers.contains(&format!("Company {}", world.company)),
        "{hers}"
    );
    let nobody = viewer.page(&path("/activity?user=eve%40example.com")).await;
    assert!(nobody.contains("No line is like that."), "{nobody}");
    assert!(
        page.contains("<option value=\"alert_ended\">Solved"),
        "{page}"
    );
    let of_company = viewer.page(&path("/activity?object_type=companies")).await;
    assert!(
        of_company.contains("<option value=\"companies\" selected>"),
        "{of_company}"
    );
    assert!(
        !of_company.contains(&format!("Contact {contact}")),
        "{of_company}"
    );

    let told = viewer
        .page(&path("/activity?q=ana%40northwind.example"))
        .await;
    assert!(told.contains("All of it came through."), "{told}");
    assert!(
        told.contains(&format!("Contact {contact}")) && told.contains("Matched"),
        "{told}"
    );
    assert!(told.contains("Head of Operations"), "{told}");
    assert!(told.contains("value=\"ana@northwind.example\""), "{told}");
    let stranger = world
        .account
        .create("contacts", &[("email", "eve@example.com")])
        .expect("contact");
    let told = async || viewer.page(&path(&format!("/activity?q={stranger}"))).await;
    let mut page = told().await;
    for _ in 0..200 {
        if page.contains("matches no user") {
            break;
        }
        let mut changed = world.host.pipeline.changed();
        let _ =
            tokio::time::timeout(std::time::Duration::from_millis(100), changed.changed()).await;
        page = told().await;
    }
    assert!(page.contains("Known to HubSpot, matches no user"), "{page}");
    assert!(
        page.contains("Stopped here") && page.contains("Not reached"),
        "{page}"
    );
    let refused = viewer
        .page(&path("/activity?q=https%3A%2F%2Fexample.com%2F"))
        .await;
    assert!(refused.contains("aria-invalid=\"true\""), "{refused}");
    let markup = viewer.page(&path("/activity?q=%3Cb%3E")).await;
    assert!(!markup.contains("<b>"), "{markup}");
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_added_tried_and_removed() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    let csrf = admin.csrf().await;
    let receiver = HttpReceiver::start().await;
    let add = |kind: &'static str, to: &str| {
        vec![
            ("csrf", csrf.clone()),
            ("kind", kind.to_owned()),
            ("to", to.to_owned()),
        ]
    };
    let post = async |form: Vec<(&'static str, String)>| {
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = admin.post(&path("/alerts"), &form).await;
        (answer.status(), answer.text().await.expect("text"))
    };
    let page = admin.page(&path("/alerts")).await;
    assert!(
        page.contains("Nowhere yet") && page.contains("JIMO_SMTP_URL"),
        "{page}"
    );

    let (status, page) = post(add("webhook", "ftp://example.com")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.contains("begin with https://") && page.contains("value=\"ftp://example.com\""));
    assert!(
        page.contains("aria-describedby=\"to-hint to-error\""),
        "{page}"
    );

    let (status, page) = post(add("webhook", &receiver.url)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("value=\"whsec_"), "{page}");
    let page = admin.page(&path("/alerts")).await;
    assert!(!page.contains("whsec_"), "it is shown once: {page}");
    assert!(
        page.contains("Signed webhook") && page.contains("Send a test"),
        "{page}"
    );

    let test = path("/alerts/alc_1/test");
    let answer = admin.post(&test, &[("csrf", &csrf)]).await;
    assert_eq!(location(&answer), path("/alerts?tried=alc_1"));
    let page = admin.page(location(&answer)).await;
    assert!(
        page.contains("The test was taken") && page.contains("It answered 204"),
        "{page}"
    );
    assert_eq!(receiver.wait_for(1).await[0].json()["state"], "test");
    let answer = admin.post(&test, &[("csrf", &csrf)]).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let page = answer.text().await.expect("text");
    assert!(
        page.contains("A test was sent there moments ago") && page.contains("Send a test"),
        "{page}"
    );

    let viewer = world.sign_in(Role::Viewer).await;
    let page = viewer.page(&path("/alerts")).await;
    assert!(
        !page.contains("Send a test") && !page.contains("name=\"to\""),
        "{page}"
    );
    let theirs = viewer.csrf().await;
    let refused = viewer.post(&test, &[("csrf", &theirs)]).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);

    let remove = path("/alerts/alc_1/remove");
    let answer = admin.post(&remove, &[("csrf", &csrf)]).await;
    assert_eq!(location(&answer), path("/alerts"));
    assert!(admin.page(&path("/alerts")).await.contains("Nowhere yet"));
    let again = admin.post(&remove, &[("csrf", &csrf)]).await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
}
