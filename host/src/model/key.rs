//! Bringing both sides of a match to one form.

use unicode_normalization::UnicodeNormalization;

use super::KeyKind;

/// Longest key that is compared, in bytes of its normalised form. An e-mail
/// address has at most 254 (RFC 5321 §4.5.3); ids are short.
const KEY_BYTES_MAX: usize = 1_024;

/// Widest exponent of a number that is still an id.
const EXPONENT_MAX: u64 = 64;

/// The one form of a key; none where the text cannot be a key of this kind.
pub fn normalise(kind: KeyKind, text: &str) -> Option<String> {
    let trimmed = text.trim();
    let key = match kind {
        KeyKind::Email => trimmed
            .nfc()
            .collect::<String>()
            .to_lowercase()
            .nfc()
            .collect(),
        KeyKind::Id => trimmed.to_owned(),
        KeyKind::Number => canonical_number(trimmed)?,
    };
    (!key.is_empty() && key.len() <= KEY_BYTES_MAX && !key.contains('\0')).then_some(key)
}

/// A decimal number without sign of plus, leading or trailing zeros, point or
/// exponent beyond need: `0123`, `123.0` and `1.23e2` are all `123`.
fn canonical_number(text: &str) -> Option<String> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if exponent.unsigned_abs() > EXPONENT_MAX || mantissa.len() > KEY_BYTES_MAX {
        return None;
    }
    let mut digits = format!("{whole}{fraction}");
    // Where the point stands, counted from the left of `digits`.
    let mut point = whole.len() as i64 + exponent;
    while point < 0 {
        digits.insert(0, '0');
        point += 1;
    }
    while (digits.len() as i64) < point {
        digits.push('0');
    }
    let (whole, fraction) = digits.split_at(point as usize);
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let sign = if negative && !(whole.is_empty() && fraction.is_empty()) {
        "-"
    } else {
        ""
    };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match fraction {
        "" => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_compared_whatever_its_case_spaces_and_composition() {
        let composed = normalise(KeyKind::Email, " JOSÉ@Example.com ");
        let decomposed = normalise(KeyKind::Email, "jose\u{301}@example.COM");
        assert_eq!(composed.as_deref(), Some("josé@example.com"));
        assert_eq!(composed, decomposed);
    }

    #[test]
    fn an_id_keeps_its_case() {
        assert_eq!(normalise(KeyKind::Id, " Ab-01 ").as_deref(), Some("Ab-01"));
    }

    #[test]
    fn a_number_has_one_form() {
        for text in [
            "123", "0123", "123.0", "+123", "1.23e2", "12300E-2", " 123. ",
        ] {
            assert_eq!(
                normalise(KeyKind::Number, text).as_deref(),
                Some("123"),
                "{text}"
            );
        }
        assert_eq!(normalise(KeyKind::Number, "-0.50").as_deref(), Some("-0.5"));
        assert_eq!(normalise(KeyKind::Number, "-0").as_deref(), Some("0"));
        assert_eq!(normalise(KeyKind::Number, "5e-3").as_deref(), Some("0.005"));
        assert_eq!(
            normalise(KeyKind::Number, "90071992547409931").as_deref(),
            Some("90071992547409931")
        );
    }

    #[test]
    fn what_cannot_be_a_key_is_none() {
        for text in [
            "",
            " ",
            ".",
            "-",
            "1e999",
            "1e-9223372036854775808",
            "12a",
            "1.2.3",
        ] {
            assert_eq!(normalise(KeyKind::Number, text), None, "{text}");
        }
        assert_eq!(normalise(KeyKind::Email, "  "), None);
        assert_eq!(normalise(KeyKind::Id, "a\0b"), None);
    }
}
