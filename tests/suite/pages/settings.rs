//! Settings → Integrations, as a browser gets it without scripts.

use jimo_connect::{
    model::{
        UserId,
        condition::{Attribute, Condition, Rule, Test},
    },
    store::{projects::Role, segments::NewSegment, users::UserFilter},
};
use reqwest::StatusCode;

use super::{
    location,
    world::{Browser, World},
};

const CONNECTION: &str = "/settings/integrations/con_1";

/// A browser of an admin, and the code that its forms carry.
async fn admin(world: &World) -> (Browser<'_>, String) {
    let admin = world.sign_in(Role::Admin).await;
    let csrf = admin.csrf().await;
    (admin, csrf)
}

/// The path of the run that was begun, once it is over; and its page then.
async fn ran(admin: &Browser<'_>, csrf: &str, form: &[(&str, &str)]) -> (String, String) {
    let form = [&[("csrf", csrf)], form].concat();
    let answer = admin.post(&format!("{CONNECTION}/syncs"), &form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let path = location(&answer).to_owned();
    let mut events = admin.follow(&format!("{path}/live")).await;
    let page = events.until("Completed").await;
    (path, page)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_is_enabled_by_going_to_hubspot_and_begun_only_once() {
    let world = World::new().await;
    let (admin, csrf) = admin(&world).await;
    let list = admin.page("/settings/integrations").await;
    for said in [
        "HubSpot",
        "northwind.example",
        "Connected",
        "contacts, companies and deals",
    ] {
        assert!(list.contains(said), "{said}: {list}");
    }
    let enable = "/settings/integrations/enable/hubspot";
    for _ in 0..2 {
        let answer = admin.post(enable, &[("csrf", &csrf)]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let page = answer.text().await.expect("text");
        let authorize = world.sim.authorize_url();
        assert!(
            page.contains(&format!("content=\"0;url={authorize}")),
            "{page}"
        );
        assert!(page.contains("Go to HubSpot"), "{page}");
    }
    let list = admin.page("/settings/integrations").await;
    assert_eq!(list.matches("Not finished").count(), 1, "{list}");
    assert!(list.contains("Finish connecting"), "{list}");
    let pending = admin.page("/settings/integrations/con_2").await;
    assert!(
        pending.contains("Nothing is read or kept until it is."),
        "{pending}"
    );
    let other = "/settings/integrations/enable/other";
    let unknown = admin.post(other, &[("csrf", &csrf)]).await;
    assert_eq!(unknown.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_see_the_settings_and_change_nothing() {
    let world = World::new().await;
    let viewer = world.sign_in(Role::Viewer).await;
    let csrf = viewer.csrf().await;
    for path in ["", "/syncs", "/delete"] {
        let page = viewer.page(&format!("{CONNECTION}{path}")).await;
        let forms = page.matches("method=\"post\"").count();
        // Signing out, and on the page that deletes, a form without a button.
        assert!(forms <= 2, "{path}: {page}");
        assert!(
            !page.contains("type=\"submit\">Delete integration"),
            "{page}"
        );
    }
    for path in [
        "/pause",
        "/resume",
        "/reconnect",
        "/delete",
        "/syncs",
        "/syncs/run_1/cancel",
        "/syncs/run_1/continue",
    ] {
        let form = [("csrf", &*csrf), ("values", "keep"), ("kind", "full")];
        let answer = viewer.post(&format!("{CONNECTION}{path}"), &form).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let enable = "/settings/integrations/enable/hubspot";
    let answer = viewer.post(enable, &[("csrf", &csrf)]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_another_project_is_not_there() {
    let world = World::new().await;
    let now = world.host.clock.now();
    let other = world
        .host
        .store
        .transact(move |tx| Ok(tx.create_project("Southwind", "UTC", now)?.id))
        .await
        .expect("project");
    let stranger = world.sign_in_to(other, Role::Admin).await;
    let csrf = stranger.csrf().await;
    for path in [
        "",
        "/live",
        "/syncs",
        "/syncs/estimate",
        "/syncs/run_1",
        "/delete",
    ] {
        let answer = stranger.get(&format!("{CONNECTION}{path}")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/pause", "/delete", "/syncs", "/reconnect"] {
        let form = [("csrf", &*csrf), ("values", "clear"), ("kind", "full")];
        let answer = stranger.post(&format!("{CONNECTION}{path}"), &form).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let list = stranger.page("/settings/integrations").await;
    assert!(
        list.contains(">Enable<") && !list.contains("northwind.example"),
        "{list}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_or_revoked_says_so_above_every_page_of_the_settings() {
    let world = World::new().await;
    let (admin, csrf) = admin(&world).await;
    let pages = [
        "/settings/integrations",
        CONNECTION,
        "/settings/integrations/con_1/syncs",
    ];
    let pause = admin
        .post(&format!("{CONNECTION}/pause"), &[("csrf", &csrf)])
        .await;
    assert_eq!(location(&pause), CONNECTION);
    for path in pages {
        let page = admin.page(path).await;
        assert!(
            page.contains("HubSpot is paused: northwind.example"),
            "{path}: {page}"
        );
    }
    let page = admin.page(&format!("{CONNECTION}/syncs")).await;
    assert!(page.contains("Resume the integration first."), "{page}");
    // Whoever looks sees it come and go, on any of its pages.
    let mut streams = Vec::new();
    for (page, live) in [("", "/live"), ("/syncs", "/head/live")] {
        let live = &format!("{CONNECTION}{live}");
        let page = admin.page(&format!("{CONNECTION}{page}")).await;
        assert!(page.contains(&format!("data-live=\"{live}\"")), "{page}");
        let mut events = admin.follow(live).await;
        let first = events.next().await.expect("what is above");
        assert!(
            first.contains("HubSpot is paused: northwind.example"),
            "{first}"
        );
        assert!(first.contains(">Paused<"), "{first}");
        streams.push(events);
    }
    let resume = admin
        .post(&format!("{CONNECTION}/resume"), &[("csrf", &csrf)])
        .await;
    assert_eq!(location(&resume), CONNECTION);
    assert!(!admin.page(CONNECTION).await.contains("is paused"));
    for mut events in streams {
        let now = events.until(">Connected<").await;
        assert!(!now.contains("is paused"), "{now}");
    }

    world.account.uninstall();
    // The next call finds out.
    let page = admin.page(&format!("{CONNECTION}/syncs/estimate")).await;
    assert!(page.contains("Reconnect"), "{page}");
    for path in pages {
        let page = admin.page(path).await;
        assert!(page.contains("HubSpot needs attention"), "{path}: {page}");
        assert!(page.contains(">Reconnect</button>"), "{path}: {page}");
    }
    let viewer = world.sign_in(Role::Viewer).await;
    let page = viewer.page("/settings/integrations").await;
    assert!(
        page.contains("HubSpot needs attention") && !page.contains(">Reconnect<"),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_says_what_stops_and_does_what_was_chosen_with_the_values() {
    for (values, stay) in [("keep", true), ("clear", false)] {
        let world = World::new().await;
        let (admin, csrf) = admin(&world).await;
        let path = format!("{CONNECTION}/delete");
        let page = admin.page(&path).await;
        for said in [
            "stops everything at once",
            "10 attributes",
            "<code>company_industry</code>",
        ] {
            assert!(page.contains(said), "{said}: {page}");
        }
        let answer = admin
            .post(&path, &[("csrf", &csrf), ("values", values)])
            .await;
        let list = admin.page(location(&answer)).await;
        assert!(list.contains(">Enable<"), "{list}");
        assert!(list.contains("The integration is deleted"), "{list}");
        let said = ["cleared from all users", "stay on the users"][usize::from(stay)];
        assert!(list.contains(said), "{list}");
        let profile = admin.page(&format!("/users/{}", world.ana)).await;
        assert_eq!(profile.contains("Head of Operations"), stay, "{profile}");
        assert!(!profile.contains("HubSpot ·"), "{profile}");
        let gone = admin.get(CONNECTION).await;
        assert_eq!(gone.status(), StatusCode::NOT_FOUND);
        let gone = gone.text().await.expect("text");
        assert!(gone.contains("Go to Integrations"), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_now_leads_back_to_the_page() {
    let world = World::new().await;
    let (admin, csrf) = admin(&world).await;
    let (run, page) = ran(&admin, &csrf, &[("kind", "full")]).await;
    assert!(page.contains("Build a segment"), "{page}");
    let referer = world.url(&run);
    let path = format!("{run}/cancel");
    let from = ("Referer", referer.as_str());
    let answer = admin.post_with(&path, from, &[("csrf", &csrf)]).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let page = answer.text().await.expect("page");
    let back = format!("href=\"{run}\">Back to the page</a>");
    assert!(page.contains(&back), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setup_ends_with_a_segment_of_what_is_synced() {
    let world = World::new().await;
    let (admin, csrf) = admin(&world).await;
    let overview = admin.page(CONNECTION).await;
    assert!(overview.contains("3 of 5 steps are done"), "{overview}");
    ran(&admin, &csrf, &[("kind", "full")]).await;
    let overview = admin.page(CONNECTION).await;
    assert!(overview.contains("4 of 5 steps are done"), "{overview}");
    let delete = admin.page(&format!("{CONNECTION}/delete")).await;
    assert!(!delete.contains("Segments that use them"), "{delete}");

    let (project, now) = (world.project, world.host.clock.now());
    let made = world.host.store.transact(move |tx| {
        let variable = tx.variable(project, "job_title")?.expect("a variable");
        let segment = NewSegment {
            name: "Heads".into(),
            description: None,
            condition: Condition::Rule(Rule {
                attribute: Attribute::Variable(variable.id),
                test: Test::IsEmpty,
            }),
        };
        tx.save_segment(project, None, &segment, now)
    });
    made.await.expect("stored").expect("a segment");
    let overview = admin.page(CONNECTION).await;
    assert!(!overview.contains("steps are done"), "{overview}");
    let delete = admin.page(&format!("{CONNECTION}/delete")).await;
    assert!(delete.contains("Segments that use them"), "{delete}");
    assert!(delete.contains(">Heads</a>"), "{delete}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_sync_is_estimated_rehearsed_run_and_summed_up() {
    let world = World::new().await;
    let (admin, csrf) = admin(&world).await;
    for n in 0..3 {
        let email = format!("stranger-{n}@example.com");
        let values = [("email", &*email)];
        world.account.create("contacts", &values).expect("contact");
    }
    world.sim.settle().await;
    let estimate = admin.page(&format!("{CONNECTION}/syncs/estimate")).await;
    assert!(estimate.contains("A full sync takes about"), "{estimate}");
    assert!(
        estimate.contains("<th scope=\"row\">Companies</th>"),
        "{estimate}"
    );

    let (_, dry) = ran(&admin, &csrf, &[("kind", "full"), ("dry_run", "true")]).await;
    assert!(dry.contains("What it would do"), "{dry}");
    assert!(dry.contains("Records that would update users"), "{dry}");
    let users = "<dt>Users who would change</dt><dd class=\"large\">0</dd>";
    assert!(dry.contains(users), "{dry}");
    let (path, page) = ran(&admin, &csrf, &[("kind", "full")]).await;
    assert!(
        page.contains("What it did") && page.contains("No Jimo user matches"),
        "{page}"
    );

    // To estimate spends the account's calls.
    let viewer = world.sign_in(Role::Viewer).await;
    let refused = viewer.get(&format!("{CONNECTION}/syncs/estimate")).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let seen = viewer.page(&format!("{CONNECTION}/syncs")).await;
    assert!(!seen.contains("data-load"), "{seen}");
    // Nor is a viewer offered what only an admin can do.
    assert!(page.contains("Build a segment"), "{page}");
    let seen = viewer.page(&path).await;
    assert!(!seen.contains("Build a segment"), "{seen}");

    // A reason leads to the records that it counts.
    let of = "skipped.no_match";
    assert!(page.contains(&format!("{path}/records?of={of}")), "{page}");
    let records = admin.page(&format!("{path}/records?of={of}")).await;
    assert_eq!(
        records.matches("<th scope=\"row\">").count(),
        3,
        "{records}"
    );
    assert!(records.contains("/demo/hubspot/contacts/"), "{records}");
    let none = admin
        .page(&format!("{path}/records?of=skipped.nothing"))
        .await;
    assert!(none.contains("None is named"), "{none}");

    // What another one would do.
    let (_, dry) = ran(&admin, &csrf, &[("kind", "full"), ("dry_run", "true")]).await;
    assert!(
        dry.contains("A full sync would change nothing now."),
        "{dry}"
    );

    let history = admin.page(&format!("{CONNECTION}/syncs")).await;
    assert!(
        history.contains(">Dry run</a>") && history.contains(">Full sync</a>"),
        "{history}"
    );
    let overview = admin.page(CONNECTION).await;
    assert!(overview.contains("4 of 5 steps are done"), "{overview}");
    let late = admin
        .post(&format!("{path}/cancel"), &[("csrf", &csrf)])
        .await;
    assert_eq!(late.status(), StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_whose_associations_cannot_be_read_are_told_apart_from_those_that_cannot() {
    let world = World::new().await;
    let (admin, csrf) = admin(&world).await;
    let estimate = format!("{CONNECTION}/syncs/estimate");
    let companies = async || {
        let page = admin.page(&estimate).await;
        let row = page.split_once(">Companies</th>").expect("a row").1;
        let number = row.split("data-of=\"About\">").nth(1).expect("a number");
        number.split('<').next().expect("text").to_owned()
    };
    assert_eq!(companies().await, "1");
    world.account.drop_scope("crm.objects.companies.read");
    assert_eq!(companies().await, "0");

    let begun = [("csrf", csrf.as_str()), ("kind", "full")];
    let answer = admin.post(&format!("{CONNECTION}/syncs"), &begun).await;
    let path = location(&answer).to_owned();
    let mut events = admin.follow(&format!("{path}/live")).await;
    let page = events.until("Not complete").await;
    let label = "Companies of these contacts could not be looked up";
    let link = format!("{path}/records?of=failed.companies\">{label}</a>");
    assert!(page.contains(&link), "{page}");
    let records = admin
        .page(&format!("{path}/records?of=failed.companies"))
        .await;
    assert!(records.contains(label), "{records}");
    let contact = format!("Contact {}", world.contact);
    assert!(records.contains(&contact), "{records}");
    // Of those that could not be read themselves it is none.
    let records = admin.page(&format!("{path}/records?of=failed")).await;
    assert!(!records.contains(&contact), "{records}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_whom_hubspot_has_no_record_are_named_and_forgotten_when_deleted() {
    let world = World::new().await;
    let (admin, csrf) = admin(&world).await;
    // Many strangers, so that the users are looked up instead.
    for n in 0..300 {
        let email = format!("stranger-{n}@example.com");
        let values = [("email", &*email)];
        world.account.create("contacts", &values).expect("contact");
    }
    world.sim.settle().await;
    let (path, page) = ran(&admin, &csrf, &[("kind", "full")]).await;
    assert!(page.contains("Not in HubSpot"), "{page}");
    let records = format!("{path}/records?of=skipped.no_record");
    let page = admin.page(&records).await;
    assert!(page.contains("Jonas Weber"), "{page}");
    let project = world.project;
    let deleted = world.host.store.transact(move |tx| {
        let all = tx.users(project, &UserFilter::default(), UserId(0), 100)?;
        let jonas = all
            .iter()
            .find(|user| user.name.as_deref() == Some("Jonas Weber"));
        tx.delete_user(jonas.expect("Jonas").id)
    });
    deleted.await.expect("user");
    let page = admin.page(&records).await;
    assert!(
        !page.contains("Jonas Weber") && page.contains("Mei Tanaka"),
        "{page}"
    );
}
