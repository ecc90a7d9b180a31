//! What HubSpot's answers say of its limits.
//!
//! Source: HubSpot's usage guidelines (headers, policies).

use std::time::Duration;

use http::HeaderMap;

/// Limits and intervals beyond these are taken for a mistake.
const TOLD_MAX: u32 = 10_000;
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Nor are shorter intervals believed.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The limit that a 429 names (`policyName`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The day's.
    Daily,
    /// The search's.
    Secondly,
    /// `TEN_SECONDLY_ROLLING`, and whatever else.
    Other,
}

impl Policy {
    /// By HubSpot's name.
    pub fn named(name: Option<&str>) -> Self {
        match name {
            Some("DAILY") => Self::Daily,
            Some("SECONDLY") => Self::Secondly,
            _ => Self::Other,
        }
    }
}

/// What an answer's headers say of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// The limit, what is left of it, and the interval it is for.
    pub window: Option<(u32, u32, Duration)>,
    /// The day's limit and what is left of it; not sent to OAuth apps.
    pub day: Option<(u32, u32)>,
}

impl Rates {
    /// Reads `X-HubSpot-RateLimit-*`; what makes no sense is left out.
    pub fn read(headers: &HeaderMap) -> Self {
        let number =
            |name| -> Option<u32> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
        let max = number("x-hubspot-ratelimit-max").filter(|max| (1..=TOLD_MAX).contains(max));
        let interval = number("x-hubspot-ratelimit-interval-milliseconds")
            .map(|milliseconds| Duration::from_millis(milliseconds.into()))
            .filter(|interval| (INTERVAL_MIN..=INTERVAL_MAX).contains(interval));
        let left = number("x-hubspot-ratelimit-remaining");
        let window = match (max, left, interval) {
            (Some(max), Some(left), Some(interval)) => Some((max, left, interval)),
            _ => None,
        };
        let daily = number("x-hubspot-ratelimit-daily").filter(|max| *max > 0);
        let daily_left = number("x-hubspot-ratelimit-daily-remaining");
        Self {
            window,
            day: daily.zip(daily_left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_make_no_sense_are_left_out() {
        let read = |max: &str, left: &str, interval: &str| {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("x-hubspot-ratelimit-max", max),
                ("x-hubspot-ratelimit-remaining", left),
                ("x-hubspot-ratelimit-interval-milliseconds", interval),
            ] {
                headers.insert(name, value.parse().expect("value"));
            }
            Rates::read(&headers).window
        };
        assert_eq!(
            read("190", "189", "10000"),
            Some((190, 189, Duration::from_secs(10)))
        );
        for (max, left, interval) in [
            ("0", "0", "10000"),
            ("4000000000", "1", "10000"),
            ("-1", "1", "10000"),
            ("190", "many", "10000"),
            ("190", "189", "1"),
            ("190", "189", "86400000"),
        ] {
            assert_eq!(read(max, left, interval), None);
        }
        assert_eq!(Rates::read(&HeaderMap::new()), Rates::default());
    }
}
