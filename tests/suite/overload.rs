//! Abuse of the open endpoint, and more deliveries than can be taken: good ones
//! keep being answered, memory stays bounded, and nothing that got 204 is lost.

use std::{env, net::SocketAddr, time::Duration};

use harness::{
    bare::{APP_ID, CLIENT_SECRET, client},
    program::Program,
};
use jimo_connect::{
    clock::Clock,
    log::{EventLog, Position},
};
use reqwest::Url;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex,
    task::JoinSet,
};

/// How long HubSpot waits for an answer.
const HUBSPOT_WAITS: Duration = Duration::from_secs(5);

/// How long a sender waits that is held up on purpose.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections that each abuse opens. `JIMO_TEST_CONNECTIONS` says another
/// number; the tests need as many open files.
const CONNECTIONS: usize = 600;

/// One abuse at a time, so that this process has files enough for all of it.
static ABUSE: Mutex<()> = Mutex::const_new(());

/// Deliveries that a good sender makes after each step of an abuse.
const DELIVERIES: usize = 10;

/// Bad signatures that each of a few connections sends.
const SIGNATURES: usize = 400;

const MEBIBYTE: usize = 1 << 20;

/// The program, and where its data is.
struct Endpoint {
    program: Program,
    directory: TempDir,
}

impl Endpoint {
    fn start() -> Self {
        Self::start_with(Program::start)
    }

    /// One that may have a third as many files open as there are hostile
    /// connections.
    fn start_small() -> Self {
        let open_max = connections() / 3;
        Self::start_with(|directory, settings| Program::start_within(open_max, directory, settings))
    }

    fn start_with(start: impl Fn(&std::path::Path, &[(&str, &str)]) -> Program) -> Self {
        let directory = TempDir::new().unwrap();
        let app_id = APP_ID.to_string();
        let settings = [
            ("HUBSPOT_CLIENT_ID", "client"),
            ("HUBSPOT_CLIENT_SECRET", CLIENT_SECRET),
            ("HUBSPOT_APP_ID", app_id.as_str()),
            ("JIMO_LOG", "warn"),
        ];
        let program = start(directory.path(), &settings);
        Self { program, directory }
    }

    fn address(&self) -> SocketAddr {
        let url: Url = self.program.url.parse().unwrap();
        url.socket_addrs(|| None).unwrap()[0]
    }

    fn webhooks(&self) -> String {
        format!("{}/webhooks/hubspot", self.program.url)
    }

    /// Sends a few good deliveries, which are all taken while HubSpot waits.
    async fn takes_good_ones(&self) {
        for number in 0..DELIVERIES {
            let (status, _) = deliver(&self.webhooks(), event(number, 0), HUBSPOT_WAITS).await;
            assert_eq!(status, 204);
        }
    }

    /// The head of a request for a body of so many bytes, whose signature is
    /// that of another one.
    fn head(&self, length: usize) -> Vec<u8> {
        self.signed_head(length, b"")
    }

    /// A whole request.
    fn request(&self, body: &[u8]) -> Vec<u8> {
        [&self.signed_head(body.len(), body), body].concat()
    }

    fn signed_head(&self, length: usize, body: &[u8]) -> Vec<u8> {
        let now = Clock::system().now().0;
        let signature = hubspot_sim::sign_v3(CLIENT_SECRET, "POST", &self.webhooks(), body, now);
        let head = format!(
            "POST /webhooks/hubspot HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\
             X-HubSpot-Signature-v3: {signature}\r\nX-HubSpot-Request-Timestamp: {now}\r\n\r\n"
        );
        head.into_bytes()
    }

    /// What a metric stands at.
    async fn metric(&self, name: &str) -> String {
        let metrics = format!("{}/metrics", self.program.url);
        let text = client().get(&metrics).send().await.unwrap().text().await;
        let text = text.unwrap();
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let found = lines.find(|(found, _)| *found == name);
        found.unwrap_or_else(|| panic!("no {name}")).1.to_owned()
    }

