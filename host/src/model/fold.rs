//! The one form in which texts are compared where their case is ignored.

use unicode_normalization::UnicodeNormalization;

/// A text without its case: composed (NFC), and each character through lower and
/// upper case to lower case, so that what differs in one of them alone becomes
/// one too, as `ß` and `ss`, or the two small sigmas. A character by itself, not
/// by where it stands: so a part of a text folds to a part of the folded text.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let folded = text
        .nfc()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    folded.nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn texts_that_differ_by_case_or_composition_alone_are_one() {
        for (one, other) in [
            ("Pro", "pRO"),
            ("JOSÉ", "jose\u{301}"),
            ("STRASSE", "straße"),
            ("ΟΔΟΣ", "οδος"),
            ("ÉTÉ", "été"),
        ] {
            assert_eq!(fold(one), fold(other), "{one}");
        }
        assert_ne!(fold("e"), fold("é"));
        assert_ne!(fold("pro"), fold("pro "));
    }

    #[test]
    fn folding_twice_is_folding_once() {
        for text in ["İstanbul", "ŉ", "ǰ", "ΰ", "ﬁn", "ẞ", "e\u{301}\u{327}"] {
            assert_eq!(fold(&fold(text)), fold(text), "{text}");
        }
    }
}
