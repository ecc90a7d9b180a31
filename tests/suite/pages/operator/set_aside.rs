//! Operator → Set aside: by reason, one with its bytes, and worked on again.

use harness::{bare::deliver, components::misbehaving_as};
use jimo_connect::{
    intake,
    log::{EntryKind, Position},
    plugin::{EMBEDDED, digest},
    store::set_aside::SetAside,
};
use reqwest::header;

use super::{SET_ASIDE, operator, set_aside};
use crate::{
    members::people::{location, send},
    pages::world::{Browser, PORTAL, World},
};

async fn delivered(world: &World, body: &str) {
    let webhooks = world.host.url(intake::PATH).to_string();
    let secret = world.sim.app().client_secret;
    let status = deliver(&webhooks, &secret, body.as_bytes().to_vec()).await;
    assert_eq!(status.unwrap(), 204);
}

fn activate(world: &World, component: &[u8]) {
    let version = world.host.engine.load(component).unwrap();
    world.host.plugins.activate(version.into());
}

/// An event on which the misbehaving plugin does as it is told.
fn event(record: u64, misbehave: &str, note: &str) -> String {
    format!(
        r#"[{{"portalId":{PORTAL},"objectId":{record},"subscriptionType":"contact.creation","occurredAt":1,"misbehave":"{misbehave}","note":"{note}"}}]"#
    )
}

