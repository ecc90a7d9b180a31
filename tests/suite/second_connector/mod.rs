//! A connector to another source than HubSpot, written against the contract alone,
//! through the whole product: installed, connected by a key, mapped, fed by what its
//! source pushes, and ended.

mod apart;
mod connecting;
mod pages;
mod pushing;
mod versions;

use harness::{answer::Answer, components, webhook, world::World};
use reqwest::Method;
use serde_json::{Value, json};

/// The account that is connected, as the source names it.
const ACCOUNT: &str = "acme";

/// A project on a host that runs the second connector.
struct Pushed {
    world: World,
    /// The version of the connector that is active, by digest.
    digest: String,
}

impl Pushed {
    /// A host that runs the connector, with a project in which nothing is connected.
    async fn start() -> Self {
        let world = World::start().await;
        let digest = install(&world, components::webhook().to_vec()).await;
        activate(&world, &digest).await.good();
        Self { world, digest }
    }

    /// One that is connected to [`ACCOUNT`] and maps some of its people's properties.
    async fn mapped() -> (Self, String) {
        let pushed = Self::start().await;
        let connection = pushed.connect(ACCOUNT).await;
        pushed.map(&connection).await;
        (pushed, connection)
    }

    async fn connect(&self, account: &str) -> String {
        let begun = self
            .try_connect(account, &webhook::connection_key(account))
            .await;
        assert_eq!(begun.status, 201, "{:#}", begun.json);
        begun.json["id"].as_str().unwrap().to_owned()
    }

    async fn try_connect(&self, account: &str, key: &str) -> Answer {
        let body = json!({"connector": "webhook", "account": account, "key": key});
        self.world.post("/connections", body).await
    }

    async fn map(&self, connection: &str) -> Value {
        let fields = json!([
            {"property": "plan", "variable": "plan", "show": "label"},
            {"property": "seats", "variable": "seats"},
            {"property": "signed_up_at", "variable": "signed_up_at"},
        ]);
        let path = format!("/connections/{connection}/mappings");
        let mapped = self.world.put(&path, json!({"people": {"fields": fields}}));
        mapped.await.good()
    }

    /// Where its source delivers.
    fn url(&self) -> String {
        self.world.host().url("/webhooks/webhook").to_string()
    }

    /// Delivers, and waits until it is applied.
    async fn push(&self, elements: Value) {
        assert_eq!(webhook::push(&self.url(), &elements).await, 204);
        self.world.settle().await;
    }

    /// The values of the one user with an address.
    async fn values(&self, email: &str) -> Value {
        let user = self.world.user_by_email(email).await;
        self.world.values(user["id"].as_str().unwrap()).await
    }

    /// What it set aside, by reason.
    async fn set_aside(&self) -> Vec<String> {
        let aside = self.world.host().store.read(|tx| tx.all_set_aside());
        let aside = aside.await.unwrap().into_iter();
        aside.map(|one| one.reason).collect()
    }
}

/// Somebody of [`ACCOUNT`], as the source pushes them at a minute of an hour.
fn person(id: &str, minute: u32, properties: Value) -> Value {
    json!({
        "workspace": ACCOUNT,
        "type": "people",
        "id": id,
        "updated_at": format!("2026-01-02T03:{minute:02}:00Z"),
        "properties": properties,
    })
}

/// Installs a component as an operator does; returns its digest.
async fn install(world: &World, component: Vec<u8>) -> String {
    let url = world.host().url("/api/v1/plugins");
    let request = harness::bare::client().post(url).body(component);
    let request = request.query(&[("file", "it.wasm")]);
    let installed = world.answer(request.bearer_auth(&world.operator)).await;
    assert_eq!(installed.status, 201, "{:#}", installed.json);
    installed.json["digest"].as_str().unwrap().to_owned()
}

/// Activates a version as an operator does, without force.
async fn activate(world: &World, digest: &str) -> Answer {
    let path = format!("/api/v1/plugins/{digest}/activate");
    world
        .send(Method::POST, &path, &world.operator, Some(json!({})))
        .await
}
