//! Synced fields: searched, added, reviewed on real users, and saved.

use hubspot_sim::{FaultRule, PropertySpec, Route, Trouble};
use jimo_connect::{
    model::{Value, VariableType},
    pipeline::arrivals::{Arrivals, UserItem},
    store::projects::Role,
};
use reqwest::{Response, StatusCode};

use super::{
    location,
    world::{Browser, World, hidden},
};

const FIELDS: &str = "/settings/integrations/con_1/fields";

fn path(rest: &str) -> String {
    format!("{FIELDS}{rest}")
}

/// Posts a form of one field.
async fn post(browser: &Browser<'_>, rest: &str, form: &[(&str, &str)]) -> Response {
    let csrf = browser.csrf().await;
    let form: Vec<_> = std::iter::once(("csrf", csrf.as_str()))
        .chain(form.iter().copied())
        .collect();
    browser.post(&path(rest), &form).await
}

/// Adds a field of contacts to the draft.
async fn add(browser: &Browser<'_>, property: &str, variable: &str) {
    let form = [
        ("object_type", "contacts"),
        ("property", property),
        ("variable", variable),
    ];
    let answer = post(browser, "/add", &form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{property}");
}

/// The page that refuses a field.
async fn refused(browser: &Browser<'_>, form: &[(&str, &str)]) -> String {
    let answer = post(browser, "/add", form).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.text().await.unwrap()
}

/// Saves the draft, as the page of its review shows it.
async fn save(browser: &Browser<'_>, values: &str) -> Response {
    let page = browser.page(&path("/review")).await;
    save_reviewed(browser, &page, values).await
}

/// Saves what a page of a review shows.
async fn save_reviewed(browser: &Browser<'_>, page: &str, values: &str) -> Response {
    let form = [
        ("version", hidden(page, "version")),
        ("draft", hidden(page, "draft")),
        ("values", values),
    ];
    post(browser, "/review", &form).await
}

/// What the page says of a row's property, up to the end of the row.
fn row<'p>(page: &'p str, property: &str) -> &'p str {
    let at = page.find(property).unwrap_or_else(|| panic!("{page}"));
    let from = page[..at].rfind("<tr").unwrap();
    let to = at + page[at..].find("</tr>").unwrap();
    &page[from..to]
}

/// The variables that contacts feed, as they are saved.
async fn saved(world: &World) -> Vec<String> {
    let project = world.project;
    let variables = world.host.store.read(move |tx| tx.variables(project)).await;
    let fed = variables.unwrap().into_iter().filter(|variable| {
        let fed_by = variable.fed_by.as_ref();
        fed_by.is_some_and(|fed| fed.object_type.as_str() == "contacts")
    });
    fed.map(|variable| variable.name).collect()
}

