//! Whose turn it is: what waits in the log becomes batches in which no account
//! waits for another's flood.
//!
//! While one account alone is at work, a batch takes all that fits a
//! transaction. While several are, it takes a turn of each, so that it is short;
//! and those of whom nothing was waiting go before those who have a queue, every
//! second time without them (as fair queueing does with sparse flows, RFC 8290
//! §4). Whoever comes while a batch is being applied is prepared beside it, and
//! follows it at once, unless a turn's worth of others does. So who has nothing waiting
//! waits for a short batch, and until one is prepared. Whoever comes while one account
//! has long been alone waits for the batch that is being applied, too, and until the
//! next one is prepared, which then gives way.
//!
//! An account that a plugin ran too long on gives way for a while, and one of which
//! something cannot be applied is worked on by itself ([`trouble`](super::trouble)).
//!
//! Only so many entries are known to wait: beyond a million of them, accounts
//! are served in the order of the log.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use super::trouble::{Stuck, Trouble};
use crate::{
    log::{Lane, Listed, Place, Position, Step},
    model::Timestamp,
};

/// Entries of the log that one transaction takes: enough that its sync costs
/// little for each, few enough that none waits long for the last.
const BATCH_ENTRIES_MAX: usize = 10_000;

/// Bytes of entries that one transaction takes: some 50,000 changes, which are
/// applied within a second. The more there are, the more of them share a page
/// that has to be written.
const BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of one lane in a batch, while several are at work, and of all that is taken
/// beside it: a delivery of 100 changes, which are applied within ten milliseconds.
pub(super) const TURN_BYTES_MAX: u64 = 32 * 1024;

/// How long after several lanes were at work the next batches are short.
const SHARED_FOR: Duration = Duration::from_secs(60);

/// Entries that are known to wait. More are in the log, and come to be known as
/// these are done.
const KNOWN_MAX: usize = 1_000_000;

/// What is known to wait, by lane.
pub struct Turns {
    /// What was done before the first entry was heard of, and the place since.
    begun: Place,
    /// The last entry that was heard of.
    heard: Position,
    /// The lane of that entry.
    newest: Option<Lane>,
    /// When entries of several lanes came last.
    shared_at: Option<Timestamp>,
    waiting: HashMap<Lane, VecDeque<Listed>>,
    /// The lanes that have something waiting of which nothing was before.
    fresh: VecDeque<Lane>,
    /// The other lanes that have something waiting; the first is next.
    order: VecDeque<Lane>,
    /// Whether these were passed over by the last batch.
    passed_over: bool,
    known: usize,
    pub(super) trouble: Trouble,
}

/// Entries that make a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The entries, in order.
    pub entries: Vec<Listed>,
    /// How the place in the log moves with them.
    pub step: Step,
}

impl Turn {
    /// The lanes that are in it.
    pub fn lanes(&self) -> impl Iterator<Item = Lane> {
        self.step.lanes.iter().map(|(lane, _)| *lane)
    }

    /// Bytes of the entries.
    pub fn bytes(&self) -> u64 {
        self.entries
            .iter()
            .map(|entry| u64::from(entry.bytes))
            .sum()
    }
}

impl Turns {
    /// Nothing is known to wait yet, after a place.
    pub fn new(begun: Place) -> Self {
        Self {
            heard: begun.up_to,
            begun,
            newest: None,
            shared_at: None,
            waiting: HashMap::new(),
            fresh: VecDeque::new(),
            order: VecDeque::new(),
            passed_over: false,
            known: 0,
            trouble: Trouble::default(),
        }
    }

    /// Begins again after a place, and keeps in mind who makes trouble.
    pub fn begin(&mut self, begun: Place) {
        let mut trouble = std::mem::take(&mut self.trouble);
        trouble.begin(&begun);
        *self = Self {
            trouble,
            ..Self::new(begun)
        };
    }

    /// The last entry that was heard of: what comes after it is to be told.
    pub fn heard(&self) -> Position {
        self.heard
    }

    /// How many entries more may be told. What was put back may leave none.
    pub fn room(&self) -> usize {
        KNOWN_MAX.saturating_sub(self.known)
    }

    /// Everything up to here is taken.
    pub fn taken(&self) -> Position {
        let waits = self.waiting.values().filter_map(VecDeque::front);
        waits
            .map(|first| Position(first.position.0 - 1))
            .chain(self.trouble.done_up_to())
            .fold(self.heard, Position::min)
    }

