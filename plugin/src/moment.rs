//! Days and moments, in all the ways that HubSpot writes them: ISO 8601 in its API, epoch milliseconds in its webhooks,
//! and either for dates (airbytehq/airbyte#10576). Small functions of our own: a library of calendars and time zones
//! would be a good part of the component.

use std::fmt::Write;

use crate::t::Unreadable;

/// Milliseconds of a day; the contract's moments have no leap seconds.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// 0001-01-01T00:00:00Z, the first moment of a variable.
const FIRST_MS: i64 = -719_162 * DAY_MS;
/// 9999-12-31T23:59:59.999Z, the last.
const LAST_MS: i64 = 2_932_897 * DAY_MS - 1;

/// Reads a moment; a day alone is its midnight in UTC, and so is a time without an offset.
/// Fails with `malformed`, or `out-of-range` outside the years 1 to 9999.
pub(crate) fn read(text: &str) -> Result<i64, Unreadable> {
    let text = text.trim_ascii();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let ms = if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| Unreadable::OutOfRange)?
    } else {
        Reader(text.as_bytes()).moment()?
    };
    if (FIRST_MS..=LAST_MS).contains(&ms) {
        Ok(ms)
    } else {
        Err(Unreadable::OutOfRange)
    }
}

/// The day of a moment in UTC: days since 1970-01-01.
pub(crate) fn day(ms: i64) -> i32 {
    // Within the years 1 to 9999 it always fits.
    i32::try_from(ms.div_euclid(DAY_MS)).unwrap_or_default()
}

/// A day as ISO 8601, for example `2026-09-30`.
pub(crate) fn write_day(day: i32) -> String {
    let (year, month, day) = civil(i64::from(day));
    format!("{year:04}-{month:02}-{day:02}")
}

/// A moment as RFC 3339 in UTC, for example `2026-09-30T03:30:17Z`; with milliseconds where there are any.
pub(crate) fn write(ms: i64) -> String {
    let mut text = write_day(day(ms));
    let (seconds, ms) = (ms.rem_euclid(DAY_MS) / 1_000, ms.rem_euclid(1_000));
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    // Writing to a text cannot fail.
    let _ = write!(text, "T{hour:02}:{minute:02}:{second:02}");
    if ms != 0 {
        let _ = write!(text, ".{ms:03}");
    }
    text.push('Z');
    text
}