/// Asks for something to be worked on again, and returns the page of that once it is
/// over.
async fn worked_on(browser: &Browser<'_>, path: &str, form: &[(&str, &str)]) -> String {
    let answer = send(browser, path, form).await;
    assert_eq!(answer.status(), 303, "{path}");
    let replay = location(&answer).to_owned();
    let mut events = browser.follow(&format!("{replay}/live")).await;
    events.until("data-tell=\"over\"").await;
    browser.page(&replay).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_fix_it_is_found_by_reason_looked_at_and_worked_on_one_by_one_or_all() {
    let world = World::new().await;
    let olga = operator(&world).await;
    assert!(olga.page(SET_ASIDE).await.contains("Nothing is set aside."));
    let failing = misbehaving_as("hubspot", "nothing");
    activate(&world, &failing);
    let bad = event(1, "trap", "<script>alert(1)</script>\u{202e}");
    for (at, body) in [
        bad.clone(),
        event(2, "hoard", ""),
        event(3, "trap", ""),
        "[1,]".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        delivered(&world, body).await;
        set_aside(&world, at + 1).await;
    }
    let listed = set_aside(&world, 4).await;
    let trapped = listed[0].reason.clone();
    assert!(trapped.contains("trapped"), "{trapped}");

    let page = olga.page(SET_ASIDE).await;
    for said in [
        "Work on all 2 again",
        "Work on all 4 again",
        "No. 4",
        "Nobody’s",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert_eq!(page.matches("Work on it again").count(), 2, "{page}");
    let page = olga.page(&format!("{SET_ASIDE}?reason=memory")).await;
    assert!(
        page.contains("1 of 4 set aside") && page.contains("No. 2"),
        "{page}"
    );
    assert!(!page.contains("No. 1<"), "{page}");
    let other = format!("{SET_ASIDE}?plugin={}", digest(EMBEDDED));
    assert!(olga.page(&other).await.contains("Nothing is like that."));
    let by_version = format!("{SET_ASIDE}?plugin={}", digest(&failing));
    assert!(olga.page(&by_version).await.contains("4 of 4 set aside"));
    let page = olga
        .page(&format!("{SET_ASIDE}?reason=no+such+reason"))
        .await;
    assert!(page.contains("Nothing is like that."), "{page}");
    let page = olga.page(&format!("{SET_ASIDE}?cursor=3")).await;
    assert!(page.contains("No. 4") && !page.contains("No. 3<"), "{page}");

    // Its bytes are data: shown as they are, and kept by nobody.
    let one = format!("{SET_ASIDE}/1");
    let answer = olga.get(&one).await;
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let page = answer.text().await.unwrap();
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(
        page.contains("alert(1)") && page.contains("\\u{202e}"),
        "{page}"
    );
    assert!(page.contains(&digest(&failing)), "{page}");
    let answer = olga.get(&format!("{one}/bytes")).await;
    let headers = answer.headers();
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::CONTENT_TYPE], "application/octet-stream");
    let name = "attachment; filename=\"set-aside-1\"";
    assert_eq!(headers[header::CONTENT_DISPOSITION], name);
    assert_eq!(answer.text().await.unwrap(), bad);

    activate(&world, EMBEDDED);
    let page = worked_on(&olga, &format!("{one}/replay"), &[]).await;
    assert!(page.contains("All of it is worked on"), "{page}");
    assert_eq!(olga.get(&one).await.status(), 404);
    let gone = send(&olga, &format!("{one}/replay"), &[]).await;
    assert_eq!(gone.status(), 404);
    let all = format!("{SET_ASIDE}/replay");
    let page = worked_on(&olga, &all, &[("reason", &trapped)]).await;
    assert!(page.contains("All of it is worked on"), "{page}");
    assert_eq!(set_aside(&world, 2).await[0].id, 2);
    // What is no JSON is none with any version.
    let page = worked_on(&olga, &all, &[]).await;
    assert!(page.contains("Not all of it could be worked on"), "{page}");
    let page = olga.page(SET_ASIDE).await;
    assert!(
        page.contains("Failed again") && page.contains("No. 4"),
        "{page}"
    );
    set_aside(&world, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_follows_what_is_set_aside() {
    let world = World::new().await;
    let olga = operator(&world).await;
    let mut events = olga.follow(&format!("{SET_ASIDE}/live?reason=JSON")).await;
    let shown = events.next().await.unwrap();
    assert!(shown.contains("Nothing is like that."), "{shown}");
    delivered(&world, "[1,]").await;
    let shown = events.until("No. 1").await;
    assert!(shown.contains("1 of 1 set aside"), "{shown}");
}

/// Has something set aside that no version can work on.
async fn aside(world: &World, connector: &str, account: Option<&str>, reason: &str) {
    let what = SetAside {
        position: Position(1),
        kind: EntryKind::Delivery,
        connector: connector.to_owned(),
        account: account.map(Into::into),
        reason: reason.to_owned(),
        plugin: None,
        body: b"[1,]".to_vec(),
    };
    let now = world.host.clock.now();
    let kept = world
        .host
        .store
        .transact(move |tx| tx.set_aside(&what, now));
    kept.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_one_reason_is_worked_on_again_and_nothing_of_another() {
    let world = World::new().await;
    let olga = operator(&world).await;
    for reason in ["it failed", "it failed", "it failed again"] {
        aside(&world, "hubspot", None, reason).await;
    }
    let page = olga.page(SET_ASIDE).await;
    let (_, form) = page.split_once("name=\"exact_reason\" value=\"").unwrap();
    assert_eq!(form.split('"').next(), Some("it failed"), "{page}");
    assert!(page.contains("Work on all 2 again"), "{page}");
    let all = format!("{SET_ASIDE}/replay");
    for (reason, asked) in [("it failed", 2), ("it failed again", 1)] {
        let page = worked_on(&olga, &all, &[("exact_reason", reason)]).await;
        let asked = format!("Asked for</dt><dd class=\"large\">{asked}</dd>");
        assert!(page.contains(&asked), "{reason}: {page}");
    }
    // A reason of no words is one as well.
    let page = worked_on(&olga, &all, &[("exact_reason", "")]).await;
    assert!(page.contains("Nothing was like that"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_shown_with_the_connector_that_it_is_of() {
    let world = World::new().await;
    let olga = operator(&world).await;
    aside(&world, "hubspot", Some("acme"), "it failed").await;
    aside(&world, "webhook", Some("acme"), "it failed").await;
    let page = olga.page(SET_ASIDE).await;
    for (number, connector) in [(1, "HubSpot"), (2, "webhook")] {
        let row = format!("acme<span class=\"hint block\">{connector}</span>");
        assert!(page.contains(&row), "{row}: {page}");
        let one = olga.page(&format!("{SET_ASIDE}/{number}")).await;
        let fact = format!("acme<small>{connector}</small>");
        assert!(one.contains(&fact), "{fact}: {one}");
    }
}