    /// Waits until the pipeline has done all that is in the log.
    async fn applied(&self) {
        while self.metric("jimo_connect_log_waiting").await != "0" {}
    }

    /// How many deliveries the log has, once the program has ended.
    async fn logged(self) -> usize {
        self.program.kill();
        let log = EventLog::open(self.directory.path()).await.unwrap();
        let logged = log.read(Position(0), usize::MAX, usize::MAX).await;
        logged.unwrap().len()
    }
}

/// Sends a delivery on a connection of its own, as HubSpot would, and returns
/// the answer: its status, and whether it says when to come back.
async fn deliver(url: &str, body: Vec<u8>, waits: Duration) -> (u16, bool) {
    let now = Clock::system().now().0;
    let signature = hubspot_sim::sign_v3(CLIENT_SECRET, "POST", url, &body, now);
    let answer = client()
        .post(url)
        .header("X-HubSpot-Signature-v3", signature)
        .header("X-HubSpot-Request-Timestamp", now)
        .timeout(waits)
        .body(body)
        .send()
        .await
        .unwrap();
    let comes_back = answer.headers().contains_key("retry-after");
    (answer.status().as_u16(), comes_back)
}

/// Sends a request, and goes away without waiting for more than that the other
/// side has noticed.
async fn send_and_go(address: SocketAddr, request: Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be refused before it is sent.
    let _ = stream.write_all(&request).await;
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// A delivery of one event, with room in it for so many bytes.
fn event(number: usize, bytes: usize) -> Vec<u8> {
    let event = format!(
        r#"[{{"eventId":{number},"portalId":62515,"appId":{APP_ID},"occurredAt":1564113600000,"subscriptionType":"contact.creation","objectId":123}}"#
    );
    let mut body = event.into_bytes();
    body.resize(body.len() + bytes, b' ');
    body.push(b']');
    body
}

fn connections() -> usize {
    let told = env::var("JIMO_TEST_CONNECTIONS").ok();
    told.map_or(CONNECTIONS, |told| told.parse().expect("a number"))
}

/// Opens hostile connections, each with something to begin with, and goes on
/// with something more a few times. A good sender's deliveries are all taken.
async fn check_abuse(begins: impl Fn(&Endpoint) -> Vec<u8>, goes_on: &[u8]) {
    let _files = ABUSE.lock().await;
    let endpoint = Endpoint::start_small();
    let mut open = Vec::new();
    for _ in 0..connections() {
        let mut stream = TcpStream::connect(endpoint.address()).await.unwrap();
        // It may have been closed for another one.
        let _ = stream.write_all(&begins(&endpoint)).await;
        open.push(stream);
    }
    endpoint.takes_good_ones().await;
    for _ in 0..3 {
        for stream in &open {
            let _ = stream.try_write(goes_on);
        }
        endpoint.takes_good_ones().await;
    }
    assert_ne!(
        endpoint
            .metric("jimo_connect_connections_let_go_total")
            .await,
        "0"
    );
    assert_eq!(endpoint.logged().await, 4 * DELIVERIES);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_send_keep_nobody_out() {
    check_abuse(|_| Vec::new(), b"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_drip_keep_nobody_out() {
    let begun = b"POST /webhooks/hubspot HTTP/1.1\r\nHost: x\r\nX-Drip: ";
    check_abuse(|_| begun.to_vec(), b"x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_drip_keep_nobody_out() {
    check_abuse(|endpoint| endpoint.head(MEBIBYTE), b"[").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ask_little_and_often_keep_nobody_out() {
    let asks = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    check_abuse(|_| asks.to_vec(), asks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_read_their_answers_keep_nobody_out() {
    let asks = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20);
    check_abuse(|_| asks.clone(), &asks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_over_16_kibibytes_are_answered_431_and_those_within_are_taken() {
    let endpoint = Endpoint::start();
    let answered = async |bytes: usize| {
        let mut stream = TcpStream::connect(endpoint.address()).await.unwrap();
        let long = "x".repeat(bytes);
        let request = format!("GET /health/live HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n");
        // It may be answered before it is sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        answer
    };
    assert_eq!(&answered(16 * 1_024 - 128).await, b"HTTP/1.1 200");
    assert_eq!(&answered(16 * 1_024).await, b"HTTP/1.1 431");
    assert_eq!(&answered(MEBIBYTE).await, b"HTTP/1.1 431");
    endpoint.takes_good_ones().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_bad_signatures_is_refused_and_hardly_mentioned() {
    let endpoint = Endpoint::start();
    let mut flood = JoinSet::new();
    for _ in 0..16 {
        let (address, mut bad) = (endpoint.address(), endpoint.head(2));
        bad.extend_from_slice(b"[]");
        flood.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            for _ in 0..SIGNATURES {
                stream.write_all(&bad).await.unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(b"does not match") {
                    answer.push(stream.read_u8().await.unwrap());
                }
                assert!(answer.starts_with(b"HTTP/1.1 401"));
            }
        });
    }
    while flood.try_join_next().is_none() {
        endpoint.takes_good_ones().await;
    }
    let flooded = flood.join_all().await.len();
    assert!(flooded >= 15);
    let log = endpoint.program.log();
    let start = "nobody has an account yet";
    let lines = log.lines().filter(|line| !line.contains(start)).count();
    assert!(lines <= 2, "{lines} lines");
    assert!(log.contains("a delivery's signature does not match"));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_that_stop_coming_give_way_to_deliveries() {
    let endpoint = Endpoint::start();
    let part = vec![b' '; 8 * MEBIBYTE];
    let mut senders = JoinSet::new();
    for _ in 0..40 {
        let (address, head, part) = (
            endpoint.address(),
            endpoint.head(32 * MEBIBYTE),
            part.clone(),
        );
        senders.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // Those that came before have to give way.
            let _ = stream.write_all(&head).await;
            let _ = stream.write_all(&part).await;
            stream
        });
    }
    let open = senders.join_all().await;
    assert_eq!(open.len(), 40);
    endpoint.takes_good_ones().await;
    let held = endpoint.program.memory() / MEBIBYTE as u64;
    assert!(held < 320, "{held} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn past_what_the_log_can_take_the_answer_is_503_and_memory_is_bounded_and_nothing_is_lost() {
    let endpoint = Endpoint::start();
    endpoint.takes_good_ones().await;
    let mut taken = DELIVERIES;

    // As another process that writes would hold it up.
    let file = endpoint.directory.path().join("log.sqlite");
    let other = rusqlite::Connection::open(file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Senders that go away leave what they sent to wait for the log all the same.
    let body = event(0, MEBIBYTE);
    for _ in 0..12 {
        let mut senders = JoinSet::new();
        for _ in 0..60 {
            senders.spawn(send_and_go(endpoint.address(), endpoint.request(&body)));
        }
        senders.join_all().await;
    }
    let mut senders = JoinSet::new();
    for number in 0..200 {
        let url = endpoint.webhooks();
        senders.spawn(async move { deliver(&url, event(number, MEBIBYTE), PATIENCE).await });
    }
    let mut answers = Vec::new();
    while !answers.iter().any(|(status, _)| *status == 503) {
        answers.push(senders.join_next().await.expect("a refusal").unwrap());
    }
    let held = endpoint.program.memory() / MEBIBYTE as u64;
    assert!(held < 320, "{held} MiB");
    drop(other);
    answers.extend(senders.join_all().await);
    for (status, comes_back) in answers {
        match status {
            204 => taken += 1,
            503 => assert!(comes_back),
            other => panic!("{other}"),
        }
    }
    endpoint.takes_good_ones().await;
    taken += DELIVERIES;
    endpoint.applied().await;
    let logged = endpoint.logged().await;
    assert!(logged >= taken, "{logged} of {taken}");
}
