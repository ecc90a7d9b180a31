//! What words of the API mean, for people.

/// Why a record did nothing, or not all: in a few words, and what to make of it.
pub fn reason(word: &str) -> (&'static str, &'static str) {
    match word {
        "no_match" => (
            "No Jimo user matches",
            "No user has the value of this record’s matching field. Records without a match are skipped; users are never created.",
        ),
        "not_reached" => (
            "Waits for its contact",
            "No contact that matches a user is known to have it yet. As soon as one is, it is read by itself.",
        ),
        "no_record" => (
            "Not in HubSpot",
            "No record in HubSpot has this user’s value of the matching field.",
        ),
        "older" => (
            "Known already",
            "What it says was known, or something newer is.",
        ),
        "deleted" => ("Deleted", "The record is deleted where it comes from."),
        "erased" => (
            "Erased",
            "The record was deleted for privacy; nothing of it is kept.",
        ),
        "before_mapping" => (
            "From before the field was mapped",
            "Adding a field brings nothing that changed before. A full sync does.",
        ),
        "held" => (
            "Held",
            "It would take values from many users at once, so it waits until you say so.",
        ),
        "unreadable" => (
            "Any value that could not be read",
            "The value before stays. The line says which, and why.",
        ),
        "redacted" => ("Hidden by HubSpot", "HubSpot hides the value from us."),
        "malformed" => (
            "Does not fit the type",
            "The value cannot be read as the attribute’s type; the value before stays.",
        ),
        "too_long" => (
            "Too long",
            "Jimo takes at most 700 characters in an attribute; the value before stays.",
        ),
        "out_of_range" => (
            "Out of range",
            "The number or date is beyond what an attribute holds; the value before stays.",
        ),
        "unknown_choice" => (
            "Unknown choice",
            "The choice’s label is not known yet; it is asked for by itself.",
        ),
        "match_not_told" => (
            "Matching field not told",
            "What came did not hold the matching field, so nothing new is known of a match.",
        ),
        "read_older"
        | "read_missing"
        | "read_refused"
        | "read_unanswered"
        | "read_not_understood"
        | "failed"
        | "read_put_off" => (
            "Could not be read",
            "HubSpot did not answer well enough, several times. It is tried again later by itself.",
        ),
        _ => ("Another reason", "The activity log says more."),
    }
}

/// Why a catch-up had to mend what live had missed.
pub fn missed(kind: &str) -> &'static str {
    match kind {
        "deletion" => "Deleted or restored records",
        "merge" => "Merged records",
        "match" => "New records or matches",
        "association" => "Changed associations",
        "property" => "Changed values",
        "calculated" => "Calculated values",
        _ => "Others",
    }
}
