//! Which answers are kept, for how long, and how much they may take.

use std::collections::HashMap;

use crate::{model::Timestamp, store::projects::Role};

/// The most bytes of all answers that are kept.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The most bytes of one session's: some pages, or some hundred redirects.
const SESSION_BYTES_MAX: usize = 512 * 1024;

/// What an answer takes beside its body, about.
const HEAD_BYTES: usize = 1024;

/// The most forms of one session that are worked on to their end at once, whether
/// or not anybody waits for them.
const UNDER_WAY_MAX: usize = 8;

/// What a form is told by. With other rights it is another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The session's hash.
    pub session: [u8; 32],
    /// What it may do.
    pub role: Role,
    /// Whether it operates the host.
    pub operates: bool,
    /// The digest of address and content.
    pub form: [u8; 32],
}

/// A form that was sent.
struct Form<A> {
    answer: A,
    /// None while the answer is made.
    done: Option<Done>,
}

#[derive(Clone, Copy)]
struct Done {
    bytes: usize,
    until: Timestamp,
}

/// The forms that are worked on, and those that were done lately.
pub(super) struct Kept<A> {
    forms: HashMap<Key, Form<A>>,
}

impl<A> Default for Kept<A> {
    fn default() -> Self {
        Self {
            forms: HashMap::new(),
        }
    }
}

impl<A: Clone> Kept<A> {
    /// The answer to a form, made or about to be.
    pub fn find(&mut self, key: &Key, now: Timestamp) -> Option<A> {
        self.forget(now);
        Some(self.forms.get(key)?.answer.clone())
    }

    /// The answers to a form, made or about to be, and the sessions that sent it.
    pub fn of_form(&mut self, form: &[u8; 32], now: Timestamp) -> Vec<([u8; 32], A)> {
        self.forget(now);
        let forms = self.forms.iter().filter(|(key, _)| key.form == *form);
        forms
            .map(|(key, form)| (key.session, form.answer.clone()))
            .collect()
    }

    /// Whether a session sent any of the forms.
    pub fn knows(&self, session: &[u8; 32]) -> bool {
        self.forms.keys().any(|key| key.session == *session)
    }

    /// Whether one more form of a session may be begun.
    pub fn has_room(&self, session: &[u8; 32]) -> bool {
        let forms = self.forms.iter();
        let under_way = forms.filter(|(key, form)| key.session == *session && form.done.is_none());
        under_way.count() < UNDER_WAY_MAX
    }

    /// Begins a form, whose answer will be [kept](Self::keep) or [let go](Self::let_go).
    pub fn begin(&mut self, key: Key, answer: A) {
        self.forms.insert(key, Form { answer, done: None });
    }

    /// Keeps an answer, whose body has `length` bytes, until then; the oldest make
    /// room. One that is too long for its session is dropped.
    pub fn keep(&mut self, key: &Key, length: usize, until: Timestamp) {
        let bytes = HEAD_BYTES + length;
        if bytes > SESSION_BYTES_MAX {
            return self.let_go(key);
        }
        self.make_room(SESSION_BYTES_MAX - bytes, |of| of.session == key.session);
        self.make_room(KEPT_BYTES_MAX - bytes, |_| true);
        if let Some(form) = self.forms.get_mut(key) {
            form.done = Some(Done { bytes, until });
        }
    }

    /// Lets go of a form: who sends it again begins it again.
    pub fn let_go(&mut self, key: &Key) {
        self.forms.remove(key);
    }

    /// Forgets the answers whose time is over.
    pub fn forget(&mut self, now: Timestamp) {
        self.forms
            .retain(|_, form| form.done.is_none_or(|done| now < done.until));
    }

