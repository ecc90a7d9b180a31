//! The properties that every account has from the start.
//!
//! Names, types and options are those of HubSpot's default properties (knowledge base: default
//! contact, company and deal properties), a choice that has every type.

use crate::crm::ObjectType;
use crate::definitions::{Kind, Property, PropertySpec, choices};

/// What is special about a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trait {
    Plain,
    ReadOnly,
    Calculated,
    Owner,
    Currency,
    Unique,
}

use Trait::{Calculated, Currency, Owner, Plain, ReadOnly, Unique};

type Row = (
    &'static str,
    &'static str,
    Kind,
    &'static str,
    Trait,
    &'static [(&'static str, &'static str)],
);

const YES_NO: &[(&str, &str)] = &[("true", "Yes"), ("false", "No")];

const LIFECYCLE: &[(&str, &str)] = &[
    ("subscriber", "Subscriber"),
    ("lead", "Lead"),
    ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"),
    ("opportunity", "Opportunity"),
    ("customer", "Customer"),
    ("evangelist", "Evangelist"),
    ("other", "Other"),
];

const LEAD_STATUS: &[(&str, &str)] = &[
    ("NEW", "New"),
    ("OPEN", "Open"),
    ("IN_PROGRESS", "In Progress"),
    ("OPEN_DEAL", "Open Deal"),
    ("UNQUALIFIED", "Unqualified"),
    ("ATTEMPTED_TO_CONTACT", "Attempted to Contact"),
    ("CONNECTED", "Connected"),
    ("BAD_TIMING", "Bad Timing"),
];

const BUYING_ROLE: &[(&str, &str)] = &[
    ("BLOCKER", "Blocker"),
    ("BUDGET_HOLDER", "Budget Holder"),
    ("CHAMPION", "Champion"),
    ("DECISION_MAKER", "Decision Maker"),
    ("END_USER", "End User"),
    ("INFLUENCER", "Influencer"),
];

const INDUSTRY: &[(&str, &str)] = &[
    ("ACCOUNTING", "Accounting"),
    ("BANKING", "Banking"),
    ("BIOTECHNOLOGY", "Biotechnology"),
    ("COMPUTER_SOFTWARE", "Computer Software"),
    ("EDUCATION_MANAGEMENT", "Education Management"),
    ("FINANCIAL_SERVICES", "Financial Services"),
    ("HOSPITAL_HEALTH_CARE", "Hospital & Health Care"),
    ("INTERNET", "Internet"),
    ("MARKETING_AND_ADVERTISING", "Marketing and Advertising"),
    ("RETAIL", "Retail"),
];

const COMPANY_TYPE: &[(&str, &str)] = &[
    ("PROSPECT", "Prospect"),
    ("PARTNER", "Partner"),
    ("RESELLER", "Reseller"),
    ("VENDOR", "Vendor"),
    ("OTHER", "Other"),
];

/// Stages of the one sales pipeline, with whether a deal there is closed and how likely it is won.
pub(crate) const STAGES: &[(&str, &str, bool, &str)] = &[
    (
        "appointmentscheduled",
        "Appointment Scheduled",
        false,
        "0.2",
    ),
    ("qualifiedtobuy", "Qualified To Buy", false, "0.4"),
    (
        "presentationscheduled",
        "Presentation Scheduled",
        false,
        "0.6",
    ),
    (
        "decisionmakerboughtin",
        "Decision Maker Bought-In",
        false,
        "0.8",
    ),
    ("contractsent", "Contract Sent", false, "0.9"),
    ("closedwon", "Closed Won", true, "1.0"),
    ("closedlost", "Closed Lost", true, "0.0"),
];

const STAGE_OPTIONS: &[(&str, &str)] = &[
    ("appointmentscheduled", "Appointment Scheduled"),
    ("qualifiedtobuy", "Qualified To Buy"),
    ("presentationscheduled", "Presentation Scheduled"),
    ("decisionmakerboughtin", "Decision Maker Bought-In"),
    ("contractsent", "Contract Sent"),
    ("closedwon", "Closed Won"),
    ("closedlost", "Closed Lost"),
];

