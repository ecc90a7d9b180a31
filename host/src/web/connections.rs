//! Open connections: how many there may be, and which has to go for a new one.
//!
//! A connection waits for its peer, for a request or the rest of one, or its
//! peer waits for us. Where there are as many as may be, those that have kept us
//! waiting longest go, as nginx does with what it calls reusable: one who holds
//! thousands open keeps nobody out, and nobody is told by an address, since
//! behind a proxy all have one. Whoever has sent a whole request is let be, and those
//! who have shown who they are go after all others.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// One of so many that wait goes at once: making room for one alone would look
/// through all of them for each that comes.
const ONE_GOES_OF: usize = 32;

/// How soon is looked again where all that are open are being worked for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The turn of a connection that does not wait for its peer, or was told to go.
const NO_TURN: u64 = u64::MAX;

/// All connections of a listener.
pub struct Connections {
    room: Arc<Semaphore>,
    open: Mutex<HashMap<u64, Arc<State>>>,
    /// Given out one by one to those that begin to wait: the lowest has waited
    /// longest.
    next_turn: AtomicU64,
    let_go: Counter,
}

/// What is known of one connection.
struct State {
    turn: AtomicU64,
    known: AtomicBool,
    goes: Notify,
}

impl Connections {
    /// At most so many. Those that have to go are counted.
    pub fn new(open_max: usize, let_go: Counter) -> Arc<Self> {
        Arc::new(Self {
            room: Arc::new(Semaphore::new(open_max)),
            open: Mutex::default(),
            next_turn: AtomicU64::new(0),
            let_go,
        })
    }

