//! The wire between HubSpot and the host, and what goes wrong on it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::durability::random::Random;

/// Longer than the simulator waits for an answer.
const STALL: Duration = Duration::from_millis(400);

/// More than most requests and answers have.
const BYTES_MAX: u64 = 3_000;

/// What goes wrong with a connection.
enum Luck {
    /// Nothing.
    Good,
    /// It is closed at once.
    Refused,
    /// It ends within a request.
    CutRequest(u64),
    /// It ends within an answer: the host took in what it was sent.
    CutAnswer(u64),
    /// Nobody answers for long; then the host gets what nobody waits for.
    Stalled,
}

/// An address that hands connections on to the host, wherever it is.
pub struct Wire {
    /// Its address.
    pub url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    random: Random,
    /// How many of a hundred connections go wrong.
    bad: u64,
    host: Option<SocketAddr>,
}

impl Wire {
    /// Begins, with no host behind.
    pub async fn start(random: Random) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            random,
            bad: 0,
            host: None,
        }));
        let task = tokio::spawn({
            let state = state.clone();
            async move {
                while let Ok((connection, _)) = listener.accept().await {
                    let (host, luck) = state.lock().unwrap().draw();
                    tokio::spawn(carry(connection, host, luck));
                }
            }
        });
        Self { url, state, task }
    }

    /// Where the host is, if it runs.
    pub fn lead_to(&self, host: Option<SocketAddr>) {
        self.state.lock().unwrap().host = host;
    }

    /// How many of a hundred connections go wrong from now on.
    pub fn set_bad(&self, bad: u64) {
        self.state.lock().unwrap().bad = bad;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn draw(&mut self) -> (Option<SocketAddr>, Luck) {
        let bytes = self.random.below(BYTES_MAX);
        let luck = if self.random.below(100) >= self.bad {
            Luck::Good
        } else {
            match self.random.below(4) {
                0 => Luck::Refused,
                1 => Luck::CutRequest(bytes),
                // Few answers are longer.
                2 => Luck::CutAnswer(bytes % 50),
                _ => Luck::Stalled,
            }
        };
        (self.host, luck)
    }
}

/// Hands on what both sides say. Connections end with whoever ends first.
async fn carry(mut sender: TcpStream, host: Option<SocketAddr>, luck: Luck) {
    let (Some(host), false) = (host, matches!(luck, Luck::Refused)) else {
        return;
    };
    let Ok(mut host) = TcpStream::connect(host).await else {
        return;
    };
    match luck {
        Luck::Good | Luck::Refused => {
            let _ = copy_bidirectional(&mut sender, &mut host).await;
        }
        Luck::CutRequest(bytes) => {
            let (from, _to) = sender.split();
            let _ = copy(&mut from.take(bytes), &mut host).await;
        }
        Luck::CutAnswer(bytes) => {
            let (mut from, mut to) = sender.split();
            let (answers, mut requests) = host.split();
            let mut answers = answers.take(bytes);
            tokio::select! {
                _ = copy(&mut from, &mut requests) => {}
                _ = copy(&mut answers, &mut to) => {}
            }
        }
        Luck::Stalled => {
            let mut request = vec![0; 64 * 1_024];
            let read = sender.read(&mut request).await.unwrap_or_default();
            tokio::time::sleep(STALL).await;
            let _ = host.write_all(&request[..read]).await;
        }
    }
}
