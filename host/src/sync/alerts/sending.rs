//! Sends one message to one place, and says what came back.

use super::{channel::Target, mail, message::Message, request};
use crate::host::Host;

/// What came of sending a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Whether it was taken.
    pub taken: bool,
    /// What was answered, for people: a sentence, with no more of the answer than
    /// a short excerpt.
    pub answer: String,
}

impl Sent {
    pub(super) fn taken(answer: impl Into<String>) -> Self {
        Self {
            taken: true,
            answer: answer.into(),
        }
    }

    pub(super) fn refused(answer: impl Into<String>) -> Self {
        Self {
            taken: false,
            answer: answer.into(),
        }
    }
}

/// Sends a message. `number` tells it from others: one that is sent again has the
/// same.
pub async fn send(host: &Host, target: &Target, number: &str, message: &Message) -> Sent {
    let link = message.link(host);
    match target {
        Target::Webhook { url, secret } => {
            let body = request::body(number, message, &link);
            request::signed(host, url, secret, number, body).await
        }
        Target::Slack(url) => request::slack(host, url, message, &link).await,
        Target::Email(address) => mail::send(host, address, message, &link).await,
    }
}
