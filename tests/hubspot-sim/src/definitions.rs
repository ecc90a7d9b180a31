//! Property definitions: what a property is called, holds and allows.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::values::iso;

/// What a property holds (HubSpot: properties guide, `type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Text.
    String,
    /// A decimal number.
    Number,
    /// `true` or `false`.
    Bool,
    /// One or several of its options.
    Enumeration,
    /// A day.
    Date,
    /// A moment.
    Datetime,
    /// JSON, as text.
    Json,
    /// A place on a page, as text.
    ObjectCoordinates,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Enumeration => "enumeration",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Json => "json",
            Self::ObjectCoordinates => "object_coordinates",
        }
    }
}

/// How sensitive a property's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// Shown to every app that may read the object.
    #[default]
    NonSensitive,
    /// Shown only with a scope for sensitive data; redacted in webhooks.
    Sensitive,
    /// As sensitive, more so.
    HighlySensitive,
}

impl Sensitivity {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NonSensitive => "non_sensitive",
            Self::Sensitive => "sensitive",
            Self::HighlySensitive => "highly_sensitive",
        }
    }
}

/// One choice of an enumeration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What is stored and sent.
    pub value: String,
    /// What people see.
    pub label: String,
}

/// A property as a test or a customer's administrator defines it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertySpec {
    /// Its internal name.
    pub name: String,
    /// What people see; the name, when empty.
    #[serde(default)]
    pub label: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// How it is edited: `text`, `select`, `radio`, `checkbox`, `booleancheckbox`, …
    #[serde(default, rename = "fieldType")]
    pub field_type: String,
    /// The group it stands in.
    #[serde(default, rename = "groupName")]
    pub group: String,
    /// Its choices, in order.
    #[serde(default)]
    pub options: Vec<Choice>,
    /// Whether no two records may hold the same value.
    #[serde(default, rename = "hasUniqueValue")]
    pub unique: bool,
    /// Whether HubSpot computes it.
    #[serde(default)]
    pub calculated: bool,
    /// How sensitive it is.
    #[serde(default, rename = "dataSensitivity")]
    pub sensitivity: Sensitivity,
    /// Whether numbers are money.
    #[serde(default, rename = "showCurrencySymbol")]
    pub currency: bool,
}

impl PropertySpec {
    fn new(name: &str, kind: Kind, field_type: &str) -> Self {
        Self {
            name: name.to_owned(),
            label: String::new(),
            kind,
            field_type: field_type.to_owned(),
            group: String::new(),
            options: Vec::new(),
            unique: false,
            calculated: false,
            sensitivity: Sensitivity::NonSensitive,
            currency: false,
        }
    }

    /// A line of text.
    #[must_use]
    pub fn text(name: &str) -> Self {
        Self::new(name, Kind::String, "text")
    }

    /// A telephone number: text in free form.
    #[must_use]
    pub fn phone(name: &str) -> Self {
        Self::new(name, Kind::String, "phonenumber")
    }

    /// A number.
    #[must_use]
    pub fn number(name: &str) -> Self {
        Self::new(name, Kind::Number, "number")
    }

    /// An amount of money.
    #[must_use]
    pub fn currency(name: &str) -> Self {
        let mut spec = Self::number(name);
        spec.currency = true;
        spec
    }

    /// Yes or no.
    #[must_use]
    pub fn boolean(name: &str) -> Self {
        let mut spec = Self::new(name, Kind::Bool, "booleancheckbox");
        spec.options = choices(&[("true", "Yes"), ("false", "No")]);
        spec
    }

    /// A day.
    #[must_use]
    pub fn date(name: &str) -> Self {
        Self::new(name, Kind::Date, "date")
    }

    /// A moment.
    #[must_use]
    pub fn datetime(name: &str) -> Self {
        Self::new(name, Kind::Datetime, "date")
    }

    /// One of some choices, given as value and label.
    #[must_use]
    pub fn select(name: &str, options: &[(&str, &str)]) -> Self {
        let mut spec = Self::new(name, Kind::Enumeration, "select");
        spec.options = choices(options);
        spec
    }

    /// One of some choices, shown as radio buttons.
    #[must_use]
    pub fn radio(name: &str, options: &[(&str, &str)]) -> Self {
        let mut spec = Self::select(name, options);
        "radio".clone_into(&mut spec.field_type);
        spec
    }

    /// Any of some choices.
    #[must_use]
    pub fn checkboxes(name: &str, options: &[(&str, &str)]) -> Self {
        let mut spec = Self::select(name, options);
        "checkbox".clone_into(&mut spec.field_type);
        spec
    }

