//! Whether a version that was just activated fails too often.

use std::{collections::VecDeque, time::Duration};

use crate::{model::Timestamp, plugin::Tally};

/// How long after its activation a version is watched: a day has every kind of
/// delivery in it. What begins to fail later, the source began.
const WATCHED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// What is counted: long enough that a quiet host has some passes in it, short
/// enough that hours of good ones do not hide what fails now.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Fewer passes than this say nothing.
const PASSES_MIN: u64 = 20;

/// The share of passes that may fail. A plugin that keeps the contract fails none;
/// but one body that is beyond it may count twice, with its batch and by itself, and
/// has to be less than this alone.
const FAILED_SHARE_MAX: f64 = 0.2;

/// How far samples lie apart, so that there are not more than a thousand.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// A version that is watched.
#[derive(Debug)]
pub(super) struct Watch {
    /// Its digest.
    pub digest: String,
    /// When it was activated.
    pub since: Timestamp,
    /// When it was last given more to serve.
    extended: Timestamp,
    samples: VecDeque<(Timestamp, Tally)>,
    /// What was counted at the last look.
    seen: Tally,
    /// Passes since one failed.
    in_a_row: u64,
}

/// What a look at a version finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does well.
    Well,
    /// There is too little to say.
    Unsaid,
    /// It fails too often: so many passes, of which so many failed.
    Fails(Tally),
}

impl Watch {
    /// Begins to watch a version that was activated at `since`. What it counted so
    /// far is not held against it.
    pub fn new(digest: &str, since: Timestamp, now: Timestamp, tally: Tally) -> Self {
        Self {
            digest: digest.to_owned(),
            since,
            extended: since,
            samples: VecDeque::from([(now, tally)]),
            seen: tally,
            in_a_row: 0,
        }
    }

    /// It serves more from a moment on, and is watched as long as if that were all.
    pub fn extend(&mut self, at: Timestamp) {
        self.extended = self.extended.max(at);
    }

    /// Looks at what was counted up to now.
    pub fn look(&mut self, now: Timestamp, tally: Tally) -> Verdict {
        // One sample at the window's beginning, or before it, stays.
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now.since(*at) >= WINDOW)
        {
            self.samples.pop_front();
        }
        let first = self.samples.front().map_or(tally, |(_, tally)| *tally);
        let within = Tally {
            passes: tally.passes.saturating_sub(first.passes),
            failed: tally.failed.saturating_sub(first.failed),
        };
        let last = self.samples.back();
        if last.is_none_or(|(at, _)| now.since(*at) >= SAMPLE_EVERY) {
            self.samples.push_back((now, tally));
        }
        let passes = tally.passes.saturating_sub(self.seen.passes);
        self.in_a_row = match tally.failed > self.seen.failed {
            // Which of these came after it is not known.
            true => 0,
            false => self.in_a_row + passes,
        };
        self.seen = tally;
        if within.passes < PASSES_MIN {
            // A quiet source has fewer in a window.
            match self.in_a_row >= PASSES_MIN {
                true => Verdict::Well,
                false => Verdict::Unsaid,
            }
        } else if within.failed as f64 > within.passes as f64 * FAILED_SHARE_MAX {
            Verdict::Fails(within)
        } else {
            Verdict::Well
        }
    }

    /// Whether it was watched for as long as it need be.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.extended) >= WATCHED_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: Timestamp = Timestamp(1_000_000);

    fn tally(passes: u64, failed: u64) -> Tally {
        Tally { passes, failed }
    }

    fn watch() -> Watch {
        Watch::new("it", BEGUN, BEGUN, tally(500, 400))
    }

    fn after(seconds: u64) -> Timestamp {
        BEGUN.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_fifth_of_enough_passes_may_fail_and_not_one_more() {
        assert_eq!(watch().look(after(1), tally(519, 419)), Verdict::Unsaid);
        assert_eq!(watch().look(after(1), tally(520, 404)), Verdict::Well);
        let fails = Verdict::Fails(tally(20, 5));
        assert_eq!(watch().look(after(1), tally(520, 405)), fails);
    }

    #[test]
    fn good_hours_do_not_hide_what_fails_now() {
        let mut watch = watch();
        for minute in 0..180 {
            let good = tally(500 + minute * 100, 400);
            let verdict = watch.look(after(minute * 60), good);
            assert_eq!(verdict == Verdict::Well, minute > 0, "{verdict:?}");
        }
        let verdict = watch.look(after(180 * 60), tally(500 + 18_000 + 400, 400 + 400));
        assert!(matches!(verdict, Verdict::Fails(_)), "{verdict:?}");
    }

    #[test]
    fn good_passes_do_not_hide_what_failed_a_moment_before() {
        let mut watch = watch();
        assert_eq!(watch.look(after(1), tally(510, 410)), Verdict::Unsaid);
        let fails = Verdict::Fails(tally(30, 10));
        assert_eq!(watch.look(after(2), tally(530, 410)), fails);
    }

    #[test]
    fn what_failed_before_the_window_is_over() {
        let mut watch = watch();
        assert_eq!(watch.look(after(2), tally(515, 415)), Verdict::Unsaid);
        let later = WINDOW.as_secs() + 3;
        assert_eq!(watch.look(after(later), tally(535, 415)), Verdict::Well);
    }

    #[test]
    fn twenty_passes_in_a_row_are_enough_however_long_they_take() {
        let mut watch = watch();
        assert!(matches!(
            watch.look(after(1), tally(530, 430)),
            Verdict::Fails(_)
        ));
        // One that fails has them begin anew.
        for hour in 1..=29 {
            let failed = 430 + u64::from(hour >= 10);
            let verdict = watch.look(after(hour * 3_600), tally(530 + hour, failed));
            assert_eq!(verdict, Verdict::Unsaid, "{hour}");
        }
        let last = watch.look(after(30 * 3_600), tally(560, 431));
        assert_eq!(last, Verdict::Well);
    }

    #[test]
    fn a_version_is_watched_for_a_day() {
        let mut watch = watch();
        let day = WATCHED_FOR.as_secs();
        assert!(!watch.is_over(after(day - 1)));
        assert!(watch.is_over(after(day)));
        watch.extend(after(60));
        assert!(!watch.is_over(after(day)));
    }

    #[test]
    fn samples_are_bounded() {
        let mut watch = watch();
        for tenth in 0..30_000 {
            let now = BEGUN.plus(Duration::from_millis(tenth * 100));
            watch.look(now, tally(500 + tenth, 400));
        }
        assert!(watch.samples.len() < 1_000, "{}", watch.samples.len());
    }
}
