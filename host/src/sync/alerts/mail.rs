//! Alerts by mail.

use std::time::{Duration, SystemTime};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use url::Url;

use super::{message::Message, sending::Sent};
use crate::host::Host;

/// How long each step of giving a mail to the server may take.
const STEP_MAX: Duration = Duration::from_secs(10);

/// How long giving a mail to the server may take in all.
const TOTAL_MAX: Duration = Duration::from_secs(30);

/// Sends a mail.
pub(super) async fn send(host: &Host, to: &Address, message: &Message, link: &Url) -> Sent {
    let alerts = &host.config.alerts;
    let (Some(server), Some(from)) = (&alerts.smtp_url, &alerts.mail_from) else {
        return Sent::refused("This host sends no mails: JIMO_SMTP_URL is not set.");
    };
    let Ok(from) = from.parse::<Mailbox>() else {
        return Sent::refused("JIMO_MAIL_FROM is no address that mails can be from.");
    };
    let now = u64::try_from(message.at.0).unwrap_or_default();
    let mail = Mail::builder()
        .from(from)
        .to(Mailbox::new(None, to.clone()))
        .subject(&message.title)
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(now))
        .header(ContentType::TEXT_PLAIN)
        .body(text(message, link));
    let Ok(mail) = mail else {
        return Sent::refused("No mail can be made of this address.");
    };
    let Ok(server) = AsyncSmtpTransport::<Tokio1Executor>::from_url(server.expose()) else {
        return Sent::refused("JIMO_SMTP_URL is no address of a mail server.");
    };
    let server = server.timeout(Some(STEP_MAX)).build();
    match tokio::time::timeout(TOTAL_MAX, server.send(mail)).await {
        Ok(Ok(answer)) => Sent::taken(format!("The mail server took it ({}).", answer.code())),
        Ok(Err(error)) => Sent::refused(failed(&error)),
        Err(_) => Sent::refused("The mail server did not answer in time."),
    }
}

fn text(message: &Message, link: &Url) -> String {
    let mut text = format!("{}\n\n{}\n", message.title, message.detail);
    if !message.remedy.is_empty() {
        text.push_str(&format!("\n{}\n", message.remedy));
    }
    let project = message.project.name.as_deref().unwrap_or_default();
    text.push_str(&format!(
        "\nOpen in Jimo: {link}\n\n-- \nJimo project {project}. An admin of the project can remove \
         this address under Settings, Integrations, Alerts.\n"
    ));
    text
}

/// What went wrong, for people: the server's own words where it has some, for
/// these say what to do.
fn failed(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("The mail server refused it ({code})."),
        None if error.is_timeout() => "The mail server did not answer in time.".to_owned(),
        None if error.is_tls() => "No safe connection to the mail server could be made.".to_owned(),
        None => "The mail server could not be reached.".to_owned(),
    }
}
