//! A connector to another source than HubSpot, written against the contract alone,
//! through the whole product: installed, connected by a key, mapped, fed by what its
//! source pushes, and ended.

mod apart;
mod connecting;
mod hostile;
mod kept;
mod pages;
mod pushing;
mod versions;

use harness::{answer::Answer, caller::Caller, components, webhook, world::World};
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
        let operator = operator(&world);
        let digest = operator.install(components::webhook()).await;
        // The first needs no force.
        operator.activate(&digest, json!({})).await.good();
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

    /// Has all that was set aside worked on again, and waits until nothing is left.
    async fn work_again(&self) {
        let world = &self.world;
        let operator = operator(world);
        let asked = operator.post("/set-aside/replay", json!({}));
        asked.await.good();
        let is_done = async || self.set_aside().await.is_empty();
        world.until(is_done).await;
    }

    /// What Prometheus is told.
    async fn metrics(&self) -> String {
        let url = self.world.host().url("/metrics");
        let answer = harness::bare::client().get(url).send().await.unwrap();
        answer.text().await.unwrap()
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

/// Somebody of [`ACCOUNT`] with an address, and so many seats at a minute of an hour.
fn seats(minute: u32, seats: u32) -> Value {
    person(
        "p-1",
        minute,
        json!({"email": "ana@example.com", "seats": seats}),
    )
}

/// Who operates the host.
fn operator(world: &World) -> Caller {
    Caller::at(world.host().url("").as_str(), &world.operator)
}
