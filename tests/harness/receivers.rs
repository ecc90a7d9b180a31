//! Whoever alerts are sent to: an HTTP server and a mail server of the test's
//! own, on loopback.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How long anything may take that should take a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request that came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its path, with its query.
    pub path: String,
    /// Its headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// The body, which is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What came, in order, and how to wait for it.
#[derive(Clone)]
struct Inbox<T> {
    held: Arc<Mutex<Vec<T>>>,
    count: watch::Sender<usize>,
}

impl<T: Clone> Inbox<T> {
    fn new() -> Self {
        Self {
            held: Arc::default(),
            count: watch::Sender::new(0),
        }
    }

    fn add(&self, one: T) {
        self.held.lock().unwrap().push(one);
        self.count.send_modify(|count| *count += 1);
    }

    fn all(&self) -> Vec<T> {
        self.held.lock().unwrap().clone()
    }

    async fn wait_for(&self, count: usize) -> Vec<T> {
        let mut counted = self.count.subscribe();
        let waited = counted.wait_for(|held| *held >= count);
        if tokio::time::timeout(PATIENCE, waited).await.is_err() {
            panic!("{} came, and not {count}", self.all().len());
        }
        self.all()
    }
}

/// An HTTP server that takes whatever is posted.
pub struct HttpReceiver {
    /// Its address.
    pub url: String,
    inbox: Inbox<Request>,
    status: Arc<AtomicU16>,
}

impl HttpReceiver {
    /// Starts one that answers 204.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (inbox, status) = (Inbox::new(), Arc::new(AtomicU16::new(204)));
        let (held, answer) = (inbox.clone(), status.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (held, answer) = (held.clone(), answer.clone());
                tokio::spawn(async move { serve_http(stream, &held, &answer).await });
            }
        });
        Self { url, inbox, status }
    }

    /// What it answers from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// What came.
    pub fn requests(&self) -> Vec<Request> {
        self.inbox.all()
    }

    /// Waits until so many came.
    pub async fn wait_for(&self, count: usize) -> Vec<Request> {
        self.inbox.wait_for(count).await
    }
}

async fn serve_http(stream: TcpStream, inbox: &Inbox<Request>, status: &AtomicU16) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length: usize = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let status = status.load(Ordering::SeqCst);
    let text = if status < 300 { "" } else { "no, thank you" };
    // Before it is answered: who waits for it may go on at once.
    inbox.add(Request {
        path,
        headers,
        body,
    });
    let answer = format!(
        "HTTP/1.1 {status} Answer\r\nLocation: /elsewhere\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    let stream = stream.get_mut();
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// A mail that came.
#[derive(Clone, Debug)]
pub struct ReceivedMail {
    /// Whom the server was told that it is from.
    pub from: String,
    /// Whom it is for.
    pub to: Vec<String>,
    /// Its headers and text.
    pub data: String,
}

/// A mail server that takes whatever it is given, over plain SMTP (RFC 5321).
pub struct MailReceiver {
    /// Its address, as a setting.
    pub url: String,
    inbox: Inbox<ReceivedMail>,
}

impl MailReceiver {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let inbox = Inbox::new();
        let held = inbox.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let held = held.clone();
                tokio::spawn(async move { serve_smtp(stream, &held).await });
            }
        });
        Self { url, inbox }
    }

    /// Waits until so many came.
    pub async fn wait_for(&self, count: usize) -> Vec<ReceivedMail> {
        self.inbox.wait_for(count).await
    }
}

async fn serve_smtp(stream: TcpStream, inbox: &Inbox<ReceivedMail>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut mail = ReceivedMail {
        from: String::new(),
        to: Vec::new(),
        data: String::new(),
    };
    let mut say = "220 mail.test ready".to_owned();
    loop {
        let answer = format!("{say}\r\n");
        stream.get_mut().write_all(answer.as_bytes()).await.ok()?;
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return Some(());
        }
        let address = |line: &str| {
            let inside = line
                .split_once('<')
                .and_then(|(_, rest)| rest.split_once('>'));
            inside.map(|(address, _)| address.to_owned())
        };
        let command = line.trim_end().to_uppercase();
        say = if command.starts_with("EHLO") {
            "250 mail.test".to_owned()
        } else if command.starts_with("MAIL FROM") {
            mail.from = address(&line)?;
            "250 OK".to_owned()
        } else if command.starts_with("RCPT TO") {
            mail.to.push(address(&line)?);
            "250 OK".to_owned()
        } else if command == "DATA" {
            stream.get_mut().write_all(b"354 go on\r\n").await.ok()?;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.ok()?;
                if line == ".\r\n" {
                    break;
                }
                mail.data.push_str(&line);
            }
            inbox.add(mail.clone());
            "250 taken".to_owned()
        } else if command == "QUIT" {
            stream.get_mut().write_all(b"221 bye\r\n").await.ok()?;
            return Some(());
        } else {
            "250 OK".to_owned()
        };
    }
}
