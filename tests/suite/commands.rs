//! The command line, as an operator uses it.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use harness::{
    bare::{BareHost, client, deliver},
    program::{self, Program},
};
use jimo_connect::plugin::EMBEDDED;
use tempfile::TempDir;

/// Runs the program to its end.
fn run(directory: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    Command::new(program::path())
        .args(arguments)
        .env("JIMO_DATA_DIR", directory)
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

/// What a command printed that went well.
fn printed(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn settings_that_cannot_be_meant_stop_the_start_and_say_what_to_do() {
    let directory = TempDir::new().unwrap();
    // Taken, so that no start comes further than this.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let (id, secret) = ("HUBSPOT_CLIENT_ID", "HUBSPOT_CLIENT_SECRET");
    for (settings, told) in [
        (vec![], ["JIMO_LISTEN", listen.as_str()]),
        (vec![(id, ""), (secret, "s")], ["client-id", "empty"]),
        (vec![(id, "c"), (secret, "")], ["client-secret", "empty"]),
        (vec![("HUBSPOT_APP_ID", "")], ["app-id", "empty"]),
        (
            vec![("JIMO_HUBSPOT_SHARE", "0.04")],
            ["hubspot-share", "0.05 to 1"],
        ),
        (
            vec![("JIMO_HUBSPOT_SHARE", "1.01")],
            ["hubspot-share", "0.05 to 1"],
        ),
        (
            vec![("JIMO_PUBLIC_URL", "connect.example.com:443")],
            ["public-url", "https://connect.example.com"],
        ),
        (vec![("JIMO_LOG", "inof")], ["JIMO_LOG", "\"inof\""]),
    ] {
        let mut all = vec![("JIMO_LISTEN", listen.as_str())];
        all.extend(&settings);
        let output = run(directory.path(), &["serve"], &all);
        assert!(!output.status.success());
        let errors = String::from_utf8(output.stderr).unwrap();
        for told in told {
            assert!(errors.contains(told), "{settings:?}: {errors}");
        }
    }
}

#[test]
fn secrets_that_cannot_be_read_are_not_told() {
    let directory = TempDir::new().unwrap();
    for secrets in ["webhook=whsec_c2hvcnQtc2VjcmV0", "whsec_c2hvcnQtc2VjcmV0"] {
        let settings = [
            ("JIMO_LISTEN", "127.0.0.1:0"),
            ("JIMO_CONNECTOR_SECRETS", secrets),
        ];
        let output = run(directory.path(), &["serve"], &settings);
        assert!(!output.status.success());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("JIMO_CONNECTOR_SECRETS"), "{errors}");
        assert!(!errors.contains("c2hvcnQ"), "{errors}");
    }
}

#[test]
fn a_project_has_a_name_and_a_time_zone_that_the_pages_would_take() {
    let directory = TempDir::new().unwrap();
    let create = |name: &str, zone: &str| {
        let arguments = ["project", "create", name, "--time-zone", zone];
        run(directory.path(), &arguments, &[])
    };
    let long = "a".repeat(201);
    for (name, zone, told) in [
        (" ", "UTC", "1 to 200 characters"),
        (&long, "UTC", "1 to 200 characters"),
        ("Two\nlines", "UTC", "on one line"),
        ("Acme", "Mars/Olympus", "no IANA time zone"),
    ] {
        let output = create(name, zone);
        assert!(!output.status.success(), "{name:?} {zone}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(told), "{errors}");
    }
    let created = printed(create(" Acme ", "Europe/Paris"));
    assert_eq!(created, "created Acme prj_1");
}

#[tokio::test]
async fn a_sign_in_link_is_made_beside_a_running_host_and_takes_a_button() {
    let host = BareHost::start(EMBEDDED).await;
    let directory = host.directory.path();
    let created = printed(run(directory, &["project", "create", "Acme"], &[]));
    let project = created.rsplit(' ').next().unwrap();
    let sign_in = ["sign-in", "--project", project, "--role", "viewer"];
    let public_url = [("JIMO_PUBLIC_URL", host.host.public_url.as_str())];
    let link = printed(run(directory, &sign_in, &public_url));
    let (page, token) = link.split_once("?token=").unwrap();
    assert_eq!(page, host.host.url("/sign-in").as_str());

    let shown = client().get(&link).send().await.unwrap();
    assert!(shown.headers().get("set-cookie").is_none());
    let form = [("token", token)];
    let no_redirects = reqwest::redirect::Policy::none();
    let browser = reqwest::Client::builder().no_proxy().redirect(no_redirects);
    let browser = browser.build().unwrap();
    let answer = browser
        .post(format!("{page}/link"))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["location"], "/users");
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let users = browser.get(host.host.url("/users"));
    let users = users.header("cookie", cookie).send().await.unwrap();
    assert_eq!(users.status(), 200);
    assert!(users.text().await.unwrap().contains("Acme"));

    let unset = printed(run(directory, &sign_in, &[]));
    assert!(unset.starts_with("http://127.0.0.1:8080/sign-in?token="));
    let free_port = run(directory, &sign_in, &[("JIMO_LISTEN", "127.0.0.1:0")]);
    assert!(!free_port.status.success());
    let nobodys = ["sign-in", "--project", "prj_999", "--role", "admin"];
    assert!(!run(directory, &nobodys, &[]).status.success());
    host.stop().await;
}

#[tokio::test]
async fn signatures_that_do_not_match_are_warned_of_once_and_not_each_time() {
    let directory = TempDir::new().unwrap();
    let settings = [
        ("HUBSPOT_CLIENT_ID", "client"),
        ("HUBSPOT_CLIENT_SECRET", "the app's"),
        ("JIMO_LOG", "warn"),
    ];
    let program = Program::start(directory.path(), &settings);
    let webhooks = format!("{}/webhooks/hubspot", program.url);
    for _ in 0..3 {
        let status = deliver(&webhooks, "another", b"[]".to_vec()).await.unwrap();
        assert_eq!(status, 401);
    }
    let logged = program.log();
    let warnings = logged.matches("JIMO_PUBLIC_URL").count();
    assert_eq!(warnings, 1, "{logged}");
    assert!(logged.contains(&webhooks), "{logged}");
}

#[test]
fn one_host_at_a_time_works_on_a_data_directory_and_commands_go_on_beside_it() {
    let directory = TempDir::new().unwrap();
    let directory = directory.path();
    let host = Program::start(directory, &program::alone());
    let listen = [("JIMO_LISTEN", "127.0.0.1:0")];
    for refused in [&["serve"][..], &["log", "accept"]] {
        let output = run(directory, refused, &listen);
        assert!(!output.status.success(), "{refused:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("a host is running"), "{told}");
        assert!(output.stdout.is_empty());
    }
    let created = printed(run(directory, &["project", "create", "Acme"], &[]));
    let project = created.rsplit(' ').next().unwrap();
    let token = ["token", "create", "--project", project, "--role", "admin"];
    printed(run(directory, &token, &[]));
    // However it ends, the directory is free then.
    host.kill();
    printed(run(directory, &["log", "accept"], &[]));
    Program::start(directory, &program::alone()).kill();
}
