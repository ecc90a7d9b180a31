//! Why a batch of calls failed, and what that means for the next one.

use std::time::Duration;

use super::{
    definitions, grants,
    put_off::{Reason, Whom, Why},
};
use crate::{
    hubspot::{self, oauth::GrantError, objects::RECORDS_MAX},
    model::Timestamp,
    pipeline::pages,
    plugin::Fault,
    store,
};

/// Why a batch could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The account's grant.
    #[error(transparent)]
    Grant(#[from] grants::Error),
    /// The call.
    #[error(transparent)]
    HubSpot(#[from] hubspot::Error),
    /// The answer.
    #[error(transparent)]
    Page(#[from] pages::Error),
    /// An answer's pages lead back to one another.
    #[error("HubSpot's pages have no end")]
    Endless,
    /// The work itself ended; a defect.
    #[error("the work ended abruptly")]
    Ended,
}

impl From<definitions::Error> for Error {
    fn from(error: definitions::Error) -> Self {
        match error {
            definitions::Error::Grant(error) => Self::Grant(error),
            definitions::Error::HubSpot(error) => Self::HubSpot(error),
            definitions::Error::Plugin(fault) => fault.into(),
            definitions::Error::Ended => Self::Ended,
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Page(fault.into())
    }
}

impl Error {
    /// The plugin version that failed on the answer, by digest.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Page(error) => error.digest(),
            _ => None,
        }
    }

    /// When to call again: at the moment that HubSpot named, or else after a pause, which
    /// a moment that is past already does not take away.
    pub(super) fn again_at(&self, now: Timestamp, pause: Duration) -> Timestamp {
        let told = match self {
            Self::HubSpot(error) => error.retry_at(),
            Self::Grant(error) => error.retry_at(),
            _ => None,
        };
        told.filter(|told| *told > now).unwrap_or(now.plus(pause))
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The same, at once.
    Again,
    /// The same in batches of this many.
    Smaller(usize),
    /// Put the one that is refused off, so that it holds up no other.
    PutOff,
    /// Nothing of this kind for long; other kinds go on.
    Bar,
    /// Wait, then the same.
    Wait,
    /// Nothing, until somebody acts: the connections say so.
    Stop,
}

/// What to do after a failure of a batch of at most `batch_max`.
pub(super) fn next(error: &Error, batch_max: usize) -> Next {
    match error {
        Error::Store(store::Error::Outdated) => Next::Again,
        Error::HubSpot(hubspot::Error::MissingScopes { .. }) => Next::Bar,
        Error::Grant(grants::Error::NoGrant | grants::Error::Grant(GrantError::Revoked)) => {
            Next::Stop
        }
        error if !is_about_the_batch(error) => Next::Wait,
        _ if batch_max > 1 => Next::Smaller(batch_max.min(RECORDS_MAX) / 2),
        _ => Next::PutOff,
    }
}

/// Whether another batch may be answered although this one was not.
fn is_about_the_batch(error: &Error) -> bool {
    match error {
        Error::HubSpot(error) => matches!(
            error,
            hubspot::Error::TooLarge { .. }
                | hubspot::Error::Refused(_)
                | hubspot::Error::NotFound(_)
                | hubspot::Error::Unsendable(_)
                | hubspot::Error::Undecodable { .. }
        ),
        Error::Page(pages::Error::Plugin { fault, .. }) => !fault.is_retryable(),
        Error::Page(pages::Error::Split(_)) | Error::Endless | Error::Ended => true,
        Error::Store(_) | Error::Grant(_) => false,
    }
}

/// What something by itself is put off for.
pub(super) fn why(error: &Error) -> Why {
    Why {
        reason: reason(error),
        whom: Whom::All(error.digest().map(str::to_owned)),
    }
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::HubSpot(hubspot::Error::Undecodable { .. })
        | Error::Page(_)
        | Error::Endless
        | Error::Ended => Reason::NotUnderstood,
        _ => Reason::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Error {
        Error::HubSpot(hubspot::Error::Unsendable("a test"))
    }

    #[test]
    fn what_one_batch_makes_impossible_is_about_the_batch() {
        let fault = hubspot::Fault {
            status: 404,
            category: None,
            sub_category: None,
            correlation_id: None,
        };
        let undecodable = hubspot::Error::Undecodable {
            call: "a test",
            reason: "a test".into(),
        };
        for error in [
            Error::HubSpot(hubspot::Error::NotFound(fault)),
            Error::HubSpot(undecodable),
            Error::Endless,
            Error::Ended,
        ] {
            assert_eq!(next(&error, 2), Next::Smaller(1), "{error}");
            assert_eq!(next(&error, 1), Next::PutOff, "{error}");
        }
        let closed = Error::Store(store::Error::NotFound("anything"));
        assert_eq!(next(&closed, 2), Next::Wait);
    }

    #[test]
    fn a_refused_batch_halves_down_to_the_one_which_is_put_off() {
        let mut batch_max = usize::MAX;
        let mut halvings = 0;
        while let Next::Smaller(smaller) = next(&refused(), batch_max) {
            assert!(smaller < batch_max && smaller > 0);
            batch_max = smaller;
            halvings += 1;
        }
        assert!(halvings < 10);
        assert_eq!(next(&refused(), batch_max), Next::PutOff);
    }

    #[test]
    fn our_own_misconfiguration_waits_and_a_revoked_grant_stops() {
        let code = "invalid_client".to_owned();
        let ours = Error::Grant(GrantError::Misconfigured { code }.into());
        assert_eq!(next(&ours, usize::MAX), Next::Wait);
        assert_eq!(
            next(&Error::Grant(GrantError::Revoked.into()), usize::MAX),
            Next::Stop
        );
        let scopes = vec!["crm.objects.deals.read".to_owned()];
        let missing = Error::HubSpot(hubspot::Error::MissingScopes { scopes });
        assert_eq!(next(&missing, usize::MAX), Next::Bar);
    }

    #[test]
    fn the_moment_that_hubspot_names_counts_but_takes_no_pause_away() {
        let (now, pause) = (Timestamp(1_000_000), Duration::from_secs(300));
        let again_at = |told| {
            let limited = hubspot::Error::RateLimited {
                retry_at: Timestamp(told),
                daily: false,
            };
            Error::HubSpot(limited).again_at(now, pause).0
        };
        // However soon.
        assert_eq!(again_at(1_000_001), 1_000_001);
        assert_eq!(again_at(9_000_000), 9_000_000);
        assert_eq!(again_at(1_000_000), 1_300_000);
        assert_eq!(again_at(1), 1_300_000);
        assert_eq!(Error::Ended.again_at(now, pause).0, 1_300_000);
    }

    #[test]
    fn a_changed_configuration_is_worked_under_at_once() {
        let changed = Error::Store(store::Error::Outdated);
        assert_eq!(next(&changed, usize::MAX), Next::Again);
    }
}
