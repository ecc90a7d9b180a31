//! Operator → Plugins: the whole life of a version, and what is refused.

use harness::components::{misbehaving_as, rebuilt};
use jimo_connect::{
    plugin::{EMBEDDED, digest},
    store::projects::Role,
};
use reqwest::Method;

use super::{PLUGINS, install, marked, operator, upload};
use crate::{
    members::people::{becomes, cookie, done, location, person, send, told},
    pages::world::World,
};

/// The version that is active, by digest.
fn active(world: &World) -> String {
    let version = world.host.plugins.active("hubspot").unwrap();
    version.digest().to_owned()
}

/// What a page says where nothing has compared a version.
const UNSEEN: &str = "Nothing has compared it with the active version";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_installed_shadowed_activated_gone_back_from_and_removed() {
    let world = World::new().await;
    let olga = operator(&world).await;
    let page = olga.page(PLUGINS).await;
    let built_in = digest(EMBEDDED);
    for said in [
        &built_in[..12],
        "Built in",
        "Active",
        "the release",
        "1.1.0",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let rollback = format!("{PLUGINS}/rollback");
    let to_built_in = [("connector", "hubspot"), ("to", built_in.as_str())];
    let (status, page) = told(&olga, &rollback, &to_built_in).await;
    assert!(
        status == 409 && page.contains("There is no version to go back to"),
        "{page}"
    );

    let other = rebuilt(EMBEDDED, "other");
    let path = install(&olga, &other).await;
    assert_eq!(path, format!("{PLUGINS}/{}", digest(&other)));
    let page = olga.page(&format!("{path}?done=installed")).await;
    for said in [
        "It is installed.",
        &digest(&other),
        "it.wasm",
        "What it understands",
        "deliveries, journal files, pages of records, pages of associations",
        "email = email",
        "by Olga Owner",
        UNSEEN,
    ] {
        assert!(
            page.to_lowercase().contains(&said.to_lowercase()),
            "{said}: {page}"
        );
    }

    // Not before somebody has seen what it would change.
    let activate = format!("{path}/activate");
    let form = olga.page(&activate).await;
    assert!(
        form.contains("name=\"force\"") && form.contains(UNSEEN),
        "{form}"
    );
    let (status, page) = told(&olga, &activate, &[("reason", "no <haste>")]).await;
    assert!(
        status == 409 && page.contains("It was not activated"),
        "{page}"
    );
    assert!(page.contains("value=\"no &#60;haste&#62;\""), "{page}");
    assert_eq!(active(&world), built_in);

    let shadows = format!("{path}?done=shadows");
    done(
        &olga,
        &format!("{path}/shadow"),
        &[("since", "all")],
        &shadows,
    )
    .await;
    let mut events = olga.follow(&format!("{path}/live")).await;
    let shown = events.until("At the log’s end").await;
    assert!(shown.contains("No difference<"), "{shown}");
    drop(events);
    let page = olga.page(PLUGINS).await;
    assert!(page.contains("shadows the active version"), "{page}");
    let form = olga.page(&activate).await;
    assert!(!form.contains("name=\"force\""), "{form}");
    let activated = format!("{path}?done=activated");
    done(&olga, &activate, &[("reason", "after a look")], &activated).await;
    assert_eq!(active(&world), digest(&other));
    let page = olga.page(&activated).await;
    assert!(
        page.contains("It is active.") && page.contains("after a look"),
        "{page}"
    );
    assert!(!page.contains("Activate…"), "{page}");

    // What is in use stays.
    let remove = format!("{path}/remove");
    let (status, page) = told(&olga, &remove, &[]).await;
    assert!(
        status == 409 && page.contains("activate another first"),
        "{page}"
    );

    let form = olga.page(&format!("{rollback}?connector=hubspot")).await;
    assert!(
        form.contains("Go back to HubSpot") && form.contains(&built_in[..12]),
        "{form}"
    );
    let gone_back = format!("{PLUGINS}/{built_in}?done=gone-back");
    done(&olga, &rollback, &to_built_in, &gone_back).await;
    assert_eq!(active(&world), built_in);
    let page = olga.page(PLUGINS).await;
    for said in ["Gone back to", "after a look", "Olga Owner"] {
        assert!(page.contains(said), "{said}: {page}");
    }

    assert!(olga.page(&remove).await.contains("Its file is deleted"));
    let removed = format!("{PLUGINS}?removed={}", digest(&other));
    done(&olga, &remove, &[], &removed).await;
    let page = olga.page(&removed).await;
    assert!(page.contains("is removed."), "{page}");
    // The history names it still.
    assert!(
        page.contains(&format!("{}, removed", &digest(&other)[..12])),
        "{page}"
    );
    assert_eq!(olga.get(&path).await.status(), 404);
    // What the program came with is no file to remove.
    let (status, page) = told(&olga, &format!("{PLUGINS}/{built_in}/remove"), &[]).await;
    assert!(
        status == 409 && page.contains("built into a release"),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_back_is_to_the_version_that_the_page_named_and_once() {
    let world = World::new().await;
    let olga = operator(&world).await;
    let mut digests = vec![digest(EMBEDDED)];
    for mark in ["one", "two", "three"] {
        let component = rebuilt(EMBEDDED, mark);
        let path = install(&olga, &component).await;
        let activated = format!("{path}?done=activated");
        let form = [("force", "true")];
        done(&olga, &format!("{path}/activate"), &form, &activated).await;
        digests.push(digest(&component));
    }
    let rollback = format!("{PLUGINS}/rollback");
    let asks = format!("{rollback}?connector=hubspot");
    let page = olga.page(&asks).await;
    assert!(
        page.contains(&format!("name=\"to\" value=\"{}\"", digests[2])),
        "{page}"
    );
    let form = [("connector", "hubspot"), ("to", digests[2].as_str())];
    let marked = marked(&page, &rollback);
    let gone_back = format!("{PLUGINS}/{}?done=gone-back", digests[2]);
    let csrf = olga.csrf().await;
    let marked_form = [&form[..], &[("csrf", csrf.as_str())]].concat();
    let press = async || {
        let answer = olga.post(marked, &marked_form).await;
        assert_eq!(location(&answer), gone_back);
    };
    tokio::join!(press(), press());
    assert_eq!(active(&world), digests[2]);
    // From a page of before: by now it would be another.
    let (status, page) = told(&olga, &rollback, &form).await;
    assert!(
        status == 409 && page.contains("Another version was active before by now"),
        "{page}"
    );
    assert!(
        page.contains(&format!("name=\"to\" value=\"{}\"", digests[1])),
        "{page}"
    );
    assert_eq!(active(&world), digests[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_version_would_change_is_shown_with_whose_it_is_and_both_values() {
    let world = World::new().await;
    let mut olga = operator(&world).await;
    let path = install(&olga, &misbehaving_as("hubspot", "read otherwise")).await;
    let shadows = format!("{path}?done=shadows");
    let start = format!("{path}/shadow");
    done(&olga, &start, &[("since", "day")], &shadows).await;
    let mut events = olga.follow(&format!("{path}/live")).await;
    let shown = events.until("At the log’s end").await;
    let ana = format!("<code>{}</code>", world.ana);
    for said in [
        "Another value",
        "contacts · jobtitle → job_title",
        "<code>Head of Operations</code>",
        "<code>HEAD OF OPERATIONS</code>",
        &ana,
        "con_1, record",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    // Who operates the host needs no more than to look at a project for a name of it.
    let id = person(&world, "olga@example.com").await;
    becomes(&world, world.project, id, Role::Viewer).await;
    let project = world.project.to_string();
    let answer = send(&olga, "/switch-project", &[("project", &project)]).await;
    olga.cookie = cookie(&answer);
    let page = olga.page(&path).await;
    assert!(
        page.contains(">Ana Ruiz</a>") && !page.contains(&ana),
        "{page}"
    );
    // A viewer of the project, and the host's operator all the same.
    let ended = format!("{path}?done=ended");
    done(&olga, &format!("{start}/end"), &[], &ended).await;
    let page = olga.page(&ended).await;
    assert!(
        page.contains("Start a shadow") && !page.contains("HEAD OF"),
        "{page}"
    );
    assert_eq!(told(&olga, &format!("{start}/end"), &[]).await.0, 404);
    assert_eq!(told(&olga, &start, &[("since", "ever")]).await.0, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_compared_badly_is_activated_by_who_says_so_alone() {
    let world = World::new().await;
    let olga = operator(&world).await;
    let path = install(&olga, &rebuilt(EMBEDDED, "other")).await;
    let activate = format!("{path}/activate");
    let long = "x".repeat(201);
    let form = [("force", "true"), ("reason", long.as_str())];
    let (status, page) = told(&olga, &activate, &form).await;
    assert!(
        status == 409 && page.contains("at most 200 characters"),
        "{page}"
    );
    assert_eq!(active(&world), digest(EMBEDDED));
    let activated = format!("{path}?done=activated");
    done(&olga, &activate, &[("force", "true")], &activated).await;
    let (status, page) = told(&olga, &activate, &[("force", "true")]).await;
    assert!(status == 409 && page.contains("active already"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_component_or_of_no_page_of_the_session_is_not_installed() {
    let world = World::new().await;
    let olga = operator(&world).await;
    let csrf = olga.csrf().await;
    let code = ("csrf", None, csrf.as_bytes());
    let large = vec![0; (8 << 20) + 1];
    let huge = vec![0; 9 << 20];
    for (component, told) in [
        (&b"no component"[..], "It was not installed"),
        (b"", "Choose the file of a component first"),
        (&large, "larger than 8.4 MB"),
        (&huge, "larger than 8.4 MB"),
    ] {
        let fields = [code, ("component", Some("<b>.wasm"), component)];
        let answer = upload(&olga, &fields).await;
        assert_eq!(answer.status(), 422, "{told}");
        let page = answer.text().await.unwrap();
        assert!(
            page.contains(told) && page.contains("role=\"alert\""),
            "{told}: {page}"
        );
    }
    let good = ("component", Some("it.wasm"), EMBEDDED);
    let foreign = ("csrf", None, &b"another"[..]);
    for (fields, status) in [
        (&[good, code][..], 403),
        (&[foreign, good], 403),
        (&[good], 403),
        (&[code], 400),
        (&[code, ("other", None, b"")], 400),
        (&[], 403),
    ] {
        assert_eq!(upload(&olga, fields).await.status(), status);
    }
    let plain = olga.request(Method::POST, PLUGINS).form(&[("csrf", &csrf)]);
    assert_eq!(plain.send().await.unwrap().status(), 400);
    let versions = world
        .host
        .store
        .read(|tx| tx.plugin_versions())
        .await
        .unwrap();
    assert!(
        versions.len() == 1 && versions[0].file.is_none(),
        "{versions:?}"
    );
}
