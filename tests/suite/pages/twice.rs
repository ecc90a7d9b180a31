//! Forms that are pressed twice, as on a slow line.

use jimo_connect::store::projects::Role;
use reqwest::StatusCode;

use super::{
    location,
    world::{Browser, World},
};

const CONNECTION: &str = "/settings/integrations/con_1";

/// Where a page says that a form is sent, with the mark of that page.
fn action<'p>(page: &'p str, path: &str) -> &'p str {
    let from = format!("action=\"{path}?once=");
    let at = page.find(&from).unwrap_or_else(|| panic!("{path}: {page}"));
    let rest = &page[at + "action=\"".len()..];
    rest.split('"').next().expect("an end")
}

/// Sends a form twice at once; where both answers lead, or what both pages say.
async fn pressed_twice(browser: &Browser<'_>, path: &str, form: &[(&str, &str)]) -> [String; 2] {
    let csrf = browser.csrf().await;
    let form = [&[("csrf", csrf.as_str())], form].concat();
    let press = async || {
        let answer = browser.post(path, &form).await;
        match answer.status() {
            StatusCode::SEE_OTHER => location(&answer).to_owned(),
            _ => answer.text().await.expect("text"),
        }
    };
    let (first, second) = tokio::join!(press(), press());
    [first, second]
}

/// The tokens that a page shows, which it does once.
fn token(page: &str) -> &str {
    let (_, rest) = page.split_once("id=\"token\"").expect(page);
    let (_, rest) = rest.split_once("value=\"").expect(page);
    rest.split('"').next().expect("an end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_begins_once_from_one_page_and_again_from_another() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let path = format!("{CONNECTION}/syncs");
    let form = [("kind", "full")];
    let page = browser.page(&path).await;
    let [first, second] = pressed_twice(&browser, action(&page, &path), &form).await;
    assert!(first.contains("/syncs/run_"), "{first}");
    assert_eq!(first, second);
    let mut events = browser.follow(&format!("{first}/live")).await;
    events.until("Completed").await;
    let page = browser.page(&path).await;
    let [third, _] = pressed_twice(&browser, action(&page, &path), &form).await;
    assert_ne!(first, third);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_once_and_both_answers_show_it() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;
    let path = "/settings/tokens";
    let page = browser.page(path).await;
    let once = action(&page, path).to_owned();
    // What was refused is looked at anew.
    let nameless = [("name", " "), ("role", "admin")];
    for page in pressed_twice(&browser, &once, &nameless).await {
        assert!(page.contains("name-error"), "{page}");
    }
    let form = [("name", "Nightly import"), ("role", "viewer")];
    let [first, second] = pressed_twice(&browser, &once, &form).await;
    assert_eq!(token(&first), token(&second));
    let revoke = browser.page(path).await.matches("/revoke?once=").count();
    assert_eq!(revoke, 1);
    // The answer is of that session alone.
    let other = world.sign_in(Role::Admin).await;
    let [others, _] = pressed_twice(&other, &once, &form).await;
    assert_ne!(token(&others), token(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_or_deleted_is_said_to_whoever_pressed_twice() {
    let world = World::new().await;
    let browser = world.sign_in(Role::Admin).await;

    let path = "/segments/new";
    let page = browser.page(path).await;
    let save = page.split("formaction=\"").nth(1).expect(&page);
    let save = save.split('"').next().expect("an end");
    let form = [
        ("g", "all"),
        ("a", "attribute.lifecycle_stage"),
        ("o", "is_empty"),
        ("e", ""),
        ("name", "Without a stage"),
        ("description", ""),
        ("act", "save"),
    ];
    for answer in pressed_twice(&browser, save, &form).await {
        assert_eq!(answer, "/segments/seg_1?saved=true");
    }

    let path = format!("{CONNECTION}/delete");
    let page = browser.page(&path).await;
    let form = [("values", "keep")];
    for answer in pressed_twice(&browser, action(&page, &path), &form).await {
        assert_eq!(answer, "/settings/integrations?deleted=keep");
    }
}