/// What is left to read of an ISO 8601 text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn moment(&mut self) -> Result<i64, Unreadable> {
        let days = self.day()?;
        if self.0.is_empty() {
            return Ok(days * DAY_MS);
        }
        if !self.take(b"Tt ") {
            return Err(Unreadable::Malformed);
        }
        let (hour, _) = (self.number(2, 23)?, self.expect(b":")?);
        let minute = self.number(2, 59)?;
        let mut ms = 0;
        if self.take(b":") {
            // A leap second is the last of its minute.
            ms = self.number(2, 60)?.min(59) * 1_000;
            if self.take(b".,") {
                ms += self.fraction_ms()?;
            }
        }
        let offset_minutes = self.offset_minutes()?;
        if !self.0.is_empty() {
            return Err(Unreadable::Malformed);
        }
        Ok(days * DAY_MS + (hour * 60 + minute - offset_minutes) * 60_000 + ms)
    }

    /// A day of the Gregorian calendar, in days since 1970-01-01.
    fn day(&mut self) -> Result<i64, Unreadable> {
        let is_negative = self.take(b"-");
        let _ = !is_negative && self.take(b"+");
        let digits = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits < 4 {
            return Err(Unreadable::Malformed);
        }
        // A year of more digits is a year, if none that a variable holds.
        let year = self.number(digits, i64::MAX);
        self.expect(b"-")?;
        let (month, _) = (self.number(2, 12)?, self.expect(b"-")?);
        let day = self.number(2, 31)?;
        let year = year
            .ok()
            .filter(|year| !is_negative && (1..=9999).contains(year))
            .ok_or(Unreadable::OutOfRange)?;
        let days = days_since_1970(year, month, day);
        // A day that the calendar does not have comes back as another.
        if month < 1 || civil(days) != (year, month, day) {
            Err(Unreadable::Malformed)
        } else {
            Ok(days)
        }
    }

    /// The digits after the point; beyond milliseconds they are cut.
    fn fraction_ms(&mut self) -> Result<i64, Unreadable> {
        let digits = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (fraction, rest) = self.0.split_at(digits);
        self.0 = rest;
        if digits == 0 {
            return Err(Unreadable::Malformed);
        }
        let digit = |at: usize| fraction.get(at).map_or(0, |byte| i64::from(byte - b'0'));
        Ok(digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    fn offset_minutes(&mut self) -> Result<i64, Unreadable> {
        if self.0.is_empty() || self.take(b"Zz") {
            return Ok(0);
        }
        let sign = if self.take(b"+") {
            1
        } else {
            self.expect(b"-")?;
            -1
        };
        let hours = self.number(2, 23)?;
        let _ = self.take(b":");
        let minutes = if self.0.is_empty() {
            0
        } else {
            self.number(2, 59)?
        };
        Ok(sign * (hours * 60 + minutes))
    }

    /// A number of exactly so many digits, at most `max`.
    fn number(&mut self, digits: usize, max: i64) -> Result<i64, Unreadable> {
        let (number, rest) = self
            .0
            .split_at_checked(digits)
            .ok_or(Unreadable::Malformed)?;
        self.0 = rest;
        let mut value = 0_i64;
        for byte in number {
            if !byte.is_ascii_digit() {
                return Err(Unreadable::Malformed);
            }
            value = value
                .saturating_mul(10)
                .saturating_add(i64::from(byte - b'0'));
        }
        if value <= max {
            Ok(value)
        } else {
            Err(Unreadable::Malformed)
        }
    }

    fn expect(&mut self, any: &[u8]) -> Result<(), Unreadable> {
        if self.take(any) {
            Ok(())
        } else {
            Err(Unreadable::Malformed)
        }
    }

    fn take(&mut self, any: &[u8]) -> bool {
        let Some((first, rest)) = self.0.split_first() else {
            return false;
        };
        let is_there = any.contains(first);
        if is_there {
            self.0 = rest;
        }
        is_there
    }
}

/// Days since 1970-01-01 of a Gregorian day, for years from 1. Years are counted from March, so that a leap day is a
/// year's last (the usual algorithm, for example in C++20's `sys_days`).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

/// The year, month and day of days since 1970-01-01: the other way round.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (year_of_era + era * 400, month + 3);
    if month > 12 {
        (year + 1, month - 12, day)
    } else {
        (year, month, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_calendar_is_written_and_read_back() {
        let (mut last, mut days) = ((0, 12, 31), 0);
        for day in FIRST_MS / DAY_MS..=LAST_MS / DAY_MS {
            let civil = civil(day);
            assert_eq!(days_since_1970(civil.0, civil.1, civil.2), day);
            // The next day is the next of its month, or a first.
            let is_next = civil.2 == last.2 + 1 && (civil.0, civil.1) == (last.0, last.1);
            let is_first =
                civil.2 == 1 && (civil.1 == last.1 + 1 || (civil.1, civil.0) == (1, last.0 + 1));
            assert!(is_next || is_first, "{last:?} {civil:?}");
            (last, days) = (civil, days + 1);
        }
        assert_eq!((last, days), ((9999, 12, 31), 3_652_059));
    }

    #[test]
    fn a_moment_is_written_with_milliseconds_only_where_there_are_any() {
        assert_eq!(write(0), "1970-01-01T00:00:00Z");
        assert_eq!(write(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(write(FIRST_MS), "0001-01-01T00:00:00Z");
        assert_eq!(write_day(day(LAST_MS)), "9999-12-31");
    }
}
