//! The operator's pages, as a browser gets them without scripts.

mod plugins;
mod rights;
mod set_aside;
mod trials;

use std::{
    process::{Command, Output},
    time::Duration,
};

use harness::program;
use jimo_connect::store::{set_aside::Filter, set_aside::Listed};
use reqwest::{Method, Response, header};

use super::world::{Browser, World};
use crate::members::people::{self, owner};

const PLUGINS: &str = "/operator/plugins";
const SET_ASIDE: &str = "/operator/set-aside";

/// How long anything may take that should take a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first member, who operates the host.
async fn operator(world: &World) -> Browser<'_> {
    owner(world).await
}

/// Runs a command beside the host.
fn command(world: &World, arguments: &[&str]) -> Output {
    Command::new(program::path())
        .args(arguments)
        .env("JIMO_DATA_DIR", &world.host.config.data.directory)
        .output()
        .unwrap()
}

/// What a command printed that went well.
fn printed(world: &World, arguments: &[&str]) -> String {
    let output = command(world, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A part of a form: its name, the name of its file, and what is in it.
type Field<'f> = (&'f str, Option<&'f str>, &'f [u8]);

/// Sends a form with a file to the page that installs, as browsers do.
async fn upload(browser: &Browser<'_>, fields: &[Field<'_>]) -> Response {
    const BOUNDARY: &str = "----a-boundary-that-stands-in-no-component";
    let mut body = Vec::new();
    for (name, file, content) in fields {
        let file = file.map_or(String::new(), |file| {
            format!("; filename=\"{file}\"\r\nContent-Type: application/wasm")
        });
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
        );
        body.extend(head.bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    browser
        .request(Method::POST, PLUGINS)
        .header(header::CONTENT_TYPE, kind)
        .body(body)
        .send()
        .await
        .unwrap()
}

/// Installs a component; returns the path of its page.
async fn install(browser: &Browser<'_>, component: &[u8]) -> String {
    let csrf = browser.csrf().await;
    let fields = [
        ("csrf", None, csrf.as_bytes()),
        ("component", Some("it.wasm"), component),
    ];
    let answer = upload(browser, &fields).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let (path, done) = people::location(&answer).split_once('?').unwrap();
    assert_eq!(done, "done=installed");
    path.to_owned()
}

/// Where a page says that a form is sent, with the mark of that page.
fn marked<'p>(page: &'p str, path: &str) -> &'p str {
    let from = format!("action=\"{path}?once=");
    let at = page.find(&from).unwrap_or_else(|| panic!("{path}: {page}"));
    let rest = &page[at + "action=\"".len()..];
    rest.split('"').next().expect("an end")
}

/// What is set aside, once it is so many.
async fn set_aside(world: &World, count: usize) -> Vec<Listed> {
    let waited = async {
        loop {
            let read = world
                .host
                .store
                .read(|tx| tx.list_set_aside(&Filter::default(), 0, 100));
            let listed = read.await.unwrap();
            if listed.len() == count {
                return listed;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited)
        .await
        .expect("in time")
}
