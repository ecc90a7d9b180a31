//! A version that serves one connection before it serves all: what that connection is
//! told is read by it, and nothing else is.

use std::{collections::HashMap, sync::Arc, time::Duration};

use harness::{
    answer::Answer,
    bare::{BareHost, deliver},
    caller::Caller,
    components::{misbehaving_as, rebuilt},
    program::{printed, refused},
    world::World,
};
use jimo_connect::{
    clock::Clock,
    intake,
    model::{AccountId, ConnectionId, MappingId, ObjectMapping, ProjectId},
    pipeline::{
        pages::prepare_records,
        routing::{AccountRoute, ConnectionRoute},
    },
    plugin::{Conversion, EMBEDDED, Versions, digest},
    store::{connections::Account, projects::Role, reach::SelectionFields},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    super::{RECEIVED_AT, engine},
    Api, created, send_until, trapping, until,
};

const PORTAL: u64 = 1_001;

/// One HubSpot account, connected to two projects that map the same.
struct Two {
    world: World,
    projects: [Side; 2],
}

/// One of the projects.
struct Side {
    project: String,
    token: String,
    connection: String,
    ana: String,
}

impl Two {
    async fn start() -> Self {
        let mut world = World::start().await;
        let first = side(&world).await;
        world.project = world.make_project("Southwind").await;
        world.token = world.make_token(Some(&world.project), Role::Admin).await;
        let second = side(&world).await;
        Self {
            world,
            projects: [first, second],
        }
    }

    /// As an operator: a request about plugins.
    async fn operate(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.operator().request(method, &format!("/plugins{path}"));
        let answer = Answer::of(request.json(&body)).await;
        (answer.status, answer.json)
    }

    fn operator(&self) -> Caller {
        Caller::at(self.world.host().url("").as_str(), &self.world.operator)
    }

    async fn install(&self, component: Vec<u8>) -> String {
        self.operator().install(component).await
    }

    /// Has a version serve the second project's connection, whatever it was compared
    /// with.
    async fn try_out(&self, digest: &str) {
        let path = format!("/{digest}/activate");
        let asked = json!({"connection": self.projects[1].connection, "force": true});
        let (status, told) = self.operate(Method::POST, &path, asked).await;
        assert_eq!(status, 200, "{told}");
    }

    /// The versions that serve a connection alone, as operators are told.
    async fn alone(&self, digest: &str) -> Value {
        let (_, told) = self
            .operate(Method::GET, &format!("/{digest}"), Value::Null)
            .await;
        told["serves_alone"].clone()
    }

    async fn of(&self, side: usize, path: &str) -> Value {
        let side = &self.projects[side];
        let path = format!("/api/v1/projects/{}{path}", side.project);
        let answer = self.world.send(Method::GET, &path, &side.token, None).await;
        answer.good()
    }

    /// The city that a project's Ana has.
    async fn city(&self, side: usize) -> Value {
        let ana = &self.projects[side].ana;
        let user = self.of(side, &format!("/users/{ana}")).await;
        user["variables"]["city"]["value"].clone()
    }

    /// The version that read what a project's connection was told last.
    async fn reader(&self, side: usize) -> Value {
        let connection = &self.projects[side].connection;
        let path = format!("/connections/{connection}/activity?outcome=updated");
        self.of(side, &path).await[0]["plugin"].clone()
    }
}

