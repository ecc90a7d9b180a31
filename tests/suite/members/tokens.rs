//! API tokens, made and revoked on a page.

use std::time::Duration;

use harness::{bare::client, program};
use jimo_connect::store::projects::Role;

use super::people::{done, field, invited, owner, told};
use crate::pages::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_shown_once_used_and_revoked() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let form = [("name", "Nightly import"), ("role", "viewer")];
    let (status, page) = told(&olga, "/settings/tokens", &form).await;
    assert_eq!(status, 200, "{page}");
    let token = field(&page, "token");
    let page = olga.page("/settings/tokens").await;
    for shown in ["Nightly import", "by Olga Owner", "Viewer", "never"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains(&token), "it is shown once");

    let call = async |method: reqwest::Method, path: &str| {
        let url = world.url(&format!("/api/v1/projects/prj_2{path}"));
        let body = serde_json::json!({"name": "Theirs"});
        let request = client()
            .request(method, url)
            .bearer_auth(&token)
            .json(&body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(call(reqwest::Method::GET, "").await, 200);
    assert_eq!(call(reqwest::Method::PATCH, "").await, 403);
    let page = olga.page("/settings/tokens").await;
    assert!(page.contains("today") && !page.contains("never"), "{page}");
    // It is known by the day.
    world.host.clock.turn(Duration::from_secs(48 * 3_600));
    let page = olga.page("/settings/tokens").await;
    assert_eq!(page.matches(">today<").count(), 0, "{page}");
    assert_eq!(call(reqwest::Method::GET, "").await, 200);
    let page = olga.page("/settings/tokens").await;
    assert_eq!(page.matches(">today<").count(), 1, "{page}");

    done(&olga, "/settings/tokens/1/revoke", &[], "/settings/tokens").await;
    assert_eq!(call(reqwest::Method::GET, "").await, 401);
    assert_eq!(told(&olga, "/settings/tokens/1/revoke", &[]).await.0, 404);
    let (status, page) = told(
        &olga,
        "/settings/tokens",
        &[("name", " "), ("role", "admin")],
    )
    .await;
    assert_eq!(status, 422, "{page}");
    assert!(page.contains("name-error"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_other_projects_and_of_the_whole_host_are_not_there() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let token = ["token", "create", "--operator", "--name", "The whole host"];
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(program::path())
            .args(arguments)
            .env("JIMO_DATA_DIR", &world.host.config.data.directory)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    run(&token);
    let form = [("name", "Ours"), ("role", "admin")];
    assert_eq!(told(&olga, "/settings/tokens", &form).await.0, 200);
    let stranger = world.sign_in(Role::Admin).await;
    let page = stranger.page("/settings/tokens").await;
    assert!(page.contains("There are none yet"), "{page}");
    for number in [1, 2] {
        let path = format!("/settings/tokens/{number}/revoke");
        assert_eq!(told(&stranger, &path, &[]).await.0, 404);
    }
    let listed = run(&["token", "list"]);
    let lines: Vec<_> = listed.lines().collect();
    assert!(
        lines[0].starts_with("1\toperator\tthe whole host\t"),
        "{listed}"
    );
    assert!(lines[0].ends_with("\tThe whole host"), "{listed}");
    assert!(lines[1].starts_with("2\tadmin\tprj_2\t"), "{listed}");
    assert!(lines[1].ends_with("\tOurs"), "{listed}");
    run(&["token", "revoke", "2"]);
    assert!(
        olga.page("/settings/tokens")
            .await
            .contains("There are none yet")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_outlives_who_made_it() {
    let world = World::new().await;
    let olga = owner(&world).await;
    let mei = invited(&world, &olga, "admin").await;
    let form = [("name", "Hers"), ("role", "viewer")];
    let (_, page) = told(&mei, "/settings/tokens", &form).await;
    let token = field(&page, "token");
    let id = super::people::person(&world, "mei@example.com").await;
    let remove = format!("/settings/team/{id}/remove");
    assert!(olga.page(&remove).await.contains("API tokens included"));
    done(&olga, &remove, &[], "/settings/team").await;
    let page = olga.page("/settings/tokens").await;
    assert!(page.contains("Hers") && !page.contains("by Mei"), "{page}");
    let url = world.url("/api/v1/projects/prj_2");
    let answer = client().get(url).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}
