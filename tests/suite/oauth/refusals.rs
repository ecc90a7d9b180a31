//! What an admin is told where a consent comes to nothing, and where to go on.

use super::*;

/// A browser that is signed in to the world's project, and the hash of its session.
async fn signed_in(world: &World) -> (String, [u8; 32]) {
    let cookie = cookie(world, Role::Admin).await;
    let (_, token) = cookie.split_once('=').unwrap();
    let hash = hash_token(&Secret::from(token));
    (cookie, hash)
}

/// The way back from HubSpot of a consent that a browser began for a connection.
async fn back(world: &World, id: &str, session: [u8; 32], portal: u64) -> Url {
    let (project, id) = (world.project.parse().unwrap(), id.parse().unwrap());
    let url = consents::begin(world.host(), project, id, Some(session)).await;
    let begun = json!({"authorize_url": url.unwrap().as_str()});
    world.consent_at_hubspot(&begun, portal).await
}

/// The same as when somebody said no.
fn refused(mut back: Url) -> Url {
    let mut pairs = back.query_pairs();
    let state = pairs.find(|(name, _)| name == "state").unwrap();
    let state = state.1.into_owned();
    back.query_pairs_mut()
        .clear()
        .append_pair("error", "access_denied")
        .append_pair("state", &state);
    back
}

#[track_caller]
fn check(page: &str, title: &str, link: &str) {
    assert!(page.contains(&format!("<h1>{title}</h1>")), "{page}");
    assert!(page.contains(&format!("href=\"{link}\"")), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_connected_already_is_led_to_and_nothing_is_left_to_finish() {
    let world = World::start().await;
    let id = world.connect(PORTAL).await;
    let begun = begin(&world).await;
    let (cookie, session) = signed_in(&world).await;
    let begun = begun["id"].as_str().unwrap();
    let back = back(&world, begun, session, PORTAL).await;
    let (status, page, _) = as_browser(back, Some(&cookie), None).await;
    assert_eq!(status, 409, "{page}");
    let link = format!("/settings/integrations/{id}");
    check(&page, "HubSpot is connected already", &link);
    world
        .get(&format!("/connections/{begun}"))
        .await
        .problem(404);
    let held = world.get(&format!("/connections/{id}")).await.good();
    assert_eq!(held["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reconnects_and_says_no_is_told_that_the_connection_is_as_it_was() {
    let world = World::start().await;
    let id = world.connect(PORTAL).await;
    let (cookie, session) = signed_in(&world).await;
    let link = format!("/settings/integrations/{id}");
    let no = refused(back(&world, &id, session, PORTAL).await);
    let (_, page, _) = as_browser(no, Some(&cookie), None).await;
    check(&page, "The connection is as it was", &link);
    let other = back(&world, &id, session, PORTAL + 1).await;
    let (status, page, _) = as_browser(other, Some(&cookie), None).await;
    assert_eq!(status, 409, "{page}");
    check(&page, "The connection is as it was", &link);
    let held = world.get(&format!("/connections/{id}")).await.good();
    assert_eq!(held["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lost_the_session_that_began_it_can_sign_in_or_begin_again() {
    let world = World::start().await;
    let begun = begin(&world).await;
    let id = begun["id"].as_str().unwrap();
    let (_, session) = signed_in(&world).await;
    let back_then = back(&world, id, session, PORTAL).await;
    let (status, page, _) = as_browser(back_then, None, None).await;
    assert_eq!(status, 403, "{page}");
    check(&page, "HubSpot is not connected", "/settings/integrations");
    assert!(page.contains("Sign in to Jimo"), "{page}");
    // It goes on nowhere: to whom it came back wrongly, it came back once.
    let again = "begin again, here or in the browser where you began.";
    assert!(
        page.contains("this consent is over") && page.contains(again),
        "{page}"
    );
    // Signed in anew, it is another session.
    let (cookie, _) = signed_in(&world).await;
    let back_then = back(&world, id, session, PORTAL).await;
    let (status, page, _) = as_browser(back_then, Some(&cookie), None).await;
    assert_eq!(status, 403, "{page}");
    assert!(page.contains("before you signed in anew"), "{page}");
    assert!(page.contains("Begin again, here or there."), "{page}");
    check(&page, "HubSpot is not connected", "/settings/integrations");
    // Nor is one stuck whose consent is over.
    let mut over = world.host().url(consents::CALLBACK);
    over.set_query(Some("state=made-up&code=abc"));
    let (status, page, _) = as_browser(over, None, None).await;
    assert_eq!(status, 400, "{page}");
    check(&page, "This consent is over", "/settings/integrations");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_consent_does_not_allow_is_named_in_words_and_can_be_begun_again() {
    let world = World::start().await;
    let begun = begin(&world).await;
    let id = begun["id"].as_str().unwrap();
    let (cookie, session) = signed_in(&world).await;
    let project = world.project.parse().unwrap();
    let url = consents::begin(world.host(), project, id.parse().unwrap(), Some(session)).await;
    let mut url = url.unwrap();
    let without: Vec<_> = url
        .query_pairs()
        .map(|(name, value)| {
            (
                name.into_owned(),
                value.replace(" crm.objects.deals.read", ""),
            )
        })
        .collect();
    url.query_pairs_mut().clear().extend_pairs(without);
    let begun = json!({"authorize_url": url.as_str()});
    let back = world.consent_at_hubspot(&begun, PORTAL).await;
    let (_, page, _) = as_browser(back, Some(&cookie), None).await;
    assert!(page.contains("does not let Jimo read deals."), "{page}");
    let again = format!("action=\"/settings/integrations/{id}/reconnect\"");
    assert!(page.contains(&again), "{page}");
}