    /// Hears of the entries that come next in the log.
    pub fn hear(&mut self, entries: Vec<Listed>, now: Timestamp) {
        for entry in entries {
            self.heard = entry.position;
            // What waits behind what is stuck is heard of once that is done.
            if self.begun.is_done(&entry) || self.trouble.is_stuck(entry.lane) {
                continue;
            }
            let lane = self.waiting.entry(entry.lane).or_default();
            if lane.is_empty() {
                self.fresh.push_back(entry.lane);
            }
            lane.push_back(entry);
            self.known += 1;
            let follows_another = self.newest.is_some_and(|newest| newest != entry.lane);
            if follows_another || self.waiting.len() > 1 {
                self.shared_at = Some(now);
            }
            self.newest = Some(entry.lane);
        }
    }

    /// The next batch; none where nothing is known to wait.
    pub fn take(&mut self, now: Timestamp) -> Option<Turn> {
        if let Some(entry) = self.trouble.next_try(now) {
            return Some(Turn {
                entries: vec![entry],
                step: Step {
                    up_to: self.taken(),
                    lanes: vec![(entry.lane, entry.position)],
                },
            });
        }
        let behind = self.giving_way(now);
        let turn_bytes = if self.is_shared(now) {
            TURN_BYTES_MAX
        } else {
            BATCH_BYTES_MAX
        };
        let mut lanes = std::mem::take(&mut self.fresh);
        self.passed_over = !lanes.is_empty() && !self.order.is_empty() && !self.passed_over;
        if !self.passed_over {
            // These first, or they could starve behind new ones.
            self.order.append(&mut lanes);
            lanes = std::mem::take(&mut self.order);
        }
        let mut batch = Batch::default();
        while !batch.is_full()
            && let Some(lane) = lanes.pop_front()
        {
            let alone = self.trouble.alone(lane);
            if alone.is_some() && !batch.entries.is_empty() {
                lanes.push_front(lane);
                break;
            }
            self.fill(&mut batch, lane, turn_bytes, alone.unwrap_or(usize::MAX));
            if alone.is_some() {
                break;
            }
        }
        // Those that the batch has no room for are next.
        lanes.append(&mut self.order);
        lanes.extend(behind);
        self.order = lanes;
        self.turn(batch, self.heard)
    }

    /// A small batch of those of whom nothing was waiting, to be applied beside others that
    /// are under way, and whatever becomes of them: it has nothing of their lanes, which
    /// are `busy`, and the place does not move with it, but for its lanes'. Only its last
    /// entry may pass `bytes_max`.
    pub fn take_beside(
        &mut self,
        busy: &HashSet<Lane>,
        bytes_max: u64,
        now: Timestamp,
    ) -> Option<Turn> {
        let slow = self.trouble.giving_way(now);
        let mut batch = Batch::default();
        for lane in std::mem::take(&mut self.fresh) {
            let room = bytes_max.saturating_sub(batch.bytes);
            let waits = room == 0
                || slow.contains(&lane)
                || self.trouble.alone(lane).is_some()
                || busy.contains(&lane);
            if waits {
                self.fresh.push_back(lane);
            } else {
                self.fill(&mut batch, lane, room, usize::MAX);
            }
        }
        self.turn(batch, self.begun.up_to)
    }

    /// What was taken and not done waits again, before everything else. Of
    /// several turns the last taken is put back first.
    pub fn put_back(&mut self, turn: Turn) {
        if let [entry] = turn.entries[..]
            && self.trouble.put_back(&entry)
        {
            return;
        }
        self.known += turn.entries.len();
        for entry in turn.entries.into_iter().rev() {
            let lane = self.waiting.entry(entry.lane).or_default();
            if lane.is_empty() {
                self.order.push_front(entry.lane);
            }
            lane.push_front(entry);
        }
    }

    /// What was taken could not be applied, for something that it holds: it waits
    /// again, lane by lane, or by itself. Returns the entry at fault where it is known.
    pub fn failed(&mut self, turn: Turn, is_damage: bool, now: Timestamp) -> Option<Stuck> {
        let entries = turn.entries.clone();
        self.put_back(turn);
        let stuck = self.trouble.failed(&entries, is_damage, now)?;
        // It may be long: what waits behind the entry is in the log.
        let waiting = self.waiting.remove(&stuck.entry.lane).unwrap_or_default();
        self.known -= waiting.len();
        Some(stuck)
    }

    /// What was taken is applied. Returns whether [`Self::begin`] is to be called
    /// before anything else is taken, for a lane may go on of which more is in the log.
    #[must_use]
    pub fn applied(&mut self, turn: &Turn) -> bool {
        self.placed(&turn.step);
        self.trouble.applied(&turn.entries)
    }

