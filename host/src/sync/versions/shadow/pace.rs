//! How much of the machine a shadow may have.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::plugin::Fault;

/// It rests so much longer than it worked: it has a fifth of one core at most.
const REST: u32 = 4;

/// It rests once it worked for so long. A pass that has begun is not interrupted.
const WORK: Duration = Duration::from_millis(10);

/// How long it sleeps at once: whoever stops the host waits no longer.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// The pace of work on one blocking thread.
#[derive(Debug)]
pub struct Pace {
    stop: CancellationToken,
    worked_max: Duration,
    begun: Cell<Instant>,
    worked: Cell<Duration>,
    rested: Cell<Duration>,
}

impl Pace {
    /// Work begins now. It ends when it is told to stop, or after `worked_max`, rests
    /// not counted.
    pub fn begin(stop: CancellationToken, worked_max: Duration) -> Self {
        Self {
            stop,
            worked_max,
            begun: Cell::new(Instant::now()),
            worked: Cell::default(),
            rested: Cell::default(),
        }
    }

    /// Rests, where it is time to.
    ///
    /// # Errors
    ///
    /// A fault of the host's where the work is to end.
    pub fn rest(&self) -> Result<(), Fault> {
        let ended = |why: &str| Err(Fault::Host(format!("the shadow ended a step: {why}")));
        if self.stop.is_cancelled() {
            return ended("it is told to stop");
        }
        let worked = self.worked();
        if worked >= self.worked_max {
            return ended("it takes too long");
        }
        let due = (worked.saturating_sub(self.rested.get() / REST)) * REST;
        if due < WORK * REST {
            return Ok(());
        }
        self.worked.set(worked);
        let began = Instant::now();
        while let Some(left) = due.checked_sub(began.elapsed()) {
            if self.stop.is_cancelled() {
                return ended("it is told to stop");
            }
            thread::sleep(left.min(SLEEP_MAX));
        }
        self.rested.set(self.rested.get() + due);
        self.begun.set(Instant::now());
        Ok(())
    }

    /// How long it worked.
    pub fn worked(&self) -> Duration {
        self.worked.get() + self.begun.get().elapsed()
    }

    /// Whether it worked for as long as it may.
    pub fn is_over(&self) -> bool {
        self.worked() >= self.worked_max
    }

    /// How long there is still to rest for it.
    pub fn owed(&self) -> Duration {
        (self.worked() * REST).saturating_sub(self.rested.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(pace: &Pace, time: Duration) {
        let end = pace.worked() + time;
        while pace.worked() < end {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn it_rests_four_times_as_long_as_it_works() {
        let pace = Pace::begin(CancellationToken::new(), Duration::MAX);
        let began = Instant::now();
        for _ in 0..5 {
            work(&pace, WORK);
            pace.rest().expect("it goes on");
        }
        assert!(began.elapsed() >= pace.worked() * (REST + 1) - pace.owed());
        assert!(pace.owed() < WORK * REST, "{:?}", pace.owed());
    }

    #[test]
    fn it_ends_when_it_is_told_to_or_worked_for_too_long() {
        let stop = CancellationToken::new();
        let pace = Pace::begin(stop.clone(), WORK / 2);
        pace.rest().expect("it goes on");
        work(&pace, WORK / 2);
        assert!(pace.is_over());
        assert!(pace.rest().is_err_and(|fault| fault.is_retryable()));
        let pace = Pace::begin(stop.clone(), Duration::MAX);
        stop.cancel();
        assert!(pace.rest().is_err());
    }
}
