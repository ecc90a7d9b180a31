//! A full sync of very many contacts by the program itself: what memory it
//! takes, and what live changes wait for meanwhile.

use std::time::{Duration, Instant};

use harness::{
    bare,
    program::{Program, Simulated},
    world::World,
};
use hubspot_sim::{Account, Limits};
use reqwest::Client;
use serde_json::{Value, json};

use super::{LOOK_EVERY, PORTAL, create, emails, free, world};

/// Live changes that are measured.
const CHANGES: usize = 200;

/// How often the memory is looked at.
const WATCH_EVERY: Duration = Duration::from_millis(100);

/// Measures both, with so many contacts, each of a user.
pub async fn full_sync(contacts: usize) {
    let emails = emails(contacts);
    let (mut world, connection) = world(free(), &emails).await;
    world.sim.set_webhooks(|knobs| knobs.loss = 1.0);
    let account = world.account(PORTAL);
    let ids = create(&account, &emails);
    let user = world.user_by_email(&emails[0]).await["id"].clone();
    let user = user.as_str().unwrap();
    world.stop().await;
    world.sim.set_webhooks(|knobs| knobs.loss = 0.0);
    let program = start(&world);
    let at_rest = program.memory();
    let host = Host {
        url: format!("{}{}", program.url, world.path("")),
        token: world.token.clone(),
        client: bare::client(),
    };
    // It is known from here on.
    change(&account, ids[0], "Baker");
    host.shows(user, "Baker").await;
    let alone = live(&host, &account, ids[0], user, CHANGES).await;

    let path = format!("/connections/{connection}/syncs");
    let begun = Instant::now();
    let run = host.post(&path, json!({"kind": "full"})).await;
    let path = format!("{path}/{}", run["id"].as_str().unwrap());
    let (run, peak) = watch(&host, &path, &program).await;
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["counts"]["read"], contacts, "{run}");
    println!(
        "| full sync of {contacts} contacts by the program: records a second | {:.0} |",
        contacts as f64 / seconds
    );
    println!(
        "| resident at rest / the most meanwhile | {} / {} MiB |",
        at_rest >> 20,
        peak >> 20
    );

    for (how, limits) in [
        ("within HubSpot's limits", Limits::marketplace()),
        ("at our own ceiling", free()),
    ] {
        world.sim.set_limits(limits);
        let path = format!("/connections/{connection}/syncs");
        let run = host.post(&path, json!({"kind": "full"})).await;
        let path = format!("{path}/{}", run["id"].as_str().unwrap());
        let before = done(&host, &path, 5_000.0).await;
        let (mut beside, begun) = (Vec::new(), Instant::now());
        while beside.len() < CHANGES && host.get(&path).await["status"] == "running" {
            beside.extend(live(&host, &account, ids[0], user, 10).await);
        }
        let done = done(&host, &path, before).await - before;
        println!(
            "| from HubSpot's change to the user's value, p50 and p99, alone / beside a full sync {how}, which reads {:.0} records a second | {} / {} ms |",
            done / begun.elapsed().as_secs_f64(),
            spread(&alone),
            spread(&beside)
        );
        host.post(&format!("{path}/cancel"), json!({})).await;
    }
    program.kill();
}

fn start(world: &World) -> Program {
    let hubspot = Simulated::of(&world.sim);
    let mut settings = hubspot.settings().to_vec();
    settings.push(("HUBSPOT_JOURNAL", "off"));
    let program = Program::start(world.directory.path(), &settings);
    let target = format!("{}{}", program.url, jimo_connect::intake::PATH);
    world.sim.set_webhook_target(&target);
    program
}

/// Waits until a run is over: what is said of it, and the most memory meanwhile.
async fn watch(host: &Host, path: &str, program: &Program) -> (Value, u64) {
    let mut peak = 0;
    loop {
        peak = peak.max(program.memory());
        let run = host.get(path).await;
        if run["status"] != "running" {
            return (run, peak);
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// How many records a run has done, once it has done so many.
async fn done(host: &Host, path: &str, at_least: f64) -> f64 {
    loop {
        let run = host.get(path).await;
        let done = run["progress"]["done"].as_f64().unwrap();
        if done >= at_least {
            return done;
        }
        assert_eq!(run["status"], "running", "{run}");
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

fn change(account: &Account, contact: u64, title: &str) {
    let values = [("jobtitle", title)];
    account.patch("contacts", contact, &values).unwrap();
}

/// How long changes of a contact take to show on its user, one after the other.
async fn live(
    host: &Host,
    account: &Account,
    contact: u64,
    user: &str,
    changes: usize,
) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0..changes {
        let title = format!("Chef {number} {:?}", Instant::now());
        let begun = Instant::now();
        change(account, contact, &title);
        host.shows(user, &title).await;
        times.push(begun.elapsed());
    }
    times
}

fn spread(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_millis();
    format!("{} and {}", at(0.5), at(0.99))
}

/// The API of a project on the program.
struct Host {
    url: String,
    token: String,
    client: Client,
}

impl Host {
    async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        answer.json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.url)).json(&body);
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        answer.json().await.unwrap_or_default()
    }

    /// Waits until a user shows a job title.
    async fn shows(&self, user: &str, title: &str) {
        let path = format!("/users/{user}");
        while self.get(&path).await["variables"]["job_title"]["value"] != title {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