    /// A place for one more, as soon as there is one.
    pub async fn place(self: &Arc<Self>) -> Place {
        loop {
            if let Ok(room) = self.room.clone().try_acquire_owned() {
                return self.take(room);
            }
            self.make_room();
            tokio::select! {
                Ok(room) = self.room.clone().acquire_owned() => return self.take(room),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Tells those that have kept us waiting longest to go, of those who are known to
    /// nobody first.
    pub fn make_room(&self) {
        let rank = |state: &Arc<State>| {
            let turn = state.turn.load(Ordering::Relaxed);
            (state.known.load(Ordering::Relaxed), turn, state.clone())
        };
        let mut waiting: Vec<_> = self.lock().values().map(rank).collect();
        waiting.retain(|(_, turn, _)| *turn != NO_TURN);
        waiting.sort_unstable_by_key(|(known, turn, _)| (*known, *turn));
        waiting.truncate(waiting.len().div_ceil(ONE_GOES_OF));
        for (_, turn, state) in &waiting {
            // Its request may have come meanwhile.
            let goes =
                state
                    .turn
                    .compare_exchange(*turn, NO_TURN, Ordering::Relaxed, Ordering::Relaxed);
            if goes.is_ok() {
                state.goes.notify_one();
                self.let_go.inc();
            }
        }
    }

    fn take(self: &Arc<Self>, room: OwnedSemaphorePermit) -> Place {
        let id = self.next_turn.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(State {
            turn: AtomicU64::new(id),
            known: AtomicBool::new(false),
            goes: Notify::new(),
        });
        self.lock().insert(id, state.clone());
        Place {
            id,
            watch: Watch {
                connections: self.clone(),
                state,
            },
            _room: room,
        }
    }

    /// No code panics while it holds this lock; what it guards is whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<State>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among those that are open, left when it is dropped.
pub struct Place {
    id: u64,
    watch: Watch,
    _room: OwnedSemaphorePermit,
}

impl Place {
    /// Says when the connection waits, and when it does not.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Resolves once the connection has to go.
    pub async fn goes(&self) {
        self.watch.state.goes.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.watch.connections.lock().remove(&self.id);
    }
}

/// Watches whose turn it is on one connection.
#[derive(Clone)]
pub struct Watch {
    connections: Arc<Connections>,
    state: Arc<State>,
}

impl Watch {
    /// The peer has sent something whole, and more is waited for.
    fn waits(&self) {
        let turn = self.connections.next_turn.fetch_add(1, Ordering::Relaxed);
        self.state.turn.store(turn, Ordering::Relaxed);
    }

    /// It is ours to do something.
    fn works(&self) {
        self.state.turn.store(NO_TURN, Ordering::Relaxed);
    }

    /// The peer has shown who it is.
    pub fn is_known(&self) {
        self.state.known.store(true, Ordering::Relaxed);
    }

    /// A request's body; the peer is waited for until it is whole, or nobody
    /// wants it any more.
    pub fn request<B: Body>(&self, body: B) -> Watched<B> {
        if body.is_end_stream() {
            self.works();
            return Watched::new(body, None);
        }
        self.waits();
        Watched::new(body, Some(Then::Work(self.clone())))
    }

    /// An answer's body; the next request is waited for once it is handed over.
    pub fn answer<B: Body>(&self, body: B) -> Watched<B> {
        Watched::new(body, Some(Then::Wait(self.clone())))
    }
}

/// What follows a body.
enum Then {
    Work(Watch),
    Wait(Watch),
}

/// A body whose end is noticed.
pub struct Watched<B> {
    body: B,
    then: Option<Then>,
}

impl<B> Watched<B> {
    fn new(body: B, then: Option<Then>) -> Self {
        Self { body, then }
    }

    fn ends(&mut self) {
        match self.then.take() {
            Some(Then::Work(watch)) => watch.works(),
            Some(Then::Wait(watch)) => watch.waits(),
            None => {}
        }
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.ends();
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() {
            self.ends();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};

    use super::*;

    /// Whether a connection was told to go.
    fn is_told(place: &Place) -> bool {
        let told = std::pin::pin!(place.goes());
        let mut context = Context::from_waker(std::task::Waker::noop());
        told.poll(&mut context).is_ready()
    }

    fn at_most(open_max: usize) -> Arc<Connections> {
        Connections::new(open_max, Counter::default())
    }

    /// How many are told to go when room has to be made.
    fn told(connections: &Connections) -> u64 {
        let before = connections.let_go.get();
        connections.make_room();
        connections.let_go.get() - before
    }

    async fn places(connections: &Arc<Connections>, count: usize) -> Vec<Place> {
        let mut places = Vec::new();
        for _ in 0..count {
            places.push(connections.place().await);
        }
        places
    }

    #[tokio::test]
    async fn those_that_wait_longest_go_for_a_new_one() {
        let connections = at_most(3);
        let mut open = places(&connections, 3).await;
        // The first one asked for something, and was answered.
        let request = open[0].watch().request(Full::new(Bytes::from("body")));
        request.collect().await.expect("a body");
        drop(open[0].watch().answer(Full::new(Bytes::new())));
        let newest = connections.place();
        let goes = async {
            open[1].goes().await;
            drop(open.remove(1));
        };
        let (newest, ()) = tokio::join!(newest, goes);
        assert!(!open.iter().any(is_told) && !is_told(&newest));
        assert_eq!(connections.lock().len(), 3);
    }

    #[tokio::test]
    async fn whoever_has_sent_a_whole_request_is_let_be() {
        let connections = at_most(2);
        let open = places(&connections, 2).await;
        let whole = open[0].watch().request(Full::new(Bytes::from("body")));
        whole.collect().await.expect("a body");
        drop(open[1].watch().request(Full::new(Bytes::new())));
        assert_eq!(told(&connections), 0);
        let answer = open[1].watch().answer(Full::new(Bytes::from("answer")));
        assert_eq!(told(&connections), 0);
        drop(answer);
        assert_eq!(told(&connections), 1);
        assert!(is_told(&open[1]) && !is_told(&open[0]));
        // Nobody is told twice.
        assert_eq!(told(&connections), 0);
    }

    #[tokio::test]
    async fn one_whose_body_does_not_come_can_be_let_go() {
        let connections = at_most(1);
        let open = connections.place().await;
        let _body = open.watch().request(Full::new(Bytes::from("body")));
        assert_eq!(told(&connections), 1);
    }

    #[tokio::test]
    async fn those_who_are_known_go_after_all_others() {
        let connections = at_most(3);
        let open = places(&connections, 3).await;
        open[0].watch().is_known();
        for goes in [1, 2, 0] {
            assert_eq!(told(&connections), 1);
            assert!(is_told(&open[goes]), "{goes}");
        }
    }

    #[tokio::test]
    async fn a_few_of_many_go_at_once() {
        let connections = at_most(100);
        let open = places(&connections, 100).await;
        assert_eq!(told(&connections), 4);
        let are_told: Vec<_> = open.iter().map(is_told).collect();
        assert!(!are_told[..4].contains(&false) && !are_told[4..].contains(&true));
    }
}
