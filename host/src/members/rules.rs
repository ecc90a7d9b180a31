//! What names, addresses and passwords have to be. Each refusal is a sentence
//! for the person who typed it.

use crate::{
    model::{KeyKind, normalise},
    secrets::Secret,
    store::members::Email,
};

/// The longest name, in characters.
pub const NAME_LENGTH_MAX: usize = 100;

/// The longest e-mail address, in bytes (RFC 5321 §4.5.3).
pub const EMAIL_BYTES_MAX: usize = 254;

/// The shortest password, in characters. Length is what counts: NIST
/// SP 800-63B §3.1.1.2 advises against rules of composition.
pub const PASSWORD_LENGTH_MIN: usize = 12;

/// The longest password, in characters.
pub const PASSWORD_LENGTH_MAX: usize = 128;

/// A name.
///
/// # Errors
///
/// What is wrong with it.
pub fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let length = name.chars().count();
    if !(1..=NAME_LENGTH_MAX).contains(&length) || name.chars().any(char::is_control) {
        return Err(format!(
            "A name has 1 to {NAME_LENGTH_MAX} characters, on one line."
        ));
    }
    Ok(name.to_owned())
}

/// An e-mail address. Only its form is looked at.
///
/// # Errors
///
/// What is wrong with it.
pub fn email(text: &str) -> Result<Email, String> {
    let text = text.trim();
    let is_one = text.len() <= EMAIL_BYTES_MAX
        && !text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c))
        && matches!(
            text.split('@').collect::<Vec<_>>().as_slice(),
            [local, domain] if !local.is_empty() && !domain.is_empty()
        );
    let key = normalise(KeyKind::Email, text).filter(|_| is_one);
    let key = key.ok_or("This is no e-mail address, such as ana@example.com.")?;
    Ok(Email {
        text: text.to_owned(),
        key,
    })
}

/// A new password of who has an address.
///
/// # Errors
///
/// What is wrong with it.
pub fn password(password: &Secret, email: &str) -> Result<(), String> {
    let text = password.expose();
    let length = text.chars().count();
    if length < PASSWORD_LENGTH_MIN {
        return Err(format!(
            "Choose at least {PASSWORD_LENGTH_MIN} characters. A few words in a row are good."
        ));
    }
    if length > PASSWORD_LENGTH_MAX {
        return Err(format!(
            "Choose at most {PASSWORD_LENGTH_MAX} characters; this one has {length}."
        ));
    }
    let key = normalise(KeyKind::Email, email).unwrap_or_default();
    let text = normalise(KeyKind::Email, text).unwrap_or_default();
    if !key.is_empty() && text.contains(&key) {
        return Err("A password may not contain your e-mail address.".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_twelve_to_a_hundred_and_twenty_eight_characters_and_not_the_address() {
        let judge = |text: &str| password(&Secret::from(text), " Ana@Example.com");
        for good in [
            "twelve chars",
            &"é".repeat(PASSWORD_LENGTH_MIN),
            &"é".repeat(PASSWORD_LENGTH_MAX),
            "my name is ana, at example.com",
        ] {
            assert_eq!(judge(good), Ok(()), "{good}");
        }
        for (bad, told) in [
            ("", "at least 12"),
            ("eleven char", "at least 12"),
            (&"é".repeat(PASSWORD_LENGTH_MIN - 1), "at least 12"),
            (&"é".repeat(PASSWORD_LENGTH_MAX + 1), "at most 128"),
            ("ana@example.com", "e-mail"),
            ("...ANA@example.COM!", "e-mail"),
        ] {
            let refusal = judge(bad).expect_err(bad);
            assert!(refusal.contains(told), "{bad}: {refusal}");
        }
    }

    #[test]
    fn an_address_has_one_at_with_something_on_both_sides() {
        let read = email("  Ana@Example.com ").expect("address");
        assert_eq!(
            (read.text.as_str(), read.key.as_str()),
            ("Ana@Example.com", "ana@example.com")
        );
        let longest = format!("{}@example.com", "a".repeat(EMAIL_BYTES_MAX - 12));
        email(&longest).expect("as long as may be");
        for bad in [
            "",
            "ana",
            "@example.com",
            "ana@",
            "a@b@c",
            "ana ruiz@example.com",
            "Ana <ana@example.com>",
            "ana@example.com,mei@example.com",
            "ana@exam\nple.com",
            &format!("a{longest}"),
        ] {
            email(bad).expect_err(bad);
        }
    }

    #[test]
    fn a_name_is_one_line_of_up_to_a_hundred_characters() {
        assert_eq!(name(" Ana Ruiz ").as_deref(), Ok("Ana Ruiz"));
        name(&"é".repeat(NAME_LENGTH_MAX)).expect("as long as may be");
        for bad in ["", "  ", "a\nb", &"é".repeat(NAME_LENGTH_MAX + 1)] {
            name(bad).expect_err(bad);
        }
    }
}