    /// How the place moves where nothing is under way: what was applied beside other turns
    /// left it behind. None where it does not.
    pub fn left_behind(&self) -> Option<Step> {
        let up_to = self.taken();
        (up_to > self.begun.up_to).then(|| Step {
            up_to,
            lanes: Vec::new(),
        })
    }

    /// The place has moved.
    pub fn placed(&mut self, step: &Step) {
        self.begun.up_to = self.begun.up_to.max(step.up_to);
    }

    /// Plugins ran too long on some entries of what was taken, for so long: their lanes
    /// give way to whoever waits.
    pub fn overran(&mut self, turn: &Turn, spent: &BTreeMap<Position, Duration>, now: Timestamp) {
        let mut by_lane: BTreeMap<Lane, Duration> = BTreeMap::new();
        for entry in &turn.entries {
            if let Some(spent) = spent.get(&entry.position) {
                *by_lane.entry(entry.lane).or_default() += *spent;
            }
        }
        for (lane, spent) in by_lane {
            self.trouble.give_way(lane, spent, now);
        }
    }

    /// What was taken is given up, for plugins ran too long on these of its entries: it
    /// waits again, and their lanes are worked on apart from others.
    pub fn give_up(&mut self, turn: Turn, overran: &BTreeMap<Position, Duration>) {
        let entries = turn.entries.iter();
        let at_fault = entries.filter(|entry| overran.contains_key(&entry.position));
        let lanes = at_fault.map(|entry| entry.lane).collect();
        self.trouble.part(&turn.entries, &lanes);
        self.put_back(turn);
    }

    /// Who makes trouble.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Takes a lane's turn into a batch; what is left of it has to queue.
    fn fill(&mut self, batch: &mut Batch, lane: Lane, turn_bytes: u64, entries_max: usize) {
        let Some(waiting) = self.waiting.get_mut(&lane) else {
            return;
        };
        let moved = batch.fill(waiting, turn_bytes, entries_max);
        batch.lanes.extend(moved.map(|position| (lane, position)));
        if waiting.is_empty() {
            self.waiting.remove(&lane);
        } else {
            self.order.push_back(lane);
        }
    }

    /// What was taken as one batch; none where that is nothing. The place moves no
    /// further than `up_to_max` with it.
    fn turn(&mut self, mut batch: Batch, up_to_max: Position) -> Option<Turn> {
        if batch.entries.is_empty() {
            return None;
        }
        self.known -= batch.entries.len();
        batch.entries.sort_unstable_by_key(|entry| entry.position);
        Some(Turn {
            entries: batch.entries,
            step: Step {
                up_to: self.taken().min(up_to_max),
                lanes: batch.lanes,
            },
        })
    }

    /// Takes the lanes out that give way, where others wait.
    fn giving_way(&mut self, now: Timestamp) -> Vec<Lane> {
        let mut slow = self.trouble.giving_way(now);
        slow.retain(|lane| self.waiting.contains_key(lane));
        if slow.is_empty() || slow.len() == self.waiting.len() {
            return Vec::new();
        }
        for lanes in [&mut self.fresh, &mut self.order] {
            lanes.retain(|lane| !slow.contains(lane));
        }
        slow
    }

    /// Whether several lanes are at work, or were lately.
    pub fn is_shared(&self, now: Timestamp) -> bool {
        self.shared_at
            .is_some_and(|shared_at| now.since(shared_at) < SHARED_FOR)
            || self.waiting.len() > 1
    }
}

#[derive(Default)]
struct Batch {
    entries: Vec<Listed>,
    bytes: u64,
    lanes: Vec<(Lane, Position)>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES_MAX || self.entries.len() >= BATCH_ENTRIES_MAX
    }

    /// Takes a turn of a lane. Returns the last entry that it took.
    fn fill(
        &mut self,
        waiting: &mut VecDeque<Listed>,
        turn_bytes: u64,
        entries_max: usize,
    ) -> Option<Position> {
        let mut turn = 0;
        let mut last = None;
        let end = self.entries.len().saturating_add(entries_max);
        while turn < turn_bytes
            && self.entries.len() < end
            && !self.is_full()
            && let Some(entry) = waiting.pop_front()
        {
            turn += u64::from(entry.bytes);
            self.bytes += u64::from(entry.bytes);
            last = Some(entry.position);
            self.entries.push(entry);
        }
        last
    }
}

#[cfg(test)]
mod tests;
