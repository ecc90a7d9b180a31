//! Roles, and members who go.

use jimo_connect::{members::INVITATIONS_MAX, store::projects::Role};
use reqwest::StatusCode;

use super::people::{
    done, invite, invited, is_in, location, owner, person, project_of, send, told,
};
use crate::pages::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_changed_holds_from_the_next_request_on() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let mei = invited(&world, &olga, "viewer").await;
    let id = person(&world, "mei@example.com").await;
    let role = format!("/settings/team/{id}/role");
    let rename = [("name", "Renamed"), ("time_zone", "UTC")];
    assert_eq!(told(&mei, "/settings/general", &rename).await.0, 403);
    done(&olga, &role, &[("role", "admin")], "/settings/team").await;
    done(
        &mei,
        "/settings/general",
        &rename,
        "/settings/general?saved=1",
    )
    .await;
    done(&olga, &role, &[("role", "viewer")], "/settings/team").await;
    assert_eq!(told(&mei, "/settings/general", &rename).await.0, 403);
    assert!(olga.page("/settings/general").await.contains("Renamed"));
    // A role that there is not, and one of the whole host.
    for none in ["owner", "operator", ""] {
        assert_eq!(told(&olga, &role, &[("role", none)]).await.0, 400, "{none}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_admin_can_neither_leave_nor_be_demoted_by_anybody() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let id = person(&world, "olga@example.com").await;
    let mei = invited(&world, &olga, "viewer").await;
    let meis = person(&world, "mei@example.com").await;
    let (role, remove) = (
        format!("/settings/team/{id}/role"),
        format!("/settings/team/{id}/remove"),
    );
    // A link of the command line's is an admin, and no member.
    let operator = world
        .sign_in_to("prj_2".parse().unwrap(), Role::Admin)
        .await;
    for browser in [&olga, &operator] {
        for (path, form) in [(&role, &[("role", "viewer")][..]), (&remove, &[])] {
            let (status, page) = told(browser, path, form).await;
            assert_eq!(status, 422, "{page}");
            assert!(page.contains("this is the only one"), "{page}");
        }
    }
    done(&olga, &role, &[("role", "admin")], "/settings/team").await;

    let meis_role = format!("/settings/team/{meis}/role");
    done(&olga, &meis_role, &[("role", "admin")], "/settings/team").await;
    let page = olga.page(&remove).await;
    assert!(page.contains("Leave Northwind Two?"), "{page}");
    let answer = send(&olga, &remove, &[]).await;
    assert_eq!(location(&answer), "/sign-in");
    assert!(!is_in(&olga).await && is_in(&mei).await);
    let (status, _) = told(&mei, &meis_role, &[("role", "viewer")]).await;
    assert_eq!(status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_is_signed_out_of_that_project_at_once_and_of_no_other() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let mei = invited(&world, &olga, "viewer").await;
    let id = person(&world, "mei@example.com").await;
    let olgas = person(&world, "olga@example.com").await;
    let harbor = project_of(
        &world,
        "Harbor",
        &[(id, Role::Viewer), (olgas, Role::Viewer)],
    )
    .await;
    let mut elsewhere =
        super::people::sign_in(&world, "mei@example.com", super::people::PASSWORD).await;
    let harbor = harbor.to_string();
    let answer = send(&elsewhere, "/switch-project", &[("project", &harbor)]).await;
    elsewhere.cookie = super::people::cookie(&answer);
    // Her page is open, and live.
    let mut live = mei
        .follow(&format!("/users/{}/live", other_user(&world).await))
        .await;
    live.next().await.unwrap();

    let remove = format!("/settings/team/{id}/remove");
    let page = olga.page(&remove).await;
    assert!(
        page.contains("Remove Mei?") && !page.contains("account is deleted"),
        "{page}"
    );
    done(&olga, &remove, &[], "/settings/team").await;
    assert!(!is_in(&mei).await && is_in(&elsewhere).await);
    assert_eq!(live.next().await, None);
    // Of a project that one is only a viewer of, one may leave.
    let leave = format!("/settings/team/{id}/remove");
    assert_eq!(location(&send(&elsewhere, &leave, &[]).await), "/sign-in");
    assert!(!is_in(&elsewhere).await);
}

/// A user of the owner's project.
async fn other_user(world: &World) -> jimo_connect::model::UserId {
    use jimo_connect::pipeline::arrivals::{Arrivals, UserItem, Written};
    let (keys, now) = (world.host.keys.clone(), world.host.clock.now());
    let made = world.host.store.transact(move |tx| {
        let arrivals = Arrivals::new(tx, &keys, "prj_2".parse().unwrap(), now)?;
        arrivals.put(&UserItem {
            external_id: Some("1".into()),
            email: None,
            name: None,
            variables: Vec::new(),
        })
    });
    match made.await.unwrap() {
        Ok(Written::Created(user)) => user.id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_another_project_is_not_there() {
    let world = World::new().await;
    let olga = owner(&world).await;
    invite(&olga, "waiting@example.com", "viewer").await;
    let mei = invited(&world, &olga, "viewer").await;
    let id = person(&world, "mei@example.com").await;
    // An admin of the other project.
    let stranger = world.sign_in(Role::Admin).await;
    for (path, form) in [
        (
            format!("/settings/team/{id}/role"),
            &[("role", "admin")][..],
        ),
        (format!("/settings/team/{id}/remove"), &[]),
        (format!("/settings/team/{id}/reset-link"), &[]),
        ("/settings/team/invitations/1/revoke".to_owned(), &[]),
        (
            "/settings/team/per_999/role".to_owned(),
            &[("role", "admin")],
        ),
        ("/settings/team/nonsense/remove".to_owned(), &[]),
    ] {
        assert_eq!(told(&stranger, &path, form).await.0, 404, "{path}");
    }
    let path = format!("/settings/team/{id}/remove");
    assert_eq!(stranger.get(&path).await.status(), StatusCode::NOT_FOUND);
    assert!(
        !stranger
            .page("/settings/team")
            .await
            .contains("example.com")
    );
    assert!(is_in(&mei).await);
    assert!(
        olga.page("/settings/team")
            .await
            .contains("waiting@example.com")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_are_for_addresses_that_are_no_members_and_so_many_at_once() {
    let world = World::new().await;
    let olga = owner(&world).await;
    for (email, said) in [
        ("OLGA@example.com", "a member already"),
        ("nonsense", "no e-mail address"),
    ] {
        let form = [("email", email), ("role", "viewer")];
        let (status, page) = told(&olga, "/settings/team", &form).await;
        assert_eq!(status, 422, "{page}");
        assert!(
            page.contains(said) && page.contains("email-error"),
            "{page}"
        );
    }
    for number in 0..INVITATIONS_MAX {
        invite(&olga, &format!("user-{number}@example.com"), "viewer").await;
    }
    let one_more = [("email", "one-more@example.com"), ("role", "viewer")];
    let (status, page) = told(&olga, "/settings/team", &one_more).await;
    assert_eq!(status, 422, "{page}");
    assert!(page.contains("100 invitations are waiting"), "{page}");
    // One in place of another is not one more.
    invite(&olga, "user-7@example.com", "admin").await;
    done(
        &olga,
        "/settings/team/invitations/1/revoke",
        &[],
        "/settings/team",
    )
    .await;
    invite(&olga, "one-more@example.com", "viewer").await;
}
