//! Audience: the filter over the users, segments, and the profile's tab.

use jimo_connect::{
    model::{Choice, OptionTable, VariableId},
    store::projects::Role,
};
use reqwest::{Response, StatusCode};

use super::{
    location,
    world::{Browser, World},
};

const CUSTOMERS: &str = "g=all&a=attribute.lifecycle_stage&o=is&v=Customer&e=";

fn fields(query: &str) -> Vec<(String, String)> {
    let url: reqwest::Url = format!("http://host/?{query}").parse().expect("query");
    url.query_pairs().into_owned().collect()
}

/// Posts what a builder's form says, with more fields.
async fn build(browser: &Browser<'_>, path: &str, query: &str, more: &[(&str, &str)]) -> Response {
    let csrf = browser.csrf().await;
    let fields = fields(query);
    let mut form = vec![("csrf", csrf.as_str())];
    form.extend(
        fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    form.extend(more);
    browser.post(path, &form).await
}

/// Saves a segment; the path of its page.
async fn save(browser: &Browser<'_>, name: &str, query: &str) -> String {
    let more = [("name", name), ("description", ""), ("act", "save")];
    let answer = build(browser, "/segments/new", query, &more).await;
    assert_eq!(
        answer.status(),
        StatusCode::SEE_OTHER,
        "{}",
        answer.text().await.expect("text")
    );
    location(&answer).to_owned()
}

/// A page without what is between tags, and with single spaces.
fn text(page: &str) -> String {
    let mut text = String::new();
    let mut is_tag = false;
    for character in page.chars() {
        match character {
            '<' => is_tag = true,
            '>' => is_tag = false,
            _ if is_tag => continue,
            _ => text.push(character),
        }
        if character == '>' {
            text.push(' ');
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_built_by_buttons_alone_and_its_address_shows_it_again() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Viewer).await;
    let page = browser.page("/users").await;
    assert!(page.contains("value=\"rule:\""), "{page}");

    // Each button leads to an address that can be kept.
    let added = browser.get("/users?q=&act=rule%3A").await;
    assert_eq!(location(&added), "/users?g=all&a=&o=&e=&at=0");
    let page = browser.page(location(&added)).await;
    assert!(
        page.contains("name=\"a\" aria-label=\"Attribute\" autofocus"),
        "{page}"
    );
    assert!(page.contains("One rule is not filled in yet"), "{page}");
    assert!(
        page.contains("Ana Ruiz") && page.contains("Jonas Weber"),
        "{page}"
    );

    // An attribute has the operators of its type; what was chosen of another's goes.
    let page = browser
        .page("/users?g=all&a=attribute.total_revenue&o=contains&v=x&e=")
        .await;
    assert!(
        page.contains("<option value=\"=\" selected>equals (=)</option>"),
        "{page}"
    );
    assert!(page.contains("title=\"Synced from HubSpot\""), "{page}");
    assert!(!page.contains("value=\"x\""), "{page}");

    let ana = "g=all&a=attribute.total_revenue&o=%3E%3D&v=48250.5&e=";
    let page = browser.page(&format!("/users?{ana}")).await;
    assert!(text(&page).contains("1 of 6 users match"), "{page}");
    assert!(
        page.contains("Ana Ruiz") && !page.contains("Jonas Weber"),
        "{page}"
    );
    let page = browser.page(&format!("/users?q=jonas&{ana}")).await;
    assert!(page.contains("Nobody matches"), "{page}");

    let grouped = browser.get(&format!("/users?q=a&{ana}&act=group%3A")).await;
    let path = location(&grouped);
    assert!(
        path.starts_with("/users?q=a&g=all&a=attribute.total_revenue"),
        "{path}"
    );
    assert!(path.ends_with("&g=any&a=&o=&e=&e=&at=1-0"), "{path}");
    let removed = browser
        .get(&format!("/users?q=a&{ana}&act=remove%3A0"))
        .await;
    assert_eq!(location(&removed), "/users?q=a");
    for bad in ["g=all&g=all", "at=x", "after=x"] {
        let answer = browser.get(&format!("/users?{bad}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filter_finds_is_saved_as_a_segment_named_last() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let query = "g=all&a=attribute.email&o=ends_with&v=%40NORTHWIND.example&e=";
    let page = browser.page(&format!("/users?{query}")).await;
    let link = format!("/segments/new?{}", query.replace('&', "&#38;"));
    assert!(page.contains(&link), "{page}");
    let page = browser.page(&format!("/segments/new?{query}")).await;
    assert!(text(&page).contains("1 of 6 users"), "{page}");
    assert!(page.contains("Ana Ruiz"), "{page}");

    // Pressing a button, or filling something in, keeps what is filled in.
    let more = [
        ("name", "North & <b>wind</b>"),
        ("description", ""),
        ("act", "rule:"),
    ];
    let answer = build(&browser, "/segments/new", query, &more).await;
    let page = answer.text().await.expect("text");
    assert!(
        page.contains("value=\"North &#38; &#60;b&#62;wind&#60;/b&#62;\""),
        "{page}"
    );
    assert!(
        page.contains("id=\"attribute-1\" name=\"a\" aria-label=\"Attribute\" autofocus"),
        "{page}"
    );

    let path = save(&browser, "North & <b>wind</b>", query).await;
    assert_eq!(path, "/segments/seg_1?saved=true");
    let page = browser.page(&path).await;
    assert!(page.contains("<strong>Saved</strong>"), "{page}");
    assert!(page.contains("value=\"@NORTHWIND.example\""), "{page}");
    assert!(!page.contains("<b>wind"), "{page}");
    let page = browser.page("/segments").await;
    assert!(
        text(&page).contains("North &#38; &#60;b&#62;wind&#60;/b&#62; 1 user"),
        "{page}"
    );
    let page = browser
        .page(&format!("/users/{}/segments", world.ana))
        .await;
    assert!(page.contains("href=\"/segments/seg_1\""), "{page}");
    let page = browser.page("/users/usr_2/segments").await;
    assert!(page.contains("In no segment"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_saved_is_said_beside_it_and_nothing_is_lost() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let query =
        "g=any&a=attribute.total_revenue&o=between&v=9&v=x&a=&o=&a=attribute.job_title&o=is&v=&e=";
    let more = [("name", ""), ("description", "For March"), ("act", "save")];
    let answer = build(&browser, "/segments/new", query, &more).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = answer.text().await.expect("text");
    for said in [
        "A number is asked for.",
        "Choose an attribute.",
        "Fill in a value.",
        "A name has 1 to 100 characters",
        "For March",
        "value=\"x\"",
        "Nothing was saved.",
        "aria-describedby=\"error-0\"",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let more = [("name", "None"), ("act", "save")];
    let answer = build(&browser, "/segments/new", "g=all&e=", &more).await;
    let page = answer.text().await.expect("text");
    assert!(page.contains("Add at least one rule."), "{page}");

    save(&browser, "Customers", CUSTOMERS).await;
    let more = [("name", "CUSTOMERS"), ("act", "save")];
    let answer = build(&browser, "/segments/new", CUSTOMERS, &more).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let page = answer.text().await.expect("text");
    assert!(
        page.contains("There is a segment of that name already."),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_a_users_segments_follow_hubspot_while_they_are_looked_at() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Viewer).await;
    let admin = world.sign_in(Role::Admin).await;
    save(&admin, "Customers", CUSTOMERS).await;
    let mut list = browser.follow("/segments/live").await;
    let mut of_ana = browser
        .follow(&format!("/users/{}/segments/live", world.ana))
        .await;
    let first = list.next().await.expect("a part");
    assert!(text(&first).contains("Customers 0 users"), "{first}");
    of_ana.until("In no segment").await;
    let stage = [("lifecyclestage", "customer")];
    world
        .account
        .patch("contacts", world.contact, &stage)
        .expect("a change");
    let then = list
        .until("<td role=\"cell\" class=\"number value\">1<")
        .await;
    assert!(text(&then).contains("Customers 1 user"), "{then}");
    of_ana.until("href=\"/segments/seg_1\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_choices_of_a_hubspot_property_are_offered() {
    let world = World::new().await;
    let (project, browser) = (world.project, world.sign_in(Role::Admin).await);
    let saved = world.host.store.transact(move |tx| {
        let connection = tx.connections(project)?.remove(0);
        let account = connection.account.expect("an account").0;
        let choice = |value: &str, label: &str| Choice {
            value: value.into(),
            label: label.into(),
            closed: None,
        };
        let table = OptionTable {
            choices: vec![choice("lead", "A lead"), choice("customer", "A customer")],
        };
        let stage = "lifecyclestage".into();
        let now = jimo_connect::model::Timestamp(1);
        tx.save_options(account, &"contacts".into(), &stage, &table, now)
    });
    assert!(saved.await.expect("saved"));
    let page = browser.page(&format!("/segments/new?{CUSTOMERS}")).await;
    // Whatever its case, and by what the attribute holds.
    assert!(
        page.contains("<option value=\"customer\" selected>A customer</option>"),
        "{page}"
    );
    let several = "g=all&a=attribute.lifecycle_stage&o=is_one_of&v=lead&v=Odd&e=";
    let page = browser.page(&format!("/segments/new?{several}")).await;
    assert!(page.contains("value=\"lead\" checked>A lead"), "{page}");
    assert!(page.contains("value=\"customer\">A customer"), "{page}");
    assert!(page.contains("value=\"Odd\" checked>Odd"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_changed_with_those_that_use_it_and_deleted_after_them() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    save(&browser, "Customers", CUSTOMERS).await;
    let others = "g=none&a=segment&o=in&v=seg_1&e=";
    save(&browser, "Everyone else", others).await;
    let page = browser.page("/segments/seg_1").await;
    assert!(page.contains("Other segments use this one"), "{page}");
    // It would contain itself, so that is not on offer.
    assert!(!page.contains("value=\"segment\""), "{page}");
    let page = browser.page("/segments/seg_2").await;
    assert!(page.contains("<option value=\"none\" selected>"), "{page}");
    assert!(
        page.contains("<option value=\"seg_1\" selected>Customers</option>"),
        "{page}"
    );

    let page = browser.page("/segments/seg_1/delete").await;
    assert!(page.contains("Change that one first"), "{page}");
    let csrf = browser.csrf().await;
    let form = [("csrf", csrf.as_str())];
    let refused = browser.post("/segments/seg_1/delete", &form).await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);

    let more = [("name", "Leads"), ("act", "save")];
    let query = "g=all&a=attribute.lifecycle_stage&o=not_empty&e=";
    let answer = build(&browser, "/segments/seg_1", query, &more).await;
    assert_eq!(location(&answer), "/segments/seg_1?saved=true");
    let page = browser.page("/segments").await;
    assert!(text(&page).contains("Everyone else 5 users"), "{page}");
    assert!(text(&page).contains("Leads 1 user"), "{page}");
    let page = browser.page("/segments/seg_1").await;
    assert!(
        page.contains("<option value=\"not_empty\" selected>is not empty</option>"),
        "{page}"
    );

    for id in ["seg_2", "seg_1"] {
        let deleted = browser.post(&format!("/segments/{id}/delete"), &form).await;
        assert_eq!(location(&deleted), "/segments");
    }
    let page = browser.page("/segments").await;
    assert!(page.contains("No segments yet"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_look_at_segments_and_other_projects_see_none() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    save(&admin, "Customers", CUSTOMERS).await;
    let viewer = world.sign_in(Role::Viewer).await;
    let page = viewer.page("/segments/seg_1").await;
    assert!(
        page.contains("<fieldset class=\"bare stack\" disabled>"),
        "{page}"
    );
    assert!(
        !page.contains("value=\"save\"") && !page.contains("Delete…"),
        "{page}"
    );
    let page = viewer.page("/segments").await;
    assert!(!page.contains("New segment"), "{page}");
    let more = [("name", "X"), ("act", "save")];
    for path in ["/segments/new", "/segments/seg_1", "/segments/seg_1/delete"] {
        let answer = build(&viewer, path, CUSTOMERS, &more).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let now = world.host.clock.now();
    let made = world.host.store.transact(move |tx| {
        let project = tx.create_project("Other", "UTC", now)?.id;
        assert!(tx.variable_by_id(project, VariableId(1))?.is_none());
        Ok(project)
    });
    let other = world
        .sign_in_to(made.await.expect("project"), Role::Admin)
        .await;
    for path in [
        "/segments/seg_1",
        "/segments/seg_1/delete",
        "/users/usr_1/segments",
    ] {
        assert_eq!(
            other.get(path).await.status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let csrf = other.csrf().await;
    let deleted = other
        .post("/segments/seg_1/delete", &[("csrf", &csrf)])
        .await;
    assert_eq!(deleted.status(), StatusCode::NOT_FOUND);
    // Attributes of another project are none of its own.
    let page = other.page(&format!("/users?{CUSTOMERS}")).await;
    assert!(!page.contains("lifecycle_stage\" selected"), "{page}");
}