    /// Drops the oldest of the answers `of` which there are more bytes than that.
    fn make_room(&mut self, bytes_max: usize, of: impl Fn(&Key) -> bool) {
        let forms = self.forms.iter().filter(|(key, _)| of(key));
        let mut done: Vec<(Key, Done)> = forms
            .filter_map(|(key, form)| Some((*key, form.done?)))
            .collect();
        done.sort_by_key(|(_, done)| done.until);
        let mut bytes: usize = done.iter().map(|(_, done)| done.bytes).sum();
        for (key, done) in done {
            if bytes <= bytes_max {
                break;
            }
            bytes -= done.bytes;
            self.let_go(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    /// The form with that number, of the session with that one.
    fn form(session: u8, number: u8) -> Key {
        Key {
            session: [session; 32],
            role: Role::Admin,
            operates: false,
            form: [number; 32],
        }
    }

    /// Does a form, whose answer is its number.
    fn do_form(kept: &mut Kept<u8>, key: Key, length: usize, until: i64) {
        kept.begin(key, key.form[0]);
        kept.keep(&key, length, Timestamp(until));
    }

    #[test]
    fn an_answer_is_of_its_session_its_rights_and_its_time() {
        let mut kept = Kept::default();
        let key = form(1, 7);
        do_form(&mut kept, key, 100, 2_000);
        let viewer = Key {
            role: Role::Viewer,
            ..key
        };
        let operator = Key {
            operates: true,
            ..key
        };
        for other in [form(2, 7), form(1, 8), viewer, operator] {
            assert_eq!(kept.find(&other, NOW), None, "{other:?}");
        }
        assert_eq!(kept.find(&key, Timestamp(1_999)), Some(7));
        assert_eq!(kept.find(&key, Timestamp(2_000)), None);
        assert!(kept.forms.is_empty(), "nothing stays in memory");
    }

    #[test]
    fn a_form_that_is_worked_on_is_not_forgotten_and_one_that_is_dropped_is() {
        let mut kept = Kept::default();
        let key = form(1, 7);
        kept.begin(key, 7);
        assert_eq!(kept.find(&key, Timestamp(i64::MAX)), Some(7));
        kept.let_go(&key);
        assert_eq!(kept.find(&key, NOW), None);
    }

    #[test]
    fn a_session_has_only_so_many_forms_under_way() {
        let mut kept = Kept::default();
        for number in 0..8 {
            assert!(kept.has_room(&[1; 32]), "{number}");
            kept.begin(form(1, number), number);
        }
        assert!(!kept.has_room(&[1; 32]));
        assert!(kept.has_room(&[2; 32]));
        kept.keep(&form(1, 0), 100, Timestamp(2_000));
        assert!(kept.has_room(&[1; 32]));
    }

    #[test]
    fn the_oldest_of_a_session_make_room_and_what_is_too_long_is_not_kept() {
        let mut kept = Kept::default();
        let half = SESSION_BYTES_MAX / 2 - HEAD_BYTES;
        do_form(&mut kept, form(2, 0), half, 1_500);
        for number in 1..=3 {
            do_form(&mut kept, form(1, number), half, 2_000 + i64::from(number));
        }
        let left = [1, 2, 3].map(|number| kept.find(&form(1, number), NOW).is_some());
        assert_eq!(left, [false, true, true]);
        assert!(kept.find(&form(2, 0), NOW).is_some(), "it is another's");

        let longest = SESSION_BYTES_MAX - HEAD_BYTES;
        do_form(&mut kept, form(3, 0), longest, 3_000);
        assert!(kept.find(&form(3, 0), NOW).is_some());
        do_form(&mut kept, form(3, 1), longest + 1, 3_000);
        assert_eq!(kept.find(&form(3, 1), NOW), None);
        assert!(kept.find(&form(3, 0), NOW).is_some());
    }

    #[test]
    fn the_oldest_of_all_make_room() {
        let mut kept = Kept::default();
        let sessions = KEPT_BYTES_MAX / SESSION_BYTES_MAX;
        for session in 0..=u8::try_from(sessions).expect("few") {
            let until = 2_000 + i64::from(session);
            do_form(
                &mut kept,
                form(session, 1),
                SESSION_BYTES_MAX - HEAD_BYTES,
                until,
            );
        }
        assert_eq!(kept.find(&form(0, 1), NOW), None);
        assert!(kept.find(&form(1, 1), NOW).is_some());
        assert_eq!(kept.forms.len(), sessions);
    }
}
