//! Days and moments as RFC 3339 writes them.

use crate::contract::transform::Unreadable;

const DAY_MS: i64 = 86_400_000;

/// The first and the last moment that cross: the years 1 to 9999.
const FIRST_MS: i64 = -62_135_596_800_000;
const LAST_MS: i64 = 253_402_300_799_999;

/// Milliseconds since 1970 of a moment, or of a day's midnight in UTC.
pub(crate) fn read(text: &str) -> Result<i64, Unreadable> {
    let ms = parts(text).ok_or(Unreadable::Malformed)?;
    if (FIRST_MS..=LAST_MS).contains(&ms) {
        Ok(ms)
    } else {
        Err(Unreadable::OutOfRange)
    }
}

/// The day of a moment, in UTC.
pub(crate) fn day(ms: i64) -> i32 {
    // Within the years 1 to 9999 it always fits.
    i32::try_from(ms.div_euclid(DAY_MS)).unwrap_or_default()
}

/// `2026-01-02`, or `2026-01-02T03:04:05.678+01:00`.
fn parts(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_of_month).contains(&day) {
        return None;
    }
    let midnight = days(year, month, day) * DAY_MS;
    match time {
        Some(time) => Some(midnight + time_ms(time)?),
        None => Some(midnight),
    }
}

/// The milliseconds since midnight in UTC of a time with its offset.
fn time_ms(text: &str) -> Option<i64> {
    let (time, offset_ms) = match text.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => {
            let (time, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            let sign = match offset.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let [hours, minutes] = numbers(offset.get(1..)?, ':', [2, 2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            (time, sign * (hours * 60 + minutes) * 60_000)
        }
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    // A leap second is the last of its minute.
    let seconds = (hour * 60 + minute) * 60 + second.min(59);
    Some(seconds * 1_000 + ms - offset_ms)
}

/// Numbers of so many digits each, with a separator between them.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days since 1970-01-01 of a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is their last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 719_469
}
