//! Who may deliver in a source's name: signatures, checked as the body comes.

use axum::http::HeaderMap;

use super::{Source, push};
use crate::{
    hubspot::{oauth, signature},
    model::Timestamp,
    secrets::Secret,
};

/// Why a delivery is not believed to be its source's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header is missing.
    #[error("there is no signature")]
    Missing,
    /// It was signed too long ago, or too far ahead of our clock.
    #[error("the request was signed more than five minutes ago, or in the future")]
    Untimely,
    /// It is not of the form that the source's signatures have.
    #[error("the signature, or its timestamp, is malformed")]
    Malformed,
    /// The signature is another one: of another secret, address or body.
    #[error("the signature does not match")]
    Mismatch,
}

impl From<signature::SignatureError> for SignatureError {
    fn from(error: signature::SignatureError) -> Self {
        use signature::SignatureError as HubSpot;
        match error {
            HubSpot::Stale | HubSpot::Future => Self::Untimely,
            HubSpot::MalformedTimestamp | HubSpot::MalformedSignature => Self::Malformed,
            HubSpot::Mismatch => Self::Mismatch,
        }
    }
}

/// The sources that may deliver to this host.
#[derive(Clone, Debug)]
pub struct Senders {
    app: Option<oauth::App>,
    secrets: push::Secrets,
}

impl Senders {
    /// HubSpot, where an app is set, and the sources that a secret is set for.
    pub fn new(app: Option<oauth::App>, secrets: push::Secrets) -> Self {
        Self { app, secrets }
    }

    /// Whoever delivers in a connector's name; none where nobody may.
    pub fn of(&self, connector: &str) -> Option<Sender<'_>> {
        match Source::of(connector) {
            Source::HubSpot => self.app.as_ref().map(Sender::HubSpot),
            Source::Push => self.secrets.of(connector).map(Sender::Push),
        }
    }

    /// The secret of a source that only pushes; none where none is set.
    pub fn secret(&self, connector: &str) -> Option<&push::SharedSecret> {
        self.secrets.of(connector)
    }
}

/// Whoever delivers in a source's name.
#[derive(Clone, Copy, Debug)]
pub enum Sender<'s> {
    /// HubSpot, in an app's.
    HubSpot(&'s oauth::App),
    /// A source that only pushes, by the secret that it shares with this host.
    Push(&'s push::SharedSecret),
}

impl<'s> Sender<'s> {
    /// Reads what a request says of its signature. `target`: the address as the
    /// source knows it, which some sign.
    ///
    /// # Errors
    ///
    /// Whatever can be told before the body is there.
    pub fn signed<'h>(
        self,
        headers: &'h HeaderMap,
        target: &'h str,
        now: Timestamp,
    ) -> Result<Signed<'s, 'h>, SignatureError> {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.ok_or(SignatureError::Missing)
        };
        match self {
            Self::HubSpot(app) => {
                let timestamp = header(signature::TIMESTAMP_HEADER)?;
                let signed = header(signature::SIGNATURE_HEADER)?;
                let stamped = signature::Stamped::read(timestamp, signed, now)?;
                Ok(Signed::HubSpot(stamped, &app.client_secret, target))
            }
            Self::Push(secret) => {
                let stamped = push::Stamped::read(
                    header(push::ID_HEADER)?,
                    header(push::TIMESTAMP_HEADER)?,
                    header(push::SIGNATURE_HEADER)?,
                    now,
                )?;
                Ok(Signed::Push(stamped, secret))
            }
        }
    }
}

/// A request whose signature can be good.
pub enum Signed<'s, 'h> {
    /// As HubSpot signs.
    HubSpot(signature::Stamped<'h>, &'s Secret, &'h str),
    /// As sources sign that only push.
    Push(push::Stamped<'h>, &'s push::SharedSecret),
}

impl<'h> Signed<'_, 'h> {
    /// Begins the check, to be fed the body as it comes.
    pub fn begin(self) -> Check<'h> {
        match self {
            Self::HubSpot(stamped, secret, target) => {
                Check::HubSpot(stamped.begin(secret, "POST", target))
            }
            Self::Push(stamped, secret) => Check::Push(stamped.begin(secret)),
        }
    }
}

/// A check that is under way.
pub enum Check<'h> {
    /// As HubSpot signs.
    HubSpot(signature::Check<'h>),
    /// As sources sign that only push.
    Push(push::Check),
}

impl Check<'_> {
    /// Takes the next part of the body.
    pub fn update(&mut self, part: &[u8]) {
        match self {
            Self::HubSpot(check) => check.update(part),
            Self::Push(check) => check.update(part),
        }
    }

    /// Whether the signature is that of all that was taken.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Mismatch`].
    pub fn finish(self) -> Result<(), SignatureError> {
        match self {
            Self::HubSpot(check) => check.finish().map_err(SignatureError::from),
            Self::Push(check) => check.finish(),
        }
    }
}