async fn side(world: &World) -> Side {
    let connection = world.connect(PORTAL).await;
    let fields = json!([{"property": "city", "variable": "city"}]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    let users = json!([{"email": "ana@example.com"}]);
    Side {
        project: world.project.clone(),
        token: world.token.clone(),
        connection,
        ana: world.put_users(users).await.remove(0),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_serves_one_connection_before_it_serves_all() {
    let mut two = Two::start().await;
    let (active, other) = (digest(EMBEDDED), rebuilt(EMBEDDED, "another"));
    let other = two.install(other).await;
    let tried = two.projects[1].connection.clone();
    let path = format!("/{other}/activate");
    let (status, told) = two
        .operate(Method::POST, &path, json!({"connection": tried}))
        .await;
    assert_eq!(status, 409, "it was not compared: {told}");
    let asked = json!({"connection": tried, "force": true});
    let (status, told) = two.operate(Method::POST, &path, asked.clone()).await;
    assert_eq!((status, &told["active"]), (200, &json!(true)), "{told}");
    assert_eq!(two.alone(&other).await, json!([tried]));
    let (status, _) = two.operate(Method::POST, &path, asked.clone()).await;
    assert_eq!(status, 409, "it does already");
    let (status, _) = two
        .operate(Method::DELETE, &format!("/{other}"), Value::Null)
        .await;
    assert_eq!(status, 409, "it is in use");

    // A record that is read, and an event that is not.
    let account = two.world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("city", "Lyon")];
    let id = account.create("contacts", &values).unwrap();
    two.world.settle().await;
    for (city, restarts) in [("Lyon", false), ("Oslo", false), ("Riga", true)] {
        if restarts {
            two.world.restart().await;
        }
        account.patch("contacts", id, &[("city", city)]).unwrap();
        two.world.settle().await;
        for (side, reader) in [(0, &active), (1, &other)] {
            assert_eq!(two.city(side).await, city);
            assert_eq!(&two.reader(side).await, reader, "{city}");
        }
    }

    // Back to the active one.
    let back = json!({"connection": tried});
    let (status, told) = two.operate(Method::POST, "/rollback", back.clone()).await;
    assert_eq!(status, 200, "{told}");
    let (status, _) = two.operate(Method::POST, "/rollback", back).await;
    assert_eq!(status, 409, "it has");
    account.patch("contacts", id, &[("city", "Bonn")]).unwrap();
    two.world.settle().await;
    assert_eq!(two.reader(1).await, active);

    // For all: nothing is one's own any more.
    two.operate(Method::POST, &path, asked).await;
    let for_all = json!({"force": true});
    let (status, told) = two.operate(Method::POST, &path, for_all).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(two.alone(&other).await, json!([]));
    account.patch("contacts", id, &[("city", "Graz")]).unwrap();
    two.world.settle().await;
    for side in [0, 1] {
        assert_eq!(two.city(side).await, "Graz");
        assert_eq!(two.reader(side).await, other);
    }
    let (_, listed) = two.operate(Method::GET, "", Value::Null).await;
    let connections: Vec<&Value> = listed["activations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|activation| &activation["connection"])
        .collect();
    let tried = json!(tried);
    assert_eq!(connections, [&Value::Null, &tried, &tried, &tried]);
    let (_, rolled) = two.operate(Method::POST, "/rollback", json!({})).await;
    assert_eq!(
        rolled["digest"], active,
        "trials are no steps of the way back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_read_for_each_connection_by_the_version_that_serves_it() {
    let two = Two::start().await;
    let otherwise = misbehaving_as("hubspot", "read otherwise");
    let otherwise = two.install(otherwise).await;
    two.try_out(&otherwise).await;
    let account = two.world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("city", "Lyon")];
    account.create("contacts", &values).unwrap();
    two.world.settle().await;
    assert_eq!(
        (two.city(0).await, two.city(1).await),
        (json!("Lyon"), json!("LYON"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_version_does_not_understand_is_kept_from_its_own_connection_alone() {
    let two = Two::start().await;
    let refuses = misbehaving_as("hubspot", "refuse cities");
    let refuses = two.install(refuses).await;
    two.try_out(&refuses).await;
    let account = two.world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("city", "Lyon")];
    account.create("contacts", &values).unwrap();
    two.world
        .until(async || two.city(0).await == json!("Lyon"))
        .await;
    assert_eq!(two.city(1).await, Value::Null);
    // Who reads it is told, where it waits for long; the other waits for nothing.
    let path = |side: usize| {
        let connection = &two.projects[side].connection;
        format!("/connections/{connection}/activity?outcome=read_put_off")
    };
    two.world
        .until(async || {
            two.world.clock.turn(Duration::from_secs(31));
            two.of(1, &path(1)).await != json!([])
        })
        .await;
    let told = two.of(1, &path(1)).await[0].clone();
    assert_eq!(told["reason"], "read_not_understood", "{told}");
    assert_eq!(told["plugin"], json!(refuses), "{told}");
    assert_eq!(two.of(0, &path(0)).await, json!([]));
    let late = two
        .world
        .count("SELECT count(*) FROM reads WHERE expected_at > 0");
    assert_eq!(late, 0, "the other connection has what it waited for");
    // It is asked for again, and read by whoever serves the connection then.
    let back = json!({"connection": two.projects[1].connection});
    let (status, told) = two.operate(Method::POST, "/rollback", back).await;
    assert_eq!(status, 200, "{told}");
    two.world.clock.turn(Duration::from_secs(3_601));
    two.world.settle().await;
    assert_eq!(two.city(1).await, json!("Lyon"));
}

/// A connection of the account that maps contacts, and what serves it alone.
fn route(id: i64, trial: Option<&str>) -> Arc<ConnectionRoute> {
    let contacts = ObjectMapping {
        id: MappingId(id),
        object_type: "contacts".into(),
        matching: None,
        through: None,
        selection: None,
        fields: Vec::new(),
        matching_properties: Vec::new(),
        selection_properties: Vec::new(),
        bookkeeping_properties: Vec::new(),
    };
    Arc::new(ConnectionRoute {
        id: ConnectionId(id),
        project: ProjectId(id),
        trial: trial.map(str::to_owned),
        account: AccountId(1),
        configuration: 0,
        is_read: true,
        mappings: vec![contacts],
        conversion: Conversion::default(),
        fields: Vec::new(),
        fields_by_property: HashMap::new(),
        selection_fields: vec![SelectionFields::default()],
        variable_names: HashMap::new(),
        held: false,
        feeds_by_holds: false,
    })
}

#[test]
fn of_a_page_that_a_version_fails_on_its_connection_gets_what_it_reads_by_itself() {
    let engine = engine();
    let active = engine.load(EMBEDDED).unwrap();
    let trial = engine.load(&misbehaving_as("hubspot", "nothing")).unwrap();
    let digest = trial.digest().to_owned();
    let versions = Versions::built_in(active);
    versions.try_out(trial.into());
    let account = Account {
        connector: "hubspot".into(),
        id: AccountId(1),
        key: "1".into(),
        domain: None,
        region: None,
        time_zone: None,
        configuration: 0,
    };
    let connections = vec![route(1, None), route(2, Some(&digest))];
    let account = AccountRoute::of(&account, connections, true);
    let record = |id: &str, misbehave: &str| {
        json!({
            "id": id, "properties": {}, "misbehave": misbehave, "archived": false,
            "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
        })
    };
    let answer = json!({"results": [record("7", "nothing"), record("8", "trap")]}).to_string();
    let page = prepare_records(
        &account,
        &versions.serving(),
        &"contacts".into(),
        answer.as_bytes(),
        RECEIVED_AT,
    );
    let page = page.unwrap();
    let told = |id: i64| {
        let mut told: Vec<&str> = Vec::new();
        for (route, records) in &page.connections {
            let own = records.iter().filter(|_| route.id == ConnectionId(id));
            told.extend(own.map(|read| read.record.as_str()));
        }
        told
    };
    assert_eq!((told(1), told(2)), (vec!["7", "8"], vec!["7"]));
    assert!(page.misread_for(&"7".into()).is_empty());
    let misread = HashMap::from([(ConnectionId(2), digest)]);
    assert_eq!(page.misread_for(&"8".into()), misread);
    assert_eq!(page.answered.len(), 2);
}

/// Has a version that serves the second connection alone say that a contact was deleted
/// for privacy, which is an event like any other to the active one. Returns the version.
async fn erased_by_a_trial(two: &Two, before: impl AsyncFn()) -> String {
    let account = two.world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("city", "Lyon")];
    let id = account.create("contacts", &values).unwrap();
    two.world.settle().await;
    let trial = two.install(misbehaving_as("hubspot", "nothing")).await;
    two.try_out(&trial).await;
    before().await;
    let erased = json!([{"element": 0, "type": "contacts", "kind": "erased", "at": 1}]);
    let event = json!([{
        "portalId": PORTAL, "objectId": id, "subscriptionType": "contact.propertyChange",
        "occurredAt": Clock::system().now().0, "propertyName": "city", "propertyValue": "Oslo",
        "say": {"changes": erased},
    }]);
    let secret = two.world.sim.app().client_secret;
    let url = two.world.host().url(intake::PATH);
    let status = deliver(url.as_str(), &secret, event.to_string().into()).await;
    assert_eq!(status.unwrap(), 204);
    two.world.settle().await;
    trial
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_version_says_is_deleted_is_not_so_for_one_that_is_paused_beside_it() {
    let two = Two::start().await;
    let side = &two.projects[0];
    let path = format!(
        "/api/v1/projects/{}/connections/{}/pause",
        side.project, side.connection
    );
    let pause = async || {
        let paused = two
            .world
            .send(Method::POST, &path, &side.token, Some(json!({})));
        paused.await.good();
    };
    erased_by_a_trial(&two, pause).await;
    assert_eq!(two.city(1).await, Value::Null);
    assert_eq!(two.city(0).await, json!("Lyon"));
    assert_eq!(two.world.count("SELECT count(*) FROM erasures"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_version_says_is_deleted_for_privacy_is_so_for_its_own_connection_alone() {
    let two = Two::start().await;
    let trial = erased_by_a_trial(&two, async || {}).await;
    assert_eq!(two.city(1).await, Value::Null);
    assert_eq!(two.city(0).await, json!("Oslo"));
    let connection = &two.projects[1].connection;
    let path = format!("/connections/{connection}/activity?outcome=erased");
    assert_eq!(two.of(1, &path).await[0]["plugin"], json!(trial));
    // The log has what the others are to be told again.
    assert_eq!(two.world.count("SELECT count(*) FROM erasures"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_version_may_be_the_one_that_serves_one_connection() {
    let mut two = Two::start().await;
    let otherwise = misbehaving_as("hubspot", "read otherwise");
    let otherwise = two.install(otherwise).await;
    let force = json!({"force": true});
    let path = format!("/{otherwise}/activate");
    let (status, told) = two.operate(Method::POST, &path, force).await;
    assert_eq!(status, 200, "{told}");
    two.try_out(&digest(EMBEDDED)).await;
    two.world.restart().await;
    let account = two.world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("city", "Lyon")];
    account.create("contacts", &values).unwrap();
    for side in [0, 1] {
        let Side {
            project,
            token,
            connection,
            ..
        } = &two.projects[side];
        let path = format!("/api/v1/projects/{project}/connections/{connection}/syncs");
        let full = Some(json!({"kind": "full"}));
        let begun = two.world.send(Method::POST, &path, token, full).await;
        assert_eq!(begun.status, 202, "{}", begun.json);
    }
    let cities = async || (two.city(0).await, two.city(1).await);
    let expected = (json!("LYON"), json!("Lyon"));
    two.world.until(async || cities().await == expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_too_often_is_taken_from_its_connection() {
    let host = BareHost::start(EMBEDDED).await;
    let account = host.connect("1", "city").await;
    let api = Api::of(&host).await;
    let (_, installed) = api.install(misbehaving_as("hubspot", "nothing")).await;
    let bad = installed["digest"].as_str().unwrap().to_owned();
    let connections = host
        .host
        .store
        .read(move |tx| tx.account_connections(account));
    let connection = connections.await.unwrap().remove(0).id;
    let asked = json!({"connection": connection, "force": true});
    let (status, told) = api.post(&format!("/plugins/{bad}/activate"), asked).await;
    assert_eq!(status, 200, "{told}");
    // It is watched by the next host as well.
    let host = BareHost::start_in(host.stop().await, EMBEDDED).await;
    let api = Api::of(&host).await;
    let serves = async || api.get(&format!("/plugins/{bad}")).await.1["serves_alone"].clone();
    assert_eq!(serves().await, json!([connection]));
    let is_taken_back = async || serves().await == json!([]);
    let sent = send_until(&host, trapping, is_taken_back).await;
    // The active one reads what it set aside.
    until(async || host.set_aside().await.is_empty()).await;
    assert_eq!(host.deliver(format!("[{}]", created(sent + 1))).await, 204);
    host.applied().await;
    assert_eq!(
        host.waiting_reads(account).await,
        i64::try_from(sent + 1).unwrap()
    );
    let (_, listed) = api.get("/plugins").await;
    let last = &listed["activations"][0];
    assert_eq!(
        (&last["why"], &last["connection"], &last["before"]),
        (&json!("automatic"), &json!(connection), &json!(bad)),
        "{last}"
    );
    host.stop().await;
}

/// A host with a version installed that is not active, the connection that it may serve,
/// and the version.
async fn with_another() -> (BareHost, String, String) {
    let host = BareHost::start(EMBEDDED).await;
    let account = host.connect("1", "city").await;
    let other = Api::of(&host)
        .await
        .0
        .install(rebuilt(EMBEDDED, "another"))
        .await;
    let connections = host
        .host
        .store
        .read(move |tx| tx.account_connections(account));
    let connection = connections.await.unwrap().remove(0).id;
    (host, connection.to_string(), other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_has_a_version_serve_a_connection_by_the_command_line() {
    let (host, connection, other) = with_another().await;
    let directory = host.directory.path();
    let alone = async || {
        let api = Api::of(&host).await;
        api.get(&format!("/plugins/{other}")).await.1["serves_alone"].clone()
    };
    let short = &other[..8];
    let activate = ["plugin", "activate", short, "--connection", &connection];
    let told = refused(directory, &activate);
    assert!(told.contains("--force"), "{told}");
    let unknown = [
        "plugin",
        "activate",
        short,
        "--force",
        "--connection",
        "con_99",
    ];
    refused(directory, &unknown);
    assert_eq!(alone().await, json!([]));

    let force = [&activate[..], &["--force"]].concat();
    assert!(printed(directory, &force).contains(&other));
    assert_eq!(alone().await, json!([connection]));
    assert_eq!(host.active().digest(), digest(EMBEDDED));
    let listed = printed(directory, &["plugin", "list"]);
    let serves = format!("{} serves {connection} alone", &other[..12]);
    assert!(listed.contains(&serves), "{listed}");
    assert!(refused(directory, &force).contains("active already"));

    let rollback = ["plugin", "rollback", "--connection", &connection];
    printed(directory, &rollback);
    assert_eq!(alone().await, json!([]));
    assert!(!printed(directory, &["plugin", "list"]).contains("alone"));
    let told = refused(directory, &rollback);
    assert!(
        told.contains("no version serves this connection alone"),
        "{told}"
    );
    let inspected = printed(directory, &["plugin", "inspect", short]);
    let begun = format!("became active for {connection} alone");
    let ended = format!("was replaced for {connection} alone");
    assert!(
        inspected.contains(&begun) && inspected.contains(&ended),
        "{inspected}"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_active_version_stands_in_for_one_that_serves_a_connection_and_cannot_be_run() {
    let (host, connection, other) = with_another().await;
    let asked = json!({"connection": connection, "force": true});
    let path = format!("/plugins/{other}/activate");
    let (status, told) = Api::of(&host).await.post(&path, asked).await;
    assert_eq!(status, 200, "{told}");
    let directory = host.stop().await;
    let kept = directory.path().join(format!("plugins/{other}.wasm"));
    let mut damaged = rebuilt(EMBEDDED, "another");
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&kept, damaged).unwrap();
    let host = BareHost::start_in(directory, EMBEDDED).await;
    let api = Api::of(&host).await;
    let (_, told) = api.get(&format!("/plugins/{other}")).await;
    assert_eq!(told["serves_alone"], json!([]), "{told}");
    let directory = host.directory.path();
    let listed = printed(directory, &["plugin", "list"]);
    let was_to = format!("{} was to serve {connection} alone", &other[..12]);
    assert!(listed.contains(&was_to), "{listed}");
    assert!(listed.contains("damaged"), "{listed}");

    assert_eq!(host.deliver(format!("[{}]", created(1))).await, 204);
    host.applied().await;
    let store = rusqlite::Connection::open(directory.join("store.sqlite")).unwrap();
    let sql = "SELECT plugin FROM activity WHERE record IS NOT NULL";
    let reader: String = store.query_one(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(reader, digest(EMBEDDED));
    assert_eq!(host.set_aside().await, []);

    let back = json!({"connection": connection});
    let (status, told) = api.post("/plugins/rollback", back).await;
    assert_eq!(status, 200, "{told}");
    let listed = printed(directory, &["plugin", "list"]);
    assert!(!listed.contains("alone"), "{listed}");
    let (_, listed) = api.get("/plugins").await;
    let last = &listed["activations"][0];
    assert_eq!(
        (&last["why"], &last["connection"], &last["before"]),
        (&json!("rollback"), &json!(connection), &json!(other)),
        "{last}"
    );
    host.stop().await;
}
