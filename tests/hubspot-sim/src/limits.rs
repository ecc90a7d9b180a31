//! Request budgets: what a call costs, the headers that tell of it, and the refusals.
//!
//! HubSpot: usage guidelines. Rolling windows of ten seconds and one second; days of the
//! account's time zone; search and batch associations have budgets of their own.

use std::collections::{HashMap, VecDeque};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::config::Limits;
use crate::fault::Fault;

/// Which budget a call is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Budget {
    /// The account's own, per ten seconds and per day.
    General,
    /// Searches a second, shared by all apps.
    Search,
    /// Batch calls to associations.
    Associations,
    /// Nothing is counted.
    Exempt,
}

/// A refusal and the headers it comes with.
pub(crate) type Refusal = Box<(Fault, HeaderMap)>;

/// What an account has spent.
#[derive(Debug, Default)]
struct Spent {
    general: VecDeque<i64>,
    search: VecDeque<i64>,
    associations: VecDeque<i64>,
    day: String,
    today: u32,
}

/// What all accounts have spent.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    spent: HashMap<u64, Spent>,
}

impl Meter {
    /// Takes one call from its budget; answers with the headers to send, or the refusal.
    pub(crate) fn take(
        &mut self,
        portal: u64,
        time_zone: &str,
        budget: Budget,
        limits: &Limits,
        now: i64,
    ) -> Result<HeaderMap, Refusal> {
        let spent = self.spent.entry(portal).or_default();
        match budget {
            Budget::Exempt => Ok(HeaderMap::new()),
            Budget::Search => {
                let window = Window {
                    calls: &mut spent.search,
                    length_ms: 1_000,
                    max: limits
                        .search_per_second
                        .map(|max| max.saturating_sub(limits.foreign_searches_per_second)),
                };
                match window.take(now) {
                    Some(_) => Ok(HeaderMap::new()),
                    None => Err(refusal(limits, "SECONDLY", "secondly", HeaderMap::new())),
                }
            }
            Budget::Associations => {
                let (left, headers) = rolling(
                    &mut spent.associations,
                    limits.associations_per_ten_seconds,
                    now,
                );
                match left {
                    Some(_) => Ok(headers),
                    None => Err(rolling_refusal(limits, headers)),
                }
            }
            Budget::General => {
                let today = day(time_zone, now);
                if spent.day != today {
                    spent.day = today;
                    spent.today = 0;
                }
                let (left, mut headers) = rolling(&mut spent.general, limits.per_ten_seconds, now);
                let over = limits.per_day.is_some_and(|max| spent.today >= max);
                if !over && left.is_some() {
                    spent.today += 1;
                }
                if let Some(max) = limits.per_day {
                    set(&mut headers, "x-hubspot-ratelimit-daily", max);
                    set(
                        &mut headers,
                        "x-hubspot-ratelimit-daily-remaining",
                        max.saturating_sub(spent.today),
                    );
                }
                if over {
                    Err(refusal(limits, "DAILY", "daily", headers))
                } else if left.is_none() {
                    Err(rolling_refusal(limits, headers))
                } else {
                    Ok(headers)
                }
            }
        }
    }
}

struct Window<'a> {
    calls: &'a mut VecDeque<i64>,
    length_ms: i64,
    max: Option<u32>,
}

impl Window<'_> {
    /// Counts a call; answers with how many are left, or `None` when it is refused.
    fn take(self, now: i64) -> Option<u32> {
        let Some(max) = self.max else {
            return Some(u32::MAX);
        };
        while self
            .calls
            .front()
            .is_some_and(|at| *at <= now - self.length_ms)
        {
            self.calls.pop_front();
        }
        let held = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        if held >= max {
            return None;
        }
        self.calls.push_back(now);
        Some(max - held - 1)
    }
}

/// Counts a call in a window of ten seconds; answers with how many are left, and the headers that
/// say so.
fn rolling(calls: &mut VecDeque<i64>, max: Option<u32>, now: i64) -> (Option<u32>, HeaderMap) {
    let window = Window {
        calls,
        length_ms: 10_000,
        max,
    };
    let left = window.take(now);
    let mut headers = HeaderMap::new();
    if let Some(max) = max {
        set(&mut headers, "x-hubspot-ratelimit-max", max);
        set(
            &mut headers,
            "x-hubspot-ratelimit-remaining",
            left.unwrap_or(0),
        );
        set(
            &mut headers,
            "x-hubspot-ratelimit-interval-milliseconds",
            10_000,
        );
    }
    (left, headers)
}

fn set(headers: &mut HeaderMap, name: &'static str, value: u32) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
}

fn rolling_refusal(limits: &Limits, headers: HeaderMap) -> Refusal {
    refusal(
        limits,
        "TEN_SECONDLY_ROLLING",
        "ten_secondly_rolling",
        headers,
    )
}

fn refusal(limits: &Limits, policy: &str, name: &str, headers: HeaderMap) -> Refusal {
    let mut headers = headers;
    if let Some(seconds) = limits.retry_after_seconds {
        set(&mut headers, "retry-after", seconds);
    }
    Box::new((too_many(policy, name), headers))
}

/// The body of a 429.
pub(crate) fn too_many(policy: &str, name: &str) -> Fault {
    Fault::raw(
        StatusCode::TOO_MANY_REQUESTS,
        json!({
            "status": "error",
            "message": format!("You have reached your {name} limit."),
            "errorType": "RATE_LIMIT",
            "policyName": policy,
        }),
    )
}

fn day(time_zone: &str, now: i64) -> String {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    Timestamp::from_millisecond(now).map_or_else(
        |_| String::new(),
        |at| at.to_zoned_datetime(zone).date().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_after_the_last_is_refused_until_the_window_has_rolled_on() {
        let mut meter = Meter::default();
        let limits = Limits::marketplace();
        for call in 0..110 {
            let headers = meter
                .take(1, "UTC", Budget::General, &limits, 1_000 + call)
                .unwrap();
            assert_eq!(
                headers["x-hubspot-ratelimit-remaining"],
                (109 - call).to_string()
            );
        }
        assert!(
            meter
                .take(1, "UTC", Budget::General, &limits, 10_999)
                .is_err()
        );
        assert!(
            meter
                .take(1, "UTC", Budget::General, &limits, 11_000)
                .is_ok()
        );
        assert!(
            meter
                .take(2, "UTC", Budget::General, &limits, 10_999)
                .is_ok()
        );
    }

    #[test]
    fn the_day_begins_at_midnight_in_the_accounts_time_zone() {
        let mut meter = Meter::default();
        let limits = Limits {
            per_day: Some(1),
            ..Limits::unlimited()
        };
        // 2026-09-21T21:59:59Z is one second before midnight in Paris.
        let late = 1_790_027_999_000;
        let zone = "Europe/Paris";
        assert!(meter.take(1, zone, Budget::General, &limits, late).is_ok());
        let refusal = meter
            .take(1, zone, Budget::General, &limits, late + 999)
            .unwrap_err();
        assert_eq!(refusal.1["x-hubspot-ratelimit-daily-remaining"], "0");
        assert!(
            meter
                .take(1, zone, Budget::General, &limits, late + 1_000)
                .is_ok()
        );
    }
}