const DEAL_TYPE: &[(&str, &str)] = &[
    ("newbusiness", "New Business"),
    ("existingbusiness", "Existing Business"),
];

const PRIORITY: &[(&str, &str)] = &[("low", "Low"), ("medium", "Medium"), ("high", "High")];

const CURRENCIES: &[(&str, &str)] = &[("EUR", "EUR"), ("GBP", "GBP"), ("USD", "USD")];

/// Rows that all three types have.
#[rustfmt::skip]
const COMMON: &[Row] = &[
    ("createdate", "Create Date", Kind::Datetime, "date", ReadOnly, &[]),
    ("hs_object_id", "Record ID", Kind::Number, "number", ReadOnly, &[]),
    ("hs_merged_object_ids", "Merged Record IDs", Kind::Enumeration, "checkbox", ReadOnly, &[]),
    ("hs_lastmodifieddate", "Last Modified Date", Kind::Datetime, "date", ReadOnly, &[]),
    ("hubspot_owner_id", "Owner", Kind::Enumeration, "select", Owner, &[]),
    ("notes_last_updated", "Last Activity Date", Kind::Datetime, "date", ReadOnly, &[]),
    ("hs_object_source", "Record source", Kind::String, "text", ReadOnly, &[]),
    ("closedate", "Close Date", Kind::Datetime, "date", Plain, &[]),
];

/// Rows that contacts and companies have.
#[rustfmt::skip]
const CUSTOMERS: &[Row] = &[
    ("phone", "Phone Number", Kind::String, "phonenumber", Plain, &[]),
    ("website", "Website URL", Kind::String, "text", Plain, &[]),
    ("address", "Street Address", Kind::String, "text", Plain, &[]),
    ("city", "City", Kind::String, "text", Plain, &[]),
    ("state", "State/Region", Kind::String, "text", Plain, &[]),
    ("zip", "Postal Code", Kind::String, "text", Plain, &[]),
    ("country", "Country/Region", Kind::String, "text", Plain, &[]),
    ("lifecyclestage", "Lifecycle Stage", Kind::Enumeration, "radio", Plain, LIFECYCLE),
    ("hs_lead_status", "Lead Status", Kind::Enumeration, "radio", Plain, LEAD_STATUS),
    ("num_associated_deals", "Number of Associated Deals", Kind::Number, "calculation_rollup", Calculated, &[]),
];

#[rustfmt::skip]
const CONTACTS: &[Row] = &[
    ("email", "Email", Kind::String, "text", Unique, &[]),
    ("firstname", "First Name", Kind::String, "text", Plain, &[]),
    ("lastname", "Last Name", Kind::String, "text", Plain, &[]),
    ("hs_additional_emails", "Additional email addresses", Kind::Enumeration, "checkbox", ReadOnly, &[]),
    ("lastmodifieddate", "Last Modified Date", Kind::Datetime, "date", ReadOnly, &[]),
    ("mobilephone", "Mobile Phone Number", Kind::String, "phonenumber", Plain, &[]),
    ("company", "Company Name", Kind::String, "text", Plain, &[]),
    ("jobtitle", "Job Title", Kind::String, "text", Plain, &[]),
    ("message", "Message", Kind::String, "textarea", Plain, &[]),
    ("date_of_birth", "Date of birth", Kind::String, "text", Plain, &[]),
    ("numemployees", "Number of Employees", Kind::String, "text", Plain, &[]),
    ("annualrevenue", "Annual Revenue", Kind::String, "text", Plain, &[]),
    ("hs_buying_role", "Buying Role", Kind::Enumeration, "checkbox", Plain, BUYING_ROLE),
    ("hs_email_optout", "Unsubscribed from all email", Kind::Bool, "booleancheckbox", Plain, YES_NO),
    ("hubspotscore", "HubSpot Score", Kind::Number, "number", Plain, &[]),
    ("total_revenue", "Total Revenue", Kind::Number, "number", Currency, &[]),
    ("hs_full_name_or_email", "Full name or email", Kind::String, "calculation_equation", Calculated, &[]),
    ("hs_calculated_merged_vids", "Merged contact IDs with timestamps", Kind::Enumeration, "calculation_equation", Calculated, &[]),
    ("associatedcompanyid", "Primary Associated Company ID", Kind::Number, "number", Calculated, &[]),
    ("num_unique_conversion_events", "Number of Unique Forms Submitted", Kind::Number, "number", Plain, &[]),
];

