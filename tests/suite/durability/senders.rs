//! Sends deliveries over a few connections, and remembers which were answered
//! 204.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
};

use harness::bare::CLIENT_SECRET;
use jimo_connect::{clock::Clock, intake};

/// Deliveries that were answered 204, by connection, in their order.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The sender's port.
    pub port: u16,
    /// Their indices.
    pub answered: Vec<usize>,
}

/// Sends all bodies over so many connections, until one ends. `answered` counts
/// along.
pub fn send(
    url: &str,
    bodies: &[String],
    connections: usize,
    answered: &AtomicUsize,
) -> Vec<Connection> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| send_some(url, bodies, &next, answered)))
            .collect();
        let sent = senders.into_iter().map(|sender| sender.join().unwrap());
        sent.collect()
    })
}

fn send_some(
    url: &str,
    bodies: &[String],
    next: &AtomicUsize,
    answered: &AtomicUsize,
) -> Connection {
    let mut connection = Connection::default();
    // The host may be gone already.
    let Ok(mut stream) = TcpStream::connect(url.trim_start_matches("http://")) else {
        return connection;
    };
    stream.set_nodelay(true).unwrap();
    connection.port = stream.local_addr().unwrap().port();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(body) = bodies.get(index) else {
            return connection;
        };
        match exchange(&mut stream, &request(url, body)) {
            Some(answer) if answer.starts_with("HTTP/1.1 204 ") => {
                connection.answered.push(index);
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Some(answer) => panic!("{answer}"),
            // It was killed: nobody knows whether it took this one in.
            None => return connection,
        }
    }
}

/// Sends a request, and returns the head of its answer where one comes.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Option<String> {
    stream.write_all(request).ok()?;
    let mut answer = Vec::new();
    let mut part = [0; 4_096];
    // What is answered 204 has no body.
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(read) => answer.extend_from_slice(&part[..read]),
        }
    }
    String::from_utf8(answer).ok()
}

fn request(url: &str, body: &str) -> Vec<u8> {
    let now = Clock::system().now().0;
    let target = format!("{url}{}", intake::PATH);
    let signature = hubspot_sim::sign_v3(CLIENT_SECRET, "POST", &target, body.as_bytes(), now);
    format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nX-HubSpot-Request-Timestamp: {now}\r\n\
         X-HubSpot-Signature-v3: {signature}\r\n\r\n{body}",
        intake::PATH,
        url.trim_start_matches("http://"),
        body.len(),
    )
    .into_bytes()
}
