//! How a connection fares: numbers by the hour, activity, why a record did not
//! reach a user, and all of it live.

mod activity;
mod events;
mod explain;
mod hours;

use harness::world::World;
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// A connection that maps a property of contacts and one of companies, and a user
/// whose contact has a company.
struct Fed {
    world: World,
    connection: String,
    user: String,
    contact: u64,
    company: u64,
}

fn mappings() -> Value {
    json!({
        "contacts": {"fields": [{"property": "jobtitle", "variable": "job_title"}]},
        "companies": {"fields": [{"property": "name", "variable": "company"}]},
    })
}

impl Fed {
    async fn start() -> Self {
        Self::start_in(World::start().await).await
    }

    async fn start_in(world: World) -> Self {
        let connection = world.connect(PORTAL).await;
        world.map(&connection, mappings()).await;
        let users = json!([{"email": "ana@example.com", "external_id": "u_1"}]);
        let user = world.put_users(users).await.remove(0);
        // Who arrives is looked up, and would find what is created meanwhile.
        world.settle().await;
        let account = world.account(PORTAL);
        let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
        let contact = account.create("contacts", &values).unwrap();
        let company = account.create("companies", &[("name", "Acme")]).unwrap();
        let ends = (("contacts", contact), ("companies", company));
        account
            .associate(ends.0, ends.1, hubspot_sim::Link::Primary)
            .unwrap();
        world.settle().await;
        Self {
            world,
            connection,
            user,
            contact,
            company,
        }
    }

    fn path(&self, path: &str) -> String {
        format!("/connections/{}{path}", self.connection)
    }

    async fn get(&self, path: &str) -> Value {
        self.world.get(&self.path(path)).await.good()
    }
}