    /// With a label.
    #[must_use]
    pub fn label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    /// Without two records of one value.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Computed by HubSpot: its changes move no stamp and fire no webhook.
    #[must_use]
    pub fn calculated(mut self) -> Self {
        self.calculated = true;
        "calculation_equation".clone_into(&mut self.field_type);
        self
    }

    /// Holding sensitive data.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitivity = Sensitivity::Sensitive;
        self
    }

    /// The definition it becomes.
    pub(crate) fn into_property(self, now: i64) -> Property {
        let label = if self.label.is_empty() {
            self.name.clone()
        } else {
            self.label
        };
        Property {
            label,
            kind: self.kind,
            field_type: self.field_type,
            group: self.group,
            options: self.options,
            external_options: false,
            unique: self.unique,
            calculated: self.calculated,
            read_only: self.calculated,
            sensitivity: self.sensitivity,
            currency: self.currency,
            hubspot_defined: false,
            hidden: false,
            archived_at: None,
            created_at: now,
            updated_at: now,
            name: self.name,
        }
    }
}

pub(crate) fn choices(options: &[(&str, &str)]) -> Vec<Choice> {
    options
        .iter()
        .map(|&(value, label)| Choice {
            value: value.to_owned(),
            label: label.to_owned(),
        })
        .collect()
}

/// A property of one object type of an account.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    pub name: String,
    pub label: String,
    pub kind: Kind,
    pub field_type: String,
    pub group: String,
    pub options: Vec<Choice>,
    /// Options kept elsewhere (owners): any value goes.
    pub external_options: bool,
    pub unique: bool,
    pub calculated: bool,
    /// Whether writing it is refused.
    pub read_only: bool,
    pub sensitivity: Sensitivity,
    pub currency: bool,
    pub hubspot_defined: bool,
    pub hidden: bool,
    pub archived_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
}

impl Property {
    /// Whether a change of it fires a webhook: computed ones do not, nor do last-modified stamps
    /// (HubSpot: webhooks guide, and community reports for the computed ones).
    pub(crate) fn fires(&self) -> bool {
        !self.calculated
            && !matches!(
                self.name.as_str(),
                "hs_lastmodifieddate" | "lastmodifieddate" | "num_unique_conversion_events"
            )
    }

    /// What it was defined as; one that can't be written counts as calculated.
    pub(crate) fn spec(&self) -> PropertySpec {
        PropertySpec {
            name: self.name.clone(),
            label: self.label.clone(),
            kind: self.kind,
            field_type: self.field_type.clone(),
            group: self.group.clone(),
            options: self.options.clone(),
            unique: self.unique,
            calculated: self.calculated || self.read_only,
            sensitivity: self.sensitivity,
            currency: self.currency,
        }
    }

    /// The definition as the properties API writes it.
    pub(crate) fn to_json(&self) -> Value {
        let options: Vec<Value> = self
            .options
            .iter()
            .enumerate()
            .map(|(at, option)| {
                json!({
                    "label": option.label,
                    "value": option.value,
                    "displayOrder": at,
                    "hidden": false,
                    "description": "",
                })
            })
            .collect();
        let mut out = json!({
            "name": self.name,
            "label": self.label,
            "description": "",
            "type": self.kind.name(),
            "fieldType": self.field_type,
            "groupName": self.group,
            "options": options,
            "displayOrder": -1,
            "hasUniqueValue": self.unique,
            "hidden": self.hidden,
            "hubspotDefined": self.hubspot_defined,
            "calculated": self.calculated,
            "externalOptions": self.external_options,
            "archived": self.archived_at.is_some(),
            "createdAt": iso(self.created_at),
            "updatedAt": iso(self.updated_at),
            "dataSensitivity": self.sensitivity.name(),
            "formField": !self.read_only,
            "modificationMetadata": {
                "archivable": !self.hubspot_defined,
                "readOnlyDefinition": self.hubspot_defined,
                "readOnlyValue": self.read_only,
                "readOnlyOptions": self.hubspot_defined,
            },
        });
        if self.currency {
            out["showCurrencySymbol"] = json!(true);
            out["numberDisplayHint"] = json!("currency");
            if self.hubspot_defined {
                out["currencyPropertyName"] = json!("deal_currency_code");
            }
        }
        if self.external_options {
            out["referencedObjectType"] = json!("OWNER");
        }
        if self.field_type == "phonenumber" {
            out["textDisplayHint"] = json!("phone_number");
        }
        if let Some(at) = self.archived_at {
            out["archivedAt"] = json!(iso(at));
        }
        out
    }
}
