//! Matched fields: counted on real users before they are used.

use hubspot_sim::PropertySpec;
use jimo_connect::{
    pipeline::arrivals::{Arrivals, UserItem},
    store::projects::Role,
};
use reqwest::StatusCode;

use super::{
    location,
    world::{Browser, World, hidden},
};

const FIELDS: &str = "/settings/integrations/con_1/fields";
const MATCHING: &str = "/settings/integrations/con_1/matching";

async fn save(browser: &Browser<'_>, form: &[(&str, &str)]) -> reqwest::Response {
    let csrf = browser.csrf().await;
    let form: Vec<_> = std::iter::once(("csrf", csrf.as_str()))
        .chain(form.iter().copied())
        .collect();
    browser.post(MATCHING, &form).await
}

/// A property that holds some users' ids.
fn ids(world: &World) {
    let spec = PropertySpec::text("customer_no").label("Customer number");
    world.account.define("contacts", spec).unwrap();
    let patch = [("customer_no", "u_20481")];
    world
        .account
        .patch("contacts", world.contact, &patch)
        .unwrap();
    for email in ["twin-1@e.example", "twin-2@e.example"] {
        let values = [("email", email), ("customer_no", "u_20482")];
        world.account.create("contacts", &values).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_many_users_a_rule_matches_is_counted_before_it_is_used() {
    let world = World::new().await;
    ids(&world);
    let browser = world.sign_in(Role::Admin).await;
    let page = browser.page(MATCHING).await;
    assert!(page.contains("Email in HubSpot is Email in Jimo"), "{page}");
    assert!(page.contains("1 users have a contact now"), "{page}");
    assert!(
        page.contains("<option value=\"customer_no\">Customer number"),
        "{page}"
    );
    // What HubSpot feeds is no identifier; what Jimo has is.
    assert!(page.contains("variable:plan"), "{page}");
    assert!(!page.contains("variable:job_title"), "{page}");

    let query = "?object_type=contacts&way=own&property=customer_no&user=external_id";
    let page = browser.page(&format!("{MATCHING}{query}")).await;
    assert!(page.contains("<strong>2</strong> of 6 users"), "{page}");
    assert!(
        page.contains("Customer number in HubSpot is User ID in Jimo"),
        "{page}"
    );
    assert!(page.contains("Some values are not unique"), "{page}");
    assert!(page.contains("1 user matches several contacts"), "{page}");
    assert!(page.contains("Jonas Weber"), "an example of it: {page}");
    assert!(!page.contains(" more</li>"), "there is no other: {page}");
    assert!(
        page.contains("Mei Tanaka"),
        "one that does not match: {page}"
    );
    assert!(
        page.contains("This replaces how contacts are matched"),
        "{page}"
    );

    let query = "?object_type=contacts&way=own&property=email&user=email";
    let page = browser.page(&format!("{MATCHING}{query}")).await;
    assert!(page.contains("This is how it is matched now"), "{page}");
    for (property, said) in [
        ("nothing", "no property"),
        ("closedate", "This property cannot be compared"),
    ] {
        let query = format!("?object_type=contacts&way=own&property={property}&user=external_id");
        let page = browser.page(&format!("{MATCHING}{query}")).await;
        assert!(page.contains(said), "{property}: {page}");
        assert!(!page.contains("Change the matched field"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_one_value_names_the_rest_is_counted() {
    let world = World::new().await;
    ids(&world);
    for number in 0..6 {
        let email = format!("twin-{number}@more.example");
        let values = [("email", email.as_str()), ("customer_no", "u_20482")];
        world.account.create("contacts", &values).unwrap();
    }
    // As many users as share one address, all of whom one contact matches.
    let (project, keys, now) = (
        world.project,
        world.host.keys.clone(),
        world.host.clock.now(),
    );
    let shared = world.host.store.transact(move |tx| {
        let arrivals = Arrivals::new(tx, &keys, project, now)?;
        for number in 0..15 {
            let put = arrivals.put(&UserItem {
                external_id: Some(format!("shared-{number}")),
                email: Some("twin-1@e.example".into()),
                name: None,
                variables: Vec::new(),
            })?;
            put.expect("user");
        }
        Ok(())
    });
    shared.await.unwrap();
    let browser = world.sign_in(Role::Admin).await;
    let query = "?object_type=contacts&way=own&property=customer_no&user=external_id";
    let page = browser.page(&format!("{MATCHING}{query}")).await;
    assert!(page.contains("1 user matches several contacts"), "{page}");
    assert!(
        page.contains(" and 3 more</li>"),
        "5 of 8 are named: {page}"
    );
    let query = "?object_type=contacts&way=own&property=email&user=email";
    let page = browser.page(&format!("{MATCHING}{query}")).await;
    assert!(
        page.contains("1 of the contacts matches several users"),
        "{page}"
    );
    assert!(
        page.contains(" and 10 more ↔ "),
        "5 of 15 are named: {page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_records_that_are_not_named_are_counted_too() {
    let world = World::new().await;
    let spec = PropertySpec::text("customer_no").label("Customer number");
    world.account.define("contacts", spec).unwrap();
    for number in 20_481..20_487 {
        for twin in 1..3 {
            let (email, id) = (format!("{number}-{twin}@e.example"), format!("u_{number}"));
            let values = [("email", email.as_str()), ("customer_no", id.as_str())];
            world.account.create("contacts", &values).unwrap();
        }
    }
    let browser = world.sign_in(Role::Admin).await;
    let query = "?object_type=contacts&way=own&property=customer_no&user=external_id";
    let page = browser.page(&format!("{MATCHING}{query}")).await;
    assert!(page.contains("6 users match several contacts"), "{page}");
    assert!(page.contains("<li>and 1 more user</li>"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_of_some_of_what_matches_says_that_it_is_the_least() {
    let world = World::new().await;
    ids(&world);
    let browser = world.sign_in(Role::Admin).await;
    let query = "?object_type=contacts&way=own&property=customer_no&user=external_id";
    let path = format!("{MATCHING}{query}");
    let page = browser.page(&path).await;
    assert!(!page.contains("At least"), "{page}");
    for number in 0..1_000 {
        let email = format!("twin-{number}@many.example");
        let values = [("email", email.as_str()), ("customer_no", "u_20482")];
        world.account.create("contacts", &values).unwrap();
    }
    let page = browser.page(&path).await;
    assert!(
        page.contains("At least <strong>2</strong> of 6 users"),
        "{page}"
    );
    assert!(page.contains("more users may match"), "{page}");
    assert!(page.contains("Not known."), "{page}");
    assert!(!page.contains("Mei Tanaka"), "she may match: {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_rule_drops_the_links_and_keeps_or_clears_the_values() {
    for (values, left) in [("keep", true), ("clear", false)] {
        let world = World::new().await;
        ids(&world);
        let browser = world.sign_in(Role::Admin).await;
        let form = [
            ("object_type", "contacts"),
            ("way", "own"),
            ("property", "customer_no"),
            ("user", "external_id"),
            ("values", values),
        ];
        let page = browser.page(MATCHING).await;
        assert!(page.contains("1 users have a contact now"), "{page}");
        // What was looked at is not what is saved now.
        let outdated = [&form[..], &[("version", "99")]].concat();
        let answer = save(&browser, &outdated).await;
        assert_eq!(answer.status(), StatusCode::PRECONDITION_FAILED);
        let text = answer.text().await.unwrap();
        assert!(text.contains("Somebody else saved meanwhile"), "{text}");
        let shown = browser
            .page(&format!(
                "{MATCHING}?object_type=contacts&way=own&property=customer_no&user=external_id"
            ))
            .await;
        let version = hidden(&shown, "version");
        let form = [&form[..], &[("version", version)]].concat();
        let answer = save(&browser, &form).await;
        assert_eq!(location(&answer), format!("{MATCHING}?saved=true"));
        let page = browser.page(location(&answer)).await;
        assert!(
            page.contains("Customer number in HubSpot is User ID in Jimo"),
            "{page}"
        );
        assert!(page.contains("0 users have a contact now"), "{page}");
        assert!(page.contains("Run a full sync"), "{page}");
        let ana = world.ana;
        let profile = world.host.store.read(move |tx| tx.profile(ana)).await;
        let held = profile
            .unwrap()
            .iter()
            .any(|value| value.variable == "lifecycle_stage");
        assert_eq!(held, left, "{values}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_property_is_meant_by_its_label_too() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let asked = |property: &str| {
        format!("{MATCHING}?object_type=contacts&way=own&property={property}&user=external_id")
    };
    let page = browser.page(&asked("job+title")).await;
    assert!(
        page.contains("name=\"property\" value=\"jobtitle\""),
        "{page}"
    );
    let page = browser.page(&asked("no+such+label")).await;
    assert!(
        page.contains("name=\"property\" value=\"no such label\""),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_is_counted_by_itself_and_leads_on_to_the_fields() {
    let world = World::new().await;
    // As after connecting: nothing is mapped.
    let id = "con_1".parse().unwrap();
    world
        .host
        .store
        .transact(move |tx| {
            for mapping in tx.mappings(id)? {
                tx.end_mapping(id, &mapping, true)?;
            }
            tx.mappings_saved(id)
        })
        .await
        .unwrap();
    let browser = world.sign_in(Role::Admin).await;
    let page = browser.page(MATCHING).await;
    assert!(
        page.contains(
            "data-load=\"/settings/integrations/con_1/matching/check?object_type=contacts\""
        ),
        "{page}"
    );
    let page = browser.page(&format!("{MATCHING}/check")).await;
    assert!(page.contains("<strong>1</strong> of 6 users"), "{page}");
    assert!(page.contains("Use this"), "{page}");
    let form = [
        ("object_type", "contacts"),
        ("way", "own"),
        ("property", "email"),
        ("user", "email"),
        ("version", hidden(&page, "version")),
    ];
    let answer = save(&browser, &form).await;
    assert_eq!(location(&answer), "/settings/integrations/con_1/fields");
    let page = browser.page(location(&answer)).await;
    assert!(page.contains("Nothing of contacts is synced yet"), "{page}");
}

/// Adds a field to a browser's draft.
async fn draft(browser: &Browser<'_>, property: &str, variable: &str) {
    let csrf = browser.csrf().await;
    let form = [
        ("csrf", csrf.as_str()),
        ("object_type", "contacts"),
        ("property", property),
        ("variable", variable),
    ];
    browser.post(&format!("{FIELDS}/add"), &form).await;
}

/// Saves that contacts are matched by their customer number.
async fn save_customer_number(browser: &Browser<'_>) {
    let page = browser
        .page(&format!(
            "{MATCHING}?object_type=contacts&way=own&property=customer_no&user=external_id"
        ))
        .await;
    let form = [
        ("object_type", "contacts"),
        ("way", "own"),
        ("property", "customer_no"),
        ("user", "external_id"),
        ("version", hidden(&page, "version")),
    ];
    save(browser, &form).await;
}

/// Saves what a browser's draft has.
async fn save_draft(browser: &Browser<'_>) {
    let page = browser.page(&format!("{FIELDS}/review")).await;
    let csrf = browser.csrf().await;
    let form = [
        ("csrf", csrf.as_str()),
        ("version", hidden(&page, "version")),
        ("draft", hidden(&page, "draft")),
    ];
    let answer = browser.post(&format!("{FIELDS}/review"), &form).await;
    assert!(location(&answer).contains("?saved="), "{answer:?}");
}

const RULE: &str = "Customer number in HubSpot is User ID in Jimo";

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_of_fields_goes_on_after_another_rule_is_saved() {
    let world = World::new().await;
    ids(&world);
    let browser = world.sign_in(Role::Admin).await;
    draft(&browser, "firstname", "first_name").await;
    save_customer_number(&browser).await;
    let page = browser.page(FIELDS).await;
    assert!(page.contains("1 change is not saved yet"), "{page}");
    assert!(page.contains(RULE), "{page}");
    assert!(!page.contains("Somebody else"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_somebody_else_overtook_stays_so_when_a_rule_is_saved() {
    let world = World::new().await;
    ids(&world);
    let (ana, bob) = (
        world.sign_in(Role::Admin).await,
        world.sign_in(Role::Admin).await,
    );
    draft(&ana, "firstname", "first_name").await;
    draft(&bob, "lastname", "last_name").await;
    save_draft(&bob).await;
    save_customer_number(&ana).await;
    let page = ana.page(&format!("{FIELDS}/review")).await;
    assert!(
        page.contains("Somebody else saved these fields meanwhile"),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn going_on_with_a_draft_of_fields_leaves_the_rule_that_somebody_else_saved() {
    let world = World::new().await;
    ids(&world);
    let (ana, bob) = (
        world.sign_in(Role::Admin).await,
        world.sign_in(Role::Admin).await,
    );
    draft(&ana, "firstname", "first_name").await;
    save_customer_number(&bob).await;
    let csrf = ana.csrf().await;
    let answer = ana
        .post(&format!("{FIELDS}/rebase"), &[("csrf", &csrf)])
        .await;
    assert_eq!(location(&answer), format!("{FIELDS}/review"));
    save_draft(&ana).await;
    let page = ana.page(FIELDS).await;
    assert!(page.contains(RULE) && page.contains("first_name"), "{page}");
}
