//! When a failed call is made again before its error goes up.

use std::time::Duration;

use super::Error;
use crate::model::Timestamp;

/// Calls made for one answer, the first one included. Few: whoever waits
/// longer than this should not hold a call open meanwhile.
pub const ATTEMPTS_MAX: u32 = 3;
/// The wait after the first failure, doubled after each (HubSpot's own SDK
/// takes 0.2 s for each attempt made).
const WAIT_FIRST: Duration = Duration::from_millis(250);
/// The longest wait inside a call; what needs a longer one goes up.
pub const WAIT_MAX: Duration = Duration::from_secs(5);
/// The longest wait for a rate limit inside a call: one window of ten seconds,
/// and some.
const LIMIT_WAIT_MAX: Duration = Duration::from_secs(15);

/// The wait after a rate limit that tells none, where no budget knows better.
const LIMIT_WAIT_MIN: Duration = Duration::from_secs(1);

/// How long to wait before the next attempt; none when the error goes up.
///
/// `attempt` is the number of calls made, `random` lies in 0.0 to 1.0. After a
/// rate limit the wait is zero, because the budget holds the next call back.
pub fn backoff(attempt: u32, error: &Error, now: Timestamp, random: f64) -> Option<Duration> {
    if attempt >= ATTEMPTS_MAX || !error.is_retryable() {
        return None;
    }
    let told = error.retry_at().map(|moment| moment.since(now));
    match error {
        Error::RateLimited { daily: true, .. }
        | Error::Undecodable { .. }
        | Error::WrongRegion(_) => None,
        Error::RateLimited { .. } => told
            .filter(|wait| *wait <= LIMIT_WAIT_MAX)
            .map(|_| Duration::ZERO),
        // Hours, unless HubSpot says otherwise: the account is being moved.
        Error::Unavailable {
            status: 477,
            retry_at: None,
        } => None,
        _ => {
            let doubled = WAIT_FIRST * 2_u32.saturating_pow(attempt.saturating_sub(1));
            // Never before the moment told, at most half as long again.
            let wait = told.unwrap_or(doubled).max(doubled / 2);
            let wait = wait + (wait / 2).mul_f64(random.clamp(0.0, 1.0));
            (wait <= WAIT_MAX).then_some(wait)
        }
    }
}

/// [`backoff`], for calls that no budget holds back after a rate limit.
pub fn backoff_alone(attempt: u32, error: &Error, now: Timestamp, random: f64) -> Option<Duration> {
    let wait = backoff(attempt, error, now, random)?;
    Some(match error {
        Error::RateLimited { retry_at, .. } => wait + retry_at.since(now).max(LIMIT_WAIT_MIN),
        _ => wait,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn unavailable(status: u16, wait: Option<u64>) -> Error {
        Error::Unavailable {
            status,
            retry_at: wait.map(|seconds| NOW.plus(Duration::from_secs(seconds))),
        }
    }

    #[test]
    fn waits_grow_with_the_attempts_and_vary() {
        let error = unavailable(503, None);
        let wait = |attempt, random| backoff(attempt, &error, NOW, random);
        assert_eq!(wait(1, 0.0), Some(Duration::from_millis(250)));
        assert_eq!(wait(1, 1.0), Some(Duration::from_millis(375)));
        assert_eq!(wait(2, 0.0), Some(Duration::from_millis(500)));
        assert_eq!(wait(ATTEMPTS_MAX, 0.0), None);
    }

    #[test]
    fn what_was_told_is_honoured_or_goes_up() {
        let wait = |error: &Error| backoff(1, error, NOW, 0.0);
        assert_eq!(
            wait(&unavailable(503, Some(3))),
            Some(Duration::from_secs(3))
        );
        assert_eq!(wait(&unavailable(503, Some(60))), None);
        assert_eq!(wait(&unavailable(477, None)), None);
        let locked = Error::Locked {
            retry_at: NOW.plus(Duration::from_secs(2)),
        };
        assert_eq!(wait(&locked), Some(Duration::from_secs(2)));
    }

    #[test]
    fn the_budget_does_the_waiting_for_rate_limits() {
        let limited = |seconds, daily| Error::RateLimited {
            retry_at: NOW.plus(Duration::from_secs(seconds)),
            daily,
        };
        assert_eq!(
            backoff(1, &limited(10, false), NOW, 0.5),
            Some(Duration::ZERO)
        );
        assert_eq!(backoff(1, &limited(16, false), NOW, 0.5), None);
        assert_eq!(backoff(1, &limited(1, true), NOW, 0.5), None);
    }

    #[test]
    fn refusals_are_final() {
        assert_eq!(backoff(1, &Error::Unauthorized, NOW, 0.5), None);
        assert_eq!(
            backoff(1, &Error::TooLarge { bytes_max: 1 }, NOW, 0.5),
            None
        );
    }
}