#[rustfmt::skip]
const COMPANIES: &[Row] = &[
    ("name", "Company name", Kind::String, "text", Plain, &[]),
    ("domain", "Company Domain Name", Kind::String, "text", Plain, &[]),
    ("description", "Description", Kind::String, "textarea", Plain, &[]),
    ("industry", "Industry", Kind::Enumeration, "select", Plain, INDUSTRY),
    ("type", "Type", Kind::Enumeration, "radio", Plain, COMPANY_TYPE),
    ("numberofemployees", "Number of Employees", Kind::Number, "number", Plain, &[]),
    ("annualrevenue", "Annual Revenue", Kind::Number, "number", Currency, &[]),
    ("founded_year", "Year Founded", Kind::String, "text", Plain, &[]),
    ("is_public", "Is Public", Kind::Bool, "booleancheckbox", Plain, YES_NO),
    ("num_associated_contacts", "Number of Associated Contacts", Kind::Number, "calculation_rollup", Calculated, &[]),
];

#[rustfmt::skip]
const DEALS: &[Row] = &[
    ("dealname", "Deal Name", Kind::String, "text", Plain, &[]),
    ("amount", "Amount", Kind::Number, "number", Currency, &[]),
    ("pipeline", "Pipeline", Kind::Enumeration, "select", Plain, &[("default", "Sales Pipeline")]),
    ("dealstage", "Deal Stage", Kind::Enumeration, "radio", Plain, STAGE_OPTIONS),
    ("dealtype", "Deal Type", Kind::Enumeration, "radio", Plain, DEAL_TYPE),
    ("description", "Deal Description", Kind::String, "textarea", Plain, &[]),
    ("hs_priority", "Priority", Kind::Enumeration, "select", Plain, PRIORITY),
    ("deal_currency_code", "Currency", Kind::Enumeration, "select", Plain, CURRENCIES),
    ("hs_next_step", "Next step", Kind::String, "text", Plain, &[]),
    ("hs_is_closed", "Is Deal Closed?", Kind::Bool, "calculation_equation", Calculated, YES_NO),
    ("hs_is_closed_won", "Is Closed Won", Kind::Bool, "calculation_equation", Calculated, YES_NO),
    ("hs_deal_stage_probability", "Deal probability", Kind::Number, "calculation_equation", Calculated, &[]),
    ("num_associated_contacts", "Number of Associated Contacts", Kind::Number, "calculation_rollup", Calculated, &[]),
];

/// The definitions of one object type.
pub(crate) fn properties(object_type: ObjectType, now: i64) -> Vec<Property> {
    let (shared, rows, group) = match object_type {
        ObjectType::Contacts => (CUSTOMERS, CONTACTS, "contactinformation"),
        ObjectType::Companies => (CUSTOMERS, COMPANIES, "companyinformation"),
        ObjectType::Deals => (&[][..], DEALS, "dealinformation"),
    };
    COMMON
        .iter()
        .chain(shared)
        .chain(rows)
        .map(|row| define(row, group, now))
        .collect()
}

fn define(row: &Row, group: &str, now: i64) -> Property {
    let &(name, label, kind, field_type, special, options) = row;
    let mut property = PropertySpec {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        field_type: field_type.to_owned(),
        group: group.to_owned(),
        options: choices(options),
        unique: false,
        calculated: special == Calculated,
        sensitivity: crate::definitions::Sensitivity::NonSensitive,
        currency: special == Currency,
    }
    .into_property(now);
    property.hubspot_defined = true;
    property.read_only = matches!(special, ReadOnly | Calculated);
    property.external_options = special == Owner;
    property.unique = special == Unique;
    property
}