async fn value(world: &World, variable: &str) -> Option<Value> {
    let ana = world.ana;
    let profile = world.host.store.read(move |tx| tx.profile(ana)).await;
    let mut values = profile.unwrap().into_iter();
    values
        .find(|value| value.variable == variable)
        .map(|value| value.value)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mapped_shows_with_labels_types_and_samples() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let page = browser.page(FIELDS).await;
    let stage = row(&page, "lifecyclestage");
    for text in [
        "Lifecycle Stage",
        "Choice",
        "opportunity",
        "lifecycle_stage",
    ] {
        assert!(stage.contains(text), "{text}: {stage}");
    }
    assert!(
        !page.contains("Existing"),
        "that is for those that are added: {page}"
    );
    let size = row(&page, "numberofemployees");
    assert!(
        size.contains("1,250") && size.contains("company_size"),
        "{size}"
    );
    assert!(page.contains("Email in HubSpot is Email in Jimo"), "{page}");
    assert!(
        page.contains("The primary company of the contact"),
        "{page}"
    );
    assert!(page.contains("nothing is written back"), "{page}");
    assert!(!page.contains("not saved yet"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_added_one_after_the_other_seen_on_real_users_and_saved() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let page = browser
        .page(&path("/add?object_type=contacts&q=First+name"))
        .await;
    assert!(page.contains("Contact information"), "{page}");
    assert!(
        page.contains("firstname") && !page.contains("lastname"),
        "{page}"
    );
    assert!(
        page.contains("For example: </span><span class=\"text\">Ana"),
        "{page}"
    );

    let before = saved(&world).await;
    add(&browser, "firstname", "first_name").await;
    add(&browser, "lastname", "last_name").await;
    assert_eq!(saved(&world).await, before, "a draft changes nothing");
    let page = browser.page(FIELDS).await;
    assert!(page.contains("2 changes are not saved yet"), "{page}");
    assert!(row(&page, "firstname").contains("New"), "{page}");
    // It is nobody else's.
    let other = world.sign_in(Role::Admin).await;
    assert!(!other.page(FIELDS).await.contains("not saved yet"));

    let review = browser.page(&path("/review")).await;
    assert!(
        review.contains("<strong>First Name</strong> → <code>first_name</code>"),
        "{review}"
    );
    assert!(review.contains("a new attribute"), "{review}");
    assert!(review.contains("Saving fills in nothing old"), "{review}");
    let preview = browser.page(&path("/preview")).await;
    assert!(
        preview.contains("<strong>1</strong> of 6 users"),
        "{preview}"
    );
    assert!(preview.contains("Ruiz"), "{preview}");
    // What is added comes before what was there, in heads and rows alike.
    let at = |text: &str| {
        preview
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {preview}"))
    };
    assert!(
        at("<code>last_name</code>") < at("<code>job_title</code>"),
        "{preview}"
    );
    assert!(at(">Ruiz<") < at(">Head of Operations<"), "{preview}");
    assert_eq!(value(&world, "last_name").await, None);

    let answer = save(&browser, "keep").await;
    assert_eq!(location(&answer), path("?saved=2"));
    let page = browser.page(location(&answer)).await;
    assert!(page.contains("nothing old was filled in"), "{page}");
    assert!(page.contains("Run a full sync"), "{page}");
    assert!(!page.contains("not saved yet"), "{page}");
    assert_eq!(saved(&world).await.len(), before.len() + 2);
    assert_eq!(value(&world, "last_name").await, None);
    // What is new follows live.
    let contact = world.contact;
    let _ = world
        .sim
        .subscribe("contact.propertyChange", Some("lastname"));
    world
        .account
        .patch("contacts", contact, &[("lastname", "Ruiz Vega")])
        .unwrap();
    world.wait_for("last_name").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_with_the_reason_beside_the_property() {
    let world = World::new().await;
    let (project, now) = (world.project, world.host.clock.now());
    let boolean = VariableType::Boolean;
    world
        .host
        .store
        .transact(move |tx| tx.create_variable(project, "is_vip", None, boolean, now))
        .await
        .unwrap();
    let browser = world.sign_in(Role::Admin).await;
    for (property, variable, said) in [
        ("firstname", "is_vip", "cannot become a boolean variable"),
        ("firstname", "email", "native attribute"),
        ("firstname", "", "1 to"),
        ("firstname", "job_title", "by another field already"),
    ] {
        let form = [
            ("object_type", "contacts"),
            ("property", property),
            ("variable", variable),
        ];
        let page = refused(&browser, &form).await;
        let (_, rest) = page
            .split_once("id=\"error-firstname\"")
            .unwrap_or_else(|| panic!("{page}"));
        let error = rest.split("</p>").next().unwrap();
        assert!(error.contains(said), "{variable}: {error}");
        // What was filled in is still there.
        assert!(
            page.contains(&format!("name=\"variable\" value=\"{variable}\"")),
            "{page}"
        );
    }
    assert!(!browser.page(FIELDS).await.contains("not saved yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_over_a_variable_that_holds_values_asks_first() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let form = [
        ("object_type", "contacts"),
        ("property", "city"),
        ("variable", "plan"),
    ];
    let page = refused(&browser, &form).await;
    assert!(page.contains("plan holds values already"), "{page}");
    assert!(page.contains("Take it over"), "{page}");
    assert!(page.contains("lose the value that they have"), "{page}");
    // What does not fit is refused, and not asked for first.
    let (project, now) = (world.project, world.host.clock.now());
    let keys = world.host.keys.clone();
    let unfit = world.host.store.transact(move |tx| {
        let seats = tx.create_variable(project, "seats", None, VariableType::Number, now)?;
        let ana = UserItem {
            external_id: Some("u_20481".into()),
            email: None,
            name: None,
            variables: vec![(seats, Some(Value::Number(3.0)))],
        };
        Arrivals::new(tx, &keys, project, now)?.put(&ana)
    });
    assert!(unfit.await.unwrap().is_ok());
    let number = [("variable", "seats")];
    let page = refused(&browser, &[&form[..2], &number[..]].concat()).await;
    assert!(page.contains("cannot become a number variable"), "{page}");
    assert!(!page.contains("Take it over"), "{page}");
    let taken = [&form[..], &[("take_over", "true")]].concat();
    let answer = post(&browser, "/add", &taken).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(row(&browser.page(FIELDS).await, "city").contains("Taken over"));
    assert!(
        browser
            .page(&path("/review"))
            .await
            .contains("Takes over values")
    );
    let answer = save(&browser, "keep").await;
    assert_eq!(location(&answer), path("?saved=1"));
    assert!(saved(&world).await.contains(&"plan".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_can_be_undone_and_asks_to_keep_or_clear() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let form = |property, variable| {
        [
            ("object_type", "contacts"),
            ("property", property),
            ("variable", variable),
        ]
    };
    let job = form("jobtitle", "job_title");
    post(&browser, "/remove", &job).await;
    let page = browser.page(FIELDS).await;
    assert!(row(&page, "jobtitle").contains("To be removed"), "{page}");
    post(&browser, "/restore", &job).await;
    assert!(!browser.page(FIELDS).await.contains("not saved yet"));

    for (form, values) in [
        (job, "keep"),
        (form("lifecyclestage", "lifecycle_stage"), "clear"),
    ] {
        let answer = post(&browser, "/remove", &form).await;
        assert_eq!(location(&answer), FIELDS);
        let review = browser.page(&path("/review")).await;
        assert!(review.contains("What becomes of the values"), "{review}");
        let answer = save(&browser, values).await;
        assert_eq!(location(&answer), path("?saved=0"));
    }
    assert!(value(&world, "job_title").await.is_some());
    assert_eq!(value(&world, "lifecycle_stage").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reviewed_alone_is_saved() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let before = saved(&world).await;
    add(&browser, "firstname", "first_name").await;
    let reviewed = browser.page(&path("/review")).await;
    // On another page of the same person's.
    add(&browser, "lastname", "last_name").await;
    let answer = save_reviewed(&browser, &reviewed, "keep").await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let page = answer.text().await.unwrap();
    for said in [
        "Your changes became others meanwhile",
        "<code>last_name</code>",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert_eq!(saved(&world).await, before);
    let answer = save_reviewed(&browser, &page, "keep").await;
    assert_eq!(location(&answer), path("?saved=2"));
    assert_eq!(saved(&world).await.len(), before.len() + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_saved_is_not_overwritten_unasked() {
    let world = World::new().await;
    let (ana, bob) = (
        world.sign_in(Role::Admin).await,
        world.sign_in(Role::Admin).await,
    );
    add(&ana, "firstname", "first_name").await;
    let shown = ana.page(&path("/review")).await;
    add(&bob, "lastname", "last_name").await;
    save(&bob, "keep").await;
    let answer = save_reviewed(&ana, &shown, "keep").await;
    assert_eq!(location(&answer), path("/review"));
    let page = ana.page(&path("/review")).await;
    assert!(
        page.contains("Somebody else saved these fields meanwhile"),
        "{page}"
    );
    assert!(
        page.contains("<code>last_name</code>"),
        "what is lost is shown: {page}"
    );
    assert!(saved(&world).await.contains(&"last_name".to_owned()));
    post(&ana, "/rebase", &[]).await;
    let answer = save(&ana, "keep").await;
    assert_eq!(location(&answer), path("?saved=1"));
    let now = saved(&world).await;
    assert!(now.contains(&"first_name".to_owned()), "{now:?}");
    assert!(!now.contains(&"last_name".to_owned()), "{now:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_the_fields_and_changes_nothing() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Viewer).await;
    let page = browser.page(FIELDS).await;
    assert!(page.contains("lifecycle_stage"), "{page}");
    let picker = browser.page(&path("/add?object_type=contacts")).await;
    assert!(picker.contains("firstname"), "{picker}");
    let matching = browser.page("/settings/integrations/con_1/matching").await;
    for page in [&page, &picker, &matching] {
        let main = page.split_once("<main").unwrap().1;
        assert!(!main.contains("method=\"post\""), "{main}");
    }
    for rest in [
        "/remove",
        "/show",
        "/restore",
        "/add",
        "/selection",
        "/discard",
    ] {
        let form = [
            ("object_type", "contacts"),
            ("property", "jobtitle"),
            ("variable", "job_title"),
            ("rule", "primary"),
        ];
        let answer = post(&browser, rest, &form).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{rest}");
    }
    let preview = browser.page(&path("/preview")).await;
    assert!(preview.contains("Only admins"), "{preview}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mapped_still_shows_while_hubspot_does_not_answer() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let fault = FaultRule::once(Route::Properties, Trouble::Status(404)).times(3);
    world.sim.inject(fault);
    let page = browser.page(FIELDS).await;
    assert!(page.contains("properties cannot be shown now"), "{page}");
    assert!(page.contains("Try again"), "{page}");
    assert!(row(&page, "jobtitle").contains("job_title"), "{page}");
    world.sim.clear_faults();
    let page = browser.page(FIELDS).await;
    assert!(!page.contains("cannot be shown now"), "{page}");
    assert!(page.contains("Job Title"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_that_cannot_be_read_are_not_said_to_be_none() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let fault = FaultRule::by_chance(Trouble::Status(502), 1.0).on(Route::BatchRead);
    world.sim.inject(fault);
    let picker = path("/add?object_type=contacts");
    let unread = "Examples could not be read now";
    let page = browser.page(&picker).await;
    assert!(page.contains(unread), "{page}");
    assert!(!page.contains("No example"), "{page}");
    assert!(row(&browser.page(FIELDS).await, "jobtitle").contains(unread));
    world.sim.clear_faults();
    let page = browser.page(&picker).await;
    assert!(!page.contains(unread), "{page}");
    assert!(page.contains("No example"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_properties_are_searched_and_shown_in_part() {
    let world = World::new().await;
    for number in 0..1_000 {
        let name = format!("usage_{number:04}");
        let spec = PropertySpec::number(&name).label(&format!("Usage of feature {number:04}"));
        world.account.define("contacts", spec).unwrap();
    }
    let patch = [("usage_0777", "12500")];
    world
        .account
        .patch("contacts", world.contact, &patch)
        .unwrap();
    let browser = world.sign_in(Role::Admin).await;
    let all = browser.page(&path("/add?object_type=contacts")).await;
    assert!(all.contains("40 of 1,0"), "{}", &all[..2_000]);
    assert!(all.contains("shown=80"), "Show more");
    assert!(all.len() < 120_000, "{} bytes", all.len());
    let found = browser
        .page(&path("/add?object_type=contacts&q=feature+0777"))
        .await;
    assert!(found.contains("1 property found"), "{found}");
    assert!(found.contains("12,500"), "with a sample: {found}");
    let by_name = browser
        .page(&path("/add?object_type=contacts&q=USAGE_0042"))
        .await;
    assert!(by_name.contains("Usage of feature 0042"), "{by_name}");
    let none = browser
        .page(&path("/add?object_type=contacts&q=nothing+so"))
        .await;
    assert!(none.contains("No property found"), "{none}");
    let group = path("/add?object_type=contacts&group=contactinformation");
    let grouped = browser.page(&group).await;
    assert!(
        grouped.contains("firstname") && !grouped.contains("usage_0001"),
        "{grouped}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_suggested_and_taken_where_none_is_typed() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let page = browser
        .page(&path("/add?object_type=contacts&q=city"))
        .await;
    // An empty box offers all attributes that can be selected.
    let box_of = page.split("id=\"into-city\"").nth(1).expect(&page);
    let tag = box_of.split('>').next().unwrap();
    assert!(
        tag.contains("value=\"\"") && tag.contains("placeholder=\"city\""),
        "{tag}"
    );
    let form = [
        ("object_type", "contacts"),
        ("property", "city"),
        ("suggested", "city"),
        ("variable", ""),
    ];
    let answer = post(&browser, "/add", &form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let page = browser.page(&path("/review")).await;
    let added = "<strong>City</strong> → <code>city</code>";
    assert!(page.contains(added), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_fields_draw_a_kind_warning() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    for property in ["city", "state", "country", "firstname", "lastname"] {
        add(&browser, property, &format!("my_{property}")).await;
    }
    assert!(!browser.page(FIELDS).await.contains("fields are a lot"));
    add(&browser, "phone", "my_phone").await;
    for page in [FIELDS, &path("/add?object_type=contacts"), &path("/review")] {
        let page = browser.page(page).await;
        assert!(page.contains("16 fields are a lot"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn choices_show_labels_or_internal_values_by_a_switch() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let form = [
        ("object_type", "contacts"),
        ("property", "lifecyclestage"),
        ("variable", "lifecycle_stage"),
        ("show", "label"),
    ];
    post(&browser, "/show", &form).await;
    let page = browser.page(FIELDS).await;
    let stage = row(&page, "lifecyclestage");
    assert!(
        stage.contains("Opportunity") && stage.contains("Show internal values"),
        "{stage}"
    );
    assert!(
        browser
            .page(&path("/review"))
            .await
            .contains("shows labels")
    );
    save(&browser, "keep").await;
    let labelled =
        async || value(&world, "lifecycle_stage").await == Some(Value::Text("Opportunity".into()));
    let mut changed = world.host.pipeline.changed();
    let waited = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while !labelled().await {
            changed.changed().await.unwrap();
        }
    });
    waited.await.expect("labels in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn which_record_feeds_is_chosen_in_plain_words() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let answer = post(
        &browser,
        "/selection",
        &[
            ("object_type", "companies"),
            ("rule", "largest"),
            ("property", "numberofemployees"),
        ],
    )
    .await;
    assert_eq!(location(&answer), FIELDS);
    let by_nothing = [("object_type", "companies"), ("rule", "largest")];
    let answer = post(&browser, "/selection", &by_nothing).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = browser.page(FIELDS).await;
    assert!(
        page.contains("The company with the largest Number of Employees"),
        "{page}"
    );
    // Companies are neither open nor closed.
    assert!(!page.contains("Open ones first"), "{page}");
    let form = [
        ("object_type", "deals"),
        ("property", "dealname"),
        ("variable", "deal"),
    ];
    let answer = post(&browser, "/add", &form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let page = browser.page(FIELDS).await;
    assert!(page.contains("The deal that changed last"), "{page}");
    assert!(page.contains("Open ones first"), "{page}");
    save(&browser, "keep").await;
    let page = browser.page(FIELDS).await;
    assert!(
        page.contains("The company with the largest Number of Employees"),
        "{page}"
    );
}
