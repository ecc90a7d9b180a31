//! What a question names.

use super::names::Names;
use crate::model::{ObjectType, RecordId, UserId};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// An e-mail address.
    Email(String),
    /// A record's id, or a user's of the customer's own.
    Number(String),
    /// A record, and its type where that is said.
    Record(Option<ObjectType>, RecordId),
    /// A user by Jimo's own id.
    User(UserId),
    /// A user by the customer's own id.
    ExternalId(String),
}

/// Reads a question; none where it names nothing.
pub(super) fn read(question: &str, names: &Names) -> Option<Subject> {
    let question = question.trim();
    if question.is_empty() {
        return None;
    }
    if let Ok(user) = question.parse() {
        return Some(Subject::User(user));
    }
    if question.starts_with("https://") || question.starts_with("http://") {
        // The address of a record's page ends with its id.
        let path = question.split(['?', '#']).next().unwrap_or_default();
        let id = path.trim_end_matches('/').rsplit('/').next()?;
        return is_id(id).then(|| Subject::Record(None, id.into()));
    }
    if question.contains('@') {
        return Some(Subject::Email(question.to_owned()));
    }
    if is_id(question) {
        return Some(Subject::Number(question.to_owned()));
    }
    let split = question.split_once([' ', '/', ':', '#']);
    if let Some((word, id)) = split {
        let id = id.trim().trim_start_matches('#');
        if let Some(object_type) = names.meant(word)
            && is_id(id)
        {
            return Some(Subject::Record(Some(object_type.clone()), id.into()));
        }
    }
    Some(Subject::ExternalId(question.to_owned()))
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(question: &str, expected: Option<Subject>) {
        let names = Names::from([("contacts", "contact"), ("companies", "company")]);
        assert_eq!(read(question, &names), expected, "{question}");
    }

    #[test]
    fn a_question_names_a_person_or_a_record() {
        let email = |text: &str| Some(Subject::Email(text.to_owned()));
        check(" ana@example.com\n", email("ana@example.com"));
        check("551", Some(Subject::Number("551".to_owned())));
        check(
            "https://app.hubspot.com/contacts/48/record/0-1/551?eschref=x",
            Some(Subject::Record(None, "551".into())),
        );
        let company = Some(Subject::Record(Some("companies".into()), "7".into()));
        check("company 7", company.clone());
        check("companies/7", company.clone());
        check("Company #7", company);
        check("usr_3", Some(Subject::User(UserId(3))));
        let external = |text: &str| Some(Subject::ExternalId(text.to_owned()));
        check("u_20481", external("u_20481"));
        check("tenant 7", external("tenant 7"));
        check("  ", None);
        check("https://example.com/", None);
    }
}
