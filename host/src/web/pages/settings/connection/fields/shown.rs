//! What the pages of fields show of properties and of how they are mapped.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    host::Host,
    model::{
        ConnectionId, ObjectType, ProjectId, PropertyName, SelectionRule, Shown as Show, Value,
    },
    store::variables::Variable,
    sync::samples::{self, Samples},
    web::{
        api::{
            mapping_document::FieldDocument,
            properties::{self, Property},
        },
        error::Error,
        pages::format::{Calendar, Shown, type_name},
    },
};

/// How long a page waits for HubSpot before it is shown without.
const PATIENCE: Duration = Duration::from_secs(6);

/// What HubSpot says of an object type's properties.
pub struct Known {
    /// By name.
    pub properties: Vec<Property>,
    /// What some records have; none where that could not be read.
    pub samples: Option<Arc<Samples>>,
}

/// A value that shows what a property is like.
pub enum Sample {
    /// One that some record has.
    Of(Shown),
    /// None of those that were looked at has any.
    None,
    /// None could be read.
    Unread,
}

/// What HubSpot says of an object type's properties, or why that is not known now;
/// with samples, where these are wanted.
pub async fn known(
    host: &Arc<Host>,
    (project, id): (ProjectId, ConnectionId),
    object_type: &ObjectType,
    with_samples: bool,
) -> Result<Known, String> {
    let properties = soon(properties::of(host, project, id, object_type)).await?;
    let samples = async {
        let account = properties::account(host, project, id).await?;
        Ok::<_, Error>(samples::of(host, account, object_type).await?)
    };
    let samples = match with_samples {
        true => match soon(samples).await {
            Ok(samples) => Some(samples),
            Err(why) => {
                tracing::warn!(why, "sample values could not be read");
                None
            }
        },
        false => Some(Arc::default()),
    };
    Ok(Known {
        properties,
        samples,
    })
}

/// What HubSpot says, or why it is not known now, for people.
pub async fn soon<T, E: Into<Error>>(
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(said) => said.map_err(|error| error.into().detail()),
        // It goes on, and is there when it is asked for again.
        Err(_) => Err("HubSpot takes longer than usual to answer.".to_owned()),
    }
}

impl Known {
    /// A property.
    pub fn property(&self, name: &PropertyName) -> Option<&Property> {
        let at = self.properties.binary_search_by(|one| one.name.cmp(name));
        at.ok().map(|at| &self.properties[at])
    }
}

