//! Operator → Plugins → one version: it serves a connection alone, and gives it back.

use harness::components::{rebuilt, reworded};
use jimo_connect::{
    plugin::{EMBEDDED, digest},
    store::projects::Role,
};

use super::{PLUGINS, install, marked, operator};
use crate::{
    members::people::{done, location, send, told},
    pages::world::World,
};

const CONNECTION: &str = "/settings/integrations/con_1";

/// What the page of a version says where it serves connections alone.
const TRIALS: &str = "Connections that it serves alone";

/// A version that calls companies something else.
fn other_words() -> Vec<u8> {
    let several = reworded(EMBEDDED, "Companies", "Customers");
    reworded(&several, "Company", "Venture")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_serves_a_connection_alone_is_listed_so_and_gives_it_back() {
    let world = World::new().await;
    let olga = operator(&world).await;
    let other = other_words();
    let path = install(&olga, &other).await;
    let activate = format!("{path}/activate");
    let form = |connection| [("force", "true"), ("connection", connection)];
    for (connection, why) in [
        ("Ana", "no connection’s id"),
        ("con_99", "no such connection"),
    ] {
        let answer = told(&olga, &activate, &form(connection)).await;
        assert!(
            matches!(answer.0, 404 | 409) && answer.1.contains(why),
            "{answer:?}"
        );
    }
    let serves = format!("{path}?done=serves-one");
    let give_back = format!("{path}/give-back");
    let given_back = format!("{path}?done=given-back");
    let csrf = olga.csrf().await;
    let connection = [("csrf", csrf.as_str()), ("connection", "con_1")];
    // What was given back may be tried again, and is given back again.
    for _ in 0..2 {
        done(&olga, &activate, &form("con_1"), &serves).await;
        let active = world.host.plugins.active("hubspot").unwrap();
        assert_eq!(active.digest(), digest(EMBEDDED));
        let page = olga.page(&serves).await;
        for said in ["It serves that connection alone.", TRIALS, "con_1"] {
            assert!(page.contains(said), "{said}: {page}");
        }
        let built_in = format!("{PLUGINS}/{}", digest(EMBEDDED));
        assert!(!olga.page(&built_in).await.contains(TRIALS));

        let marked = marked(&page, &give_back);
        let press = async || {
            let answer = olga.post(marked, &connection).await;
            assert_eq!(location(&answer), given_back);
        };
        tokio::join!(press(), press());
        let page = olga.page(&given_back).await;
        let said = "The active version serves that connection again.";
        assert!(page.contains(said) && !page.contains(TRIALS), "{page}");
    }

    // What another version serves is not given back by this one's page.
    let third = rebuilt(EMBEDDED, "third");
    let of_third = install(&olga, &third).await;
    let serves = format!("{of_third}?done=serves-one");
    done(
        &olga,
        &format!("{of_third}/activate"),
        &form("con_1"),
        &serves,
    )
    .await;
    let answer = send(&olga, &give_back, &[("connection", "con_1")]).await;
    assert_eq!(location(&answer), format!("{path}?done=served-no-more"));
    let page = olga.page(location(&answer)).await;
    assert!(page.contains("nothing was changed"), "{page}");
    let page = olga.page(&of_third).await;
    assert!(page.contains(TRIALS), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connections_pages_speak_as_the_version_that_serves_it() {
    let world = World::new().await;
    let olga = operator(&world).await;
    let admin = world.sign_in(Role::Admin).await;
    let path = install(&olga, &other_words()).await;
    let pages = [
        (format!("{CONNECTION}/fields"), "Customers", "Companies"),
        (
            format!("{CONNECTION}/fields/add?object_type=companies"),
            "venture",
            "company property",
        ),
        (format!("{CONNECTION}/matching"), "Customers", "Companies"),
        (format!("{CONNECTION}/activity"), "Customers", "Companies"),
        (
            format!("{CONNECTION}/syncs/estimate"),
            "Customers",
            "Companies",
        ),
        (format!("/users/{}", world.ana), ">Venture ", ">Company "),
    ];
    for (page, other, _) in &pages {
        let shown = admin.page(page).await;
        assert!(!shown.contains(other), "{page}: {shown}");
    }
    let form = [("force", "true"), ("connection", "con_1")];
    let serves = format!("{path}?done=serves-one");
    done(&olga, &format!("{path}/activate"), &form, &serves).await;
    for (page, other, own) in &pages {
        let shown = admin.page(page).await;
        assert!(
            shown.contains(other) && !shown.contains(own),
            "{page}: {shown}"
        );
    }
}
