//! What the webhook endpoint takes in, and what it refuses.

use harness::bare::{BareHost, CLIENT_SECRET, client, deliver};
use jimo_connect::{clock::Clock, plugin::EMBEDDED};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const DELIVERY: &str = r#"[{"eventId":1,"portalId":62515,"appId":54321,"occurredAt":1564113600000,"subscriptionType":"contact.creation","objectId":123}]"#;

async fn send(host: &BareHost, headers: &[(&str, &str)], body: &str) -> u16 {
    let mut request = client().post(host.webhooks()).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

fn sign(host: &BareHost, body: &str, stamp: i64) -> String {
    hubspot_sim::sign_v3(
        CLIENT_SECRET,
        "POST",
        &host.webhooks(),
        body.as_bytes(),
        stamp,
    )
}

fn stamp(milliseconds_ago: i64) -> i64 {
    Clock::system().now().0 - milliseconds_ago
}

#[tokio::test]
async fn a_signed_delivery_is_answered_204_and_is_in_the_log() {
    let host = BareHost::start(EMBEDDED).await;
    assert_eq!(host.deliver(DELIVERY).await, 204);
    let logged = host
        .host
        .log
        .read(jimo_connect::log::Position(0), 10, usize::MAX)
        .await
        .unwrap();
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].body, DELIVERY.as_bytes());
    host.stop().await;
}

#[tokio::test]
async fn what_no_connection_knows_is_answered_204_and_dropped_behind() {
    let host = BareHost::start(EMBEDDED).await;
    assert_eq!(host.deliver(DELIVERY).await, 204);
    host.applied().await;
    assert!(
        host.host
            .store
            .read(|tx| tx.all_set_aside())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        host.host
            .metrics
            .render()
            .contains("unknown_account_events_total 1")
    );
    host.stop().await;
}

#[tokio::test]
async fn a_bad_stale_or_missing_signature_is_answered_401() {
    let host = BareHost::start(EMBEDDED).await;
    let now = stamp(0);
    let good = sign(&host, DELIVERY, now);
    let now = now.to_string();
    let (signature, timestamp) = ("X-HubSpot-Signature-v3", "X-HubSpot-Request-Timestamp");
    assert_eq!(send(&host, &[], DELIVERY).await, 401);
    assert_eq!(send(&host, &[(signature, &good)], DELIVERY).await, 401);
    assert_eq!(
        send(&host, &[(signature, &good), (timestamp, &now)], "[]").await,
        401
    );
    let stale = stamp(301_000);
    let old = sign(&host, DELIVERY, stale);
    let stale = stale.to_string();
    assert_eq!(
        send(&host, &[(signature, &old), (timestamp, &stale)], DELIVERY).await,
        401
    );
    let v1 = hubspot_sim::sign_v1(CLIENT_SECRET, DELIVERY.as_bytes());
    assert_eq!(
        send(&host, &[("X-HubSpot-Signature", &v1)], DELIVERY).await,
        401
    );
    assert_eq!(
        send(&host, &[(signature, &good), (timestamp, &now)], DELIVERY).await,
        204
    );
    host.stop().await;
}

#[tokio::test]
async fn another_apps_delivery_is_refused() {
    let host = BareHost::start(EMBEDDED).await;
    assert_eq!(host.deliver(DELIVERY.replace("54321", "99")).await, 401);
    host.stop().await;
}

#[tokio::test]
async fn what_is_no_delivery_at_all_is_answered_400() {
    let host = BareHost::start(EMBEDDED).await;
    for body in ["", "{}", "hello", "[1"] {
        assert_eq!(host.deliver(body).await, 400, "{body}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_body_over_32_mebibytes_is_answered_413_and_one_within_is_taken() {
    let host = BareHost::start(EMBEDDED).await;
    let mut body = vec![b' '; 32 << 20];
    body[0] = b'[';
    *body.last_mut().unwrap() = b']';
    assert_eq!(host.deliver(body.clone()).await, 204);
    body.insert(1, b' ');
    // A sender that is cut off while it sends may not see the answer.
    let answer = deliver(&host.webhooks(), CLIENT_SECRET, body).await;
    assert!(answer.is_err() || answer.unwrap().as_u16() == 413);
    host.stop().await;
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_answered_before_the_body_is_read() {
    let host = BareHost::start(EMBEDDED).await;
    let address = host.host.public_url.socket_addrs(|| None).unwrap()[0];
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let now = stamp(0);
    let head = format!(
        "POST /webhooks/hubspot HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\
         X-HubSpot-Signature-v3: {}\r\nX-HubSpot-Request-Timestamp: {now}\r\n\r\n",
        sign(&host, "", now),
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    host.stop().await;
}

#[tokio::test]
async fn bodies_that_are_announced_and_never_sent_keep_nobody_out() {
    let host = BareHost::start(EMBEDDED).await;
    let address = host.host.public_url.socket_addrs(|| None).unwrap()[0];
    let now = stamp(0);
    let head = format!(
        "POST /webhooks/hubspot HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\
         X-HubSpot-Signature-v3: {}\r\nX-HubSpot-Request-Timestamp: {now}\r\n\r\n[",
        32 << 20,
        sign(&host, "", now),
    );
    let mut idle = Vec::new();
    for _ in 0..64 {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        idle.push(stream);
    }
    assert_eq!(host.deliver(DELIVERY).await, 204);
    // And they are cut off.
    for stream in &mut idle {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
    }
    host.stop().await;
}

#[tokio::test]
async fn the_signature_covers_the_configured_address_with_its_query() {
    let host = BareHost::start(EMBEDDED).await;
    let url = format!("{}?next=https%3A%2F%2Fx.example%2Fa", host.webhooks());
    // HubSpot decodes some characters of the address before it signs.
    assert_eq!(
        deliver(&url, CLIENT_SECRET, DELIVERY.into())
            .await
            .unwrap()
            .as_u16(),
        204
    );
    let now = stamp(0);
    let without = sign(&host, DELIVERY, now);
    let answer = client()
        .post(&url)
        .header("X-HubSpot-Signature-v3", without)
        .header("X-HubSpot-Request-Timestamp", now)
        .body(DELIVERY)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    host.stop().await;
}
