//! What pages say of HubSpot where it does not answer, and of a run that waits for it.

use super::super::super::format::Calendar;
use crate::{
    model::Timestamp,
    sync::silences::{Pause, Silence, Why},
};

const FOR_HUBSPOT: &str = "Waits for HubSpot";

/// Since when HubSpot does not answer, why, and when it is asked again.
pub(super) fn of_account(silence: &Silence, calendar: &Calendar, now: Timestamp) -> String {
    format!(
        "HubSpot has not answered since {}: {}. {}",
        calendar.moment(silence.since).text,
        unanswered(silence.why),
        again(silence.again_at, calendar, now)
    )
}

/// What a run waits for, in a word or three and in full; nothing where it goes on.
pub(super) fn of_run(
    silence: Option<Silence>,
    pause: Option<Pause>,
    calendar: &Calendar,
    now: Timestamp,
) -> Option<(&'static str, String)> {
    if let Some(mut silence) = silence {
        if let Some(pause) = pause {
            silence.again_at = Some(pause.until);
        }
        return Some((FOR_HUBSPOT, of_account(&silence, calendar, now)));
    }
    let pause = pause?;
    let (word, what) = match pause.why {
        Why::Status(_) | Why::Unreachable => {
            let why = unanswered(pause.why);
            let what = format!("HubSpot did not answer the last call: {why}.");
            (FOR_HUBSPOT, what)
        }
        Why::Limit => {
            let what = "The account’s request limit is used up for now.";
            (FOR_HUBSPOT, what.to_owned())
        }
        Why::Other => ("Is tried again", "The last step failed.".to_owned()),
    };
    let again = again(Some(pause.until), calendar, now);
    Some((word, format!("{what} {again}")))
}

fn unanswered(why: Why) -> String {
    match why {
        Why::Status(status) => format!("it says that it is unavailable (status {status})"),
        _ => "it cannot be reached".to_owned(),
    }
}

fn again(at: Option<Timestamp>, calendar: &Calendar, now: Timestamp) -> String {
    match at.filter(|at| *at > now) {
        Some(at) => format!("The next try: {}.", calendar.moment(at).text),
        None => "It is asked again by itself.".to_owned(),
    }
}