/// A property's name as words, where its label is not known: `Customer number`.
pub fn in_words(name: &PropertyName) -> String {
    let words = name.as_str().replace('_', " ");
    let mut letters = words.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// What people call the type of a property.
pub fn kind(property: &Property) -> &str {
    match (&*property.property_type, &*property.field_type) {
        ("enumeration", "checkbox") => "Several choices",
        ("enumeration", _) => "Choice",
        ("string", "textarea") => "Long text",
        ("string", "html") => "Rich text",
        ("string", _) => "Text",
        ("number", _) => "Number",
        ("bool", _) => "Yes or no",
        ("date", _) => "Date",
        ("datetime", _) => "Date and time",
        ("phone_number", _) => "Phone number",
        (other, _) => other,
    }
}

/// Whether people choose its values, each of which has a label.
pub fn has_choices(property: &Property) -> bool {
    property.property_type == "enumeration"
}

/// Something to know of a property before it is mapped.
#[derive(Clone, Copy)]
pub struct Note {
    /// In a word or two.
    pub word: &'static str,
    /// In a sentence.
    pub detail: &'static str,
}

/// What is to be known of a property.
pub fn notes(property: &Property) -> Vec<Note> {
    let mut notes = Vec::new();
    if property.calculated {
        notes.push(Note {
            word: "Read nightly",
            detail: "HubSpot computes it and tells nobody when it changes, so it is brought up \
                     to date with the daily catch-up.",
        });
    }
    if property.sensitive {
        notes.push(Note {
            word: "Sensitive",
            detail: "HubSpot hides the values of sensitive properties from other products.",
        });
    }
    notes
}

/// A sample of a property, as a field shows it.
pub fn sample(known: &Known, property: &Property, show: Show, calendar: &Calendar) -> Sample {
    let Some(samples) = &known.samples else {
        return Sample::Unread;
    };
    let label = |text: &String| {
        let mut options = property.options.iter();
        let found = options.find(|option| option.value == *text);
        found.map_or_else(|| text.clone(), |option| option.label.clone())
    };
    let Some(sample) = samples.get(&property.name) else {
        return Sample::None;
    };
    let value = match (sample, show) {
        (Value::Text(text), Show::Label) => Value::Text(label(text)),
        (Value::List(items), Show::Label) => Value::List(items.iter().map(label).collect()),
        (value, _) => value.clone(),
    };
    Sample::Of(calendar.value_of(property.name.as_str(), &value))
}

/// A field that is mapped, as its row shows it.
pub struct Row {
    /// HubSpot's name of the property.
    pub property: String,
    /// What people call it; its name, where that is not known.
    pub label: String,
    /// What people call its type; nothing where that is not known.
    pub kind: String,
    pub notes: Vec<Note>,
    pub sample: Sample,
    pub variable: String,
    pub variable_type: &'static str,
    /// Whether the variable is made when the fields are saved.
    pub is_new: bool,
    /// Whether the variable had values of Jimo's own side, which are replaced.
    pub is_taken_over: bool,
    /// What of its choices it shows; none where it has none.
    pub choices: Option<Choices>,
    /// Whether it is not saved yet.
    pub is_unsaved: bool,
    /// Whether HubSpot does not have the property any more.
    pub is_gone: bool,
}

/// What a field shows of a property's choices.
pub struct Choices {
    /// Whether labels, else internal values.
    pub labels: bool,
    /// Whether labels can be shown.
    pub available: bool,
}

impl Row {
    /// The row of a field.
    pub fn new(
        field: &FieldDocument,
        saved: Option<&FieldDocument>,
        known: Option<&Known>,
        variables: &HashMap<String, Variable>,
        calendar: &Calendar,
    ) -> Self {
        let property = known.and_then(|known| known.property(&field.property));
        let variable = variables.get(&field.variable);
        let suggested = property.and_then(|property| property.suggested_variable_type);
        let variable_type = variable
            .map(|variable| variable.variable_type)
            .or(field.variable_type)
            .or(suggested);
        let labels = field.show == Show::Label;
        let choices = property.filter(|property| has_choices(property));
        let choices = choices.and_then(|property| property.labels.as_ref());
        let choices = choices.map(|said| Choices {
            labels,
            available: said.available,
        });
        Self {
            property: field.property.to_string(),
            label: property.map_or_else(|| field.property.to_string(), |one| one.label.clone()),
            kind: property.map_or_else(String::new, |one| kind(one).to_owned()),
            notes: property.map(notes).unwrap_or_default(),
            sample: known
                .zip(property)
                .map_or(Sample::None, |(known, property)| {
                    sample(known, property, field.show, calendar)
                }),
            variable: field.variable.clone(),
            variable_type: variable_type.map_or("", type_name),
            is_new: variable.is_none(),
            is_taken_over: field.take_over && saved.is_none(),
            choices,
            is_unsaved: saved.is_none_or(|saved| saved.show != field.show),
            is_gone: known.is_some() && property.is_none(),
        }
    }
}

/// Which of several records feeds a user, in plain words.
pub fn selection_words(rule: SelectionRule, singular: &str) -> String {
    match rule {
        SelectionRule::Primary => format!("The primary {singular} of the contact"),
        SelectionRule::LatestModified => format!("The {singular} that changed last"),
        SelectionRule::LatestCreated => format!("The {singular} that was created last"),
        SelectionRule::Largest => format!("The {singular} with the largest…"),
    }
}
