//! What a saved mapping changed, found by comparing both sides.

use std::collections::{BTreeSet, HashMap};

use super::mapping::going_on;
use crate::model::{
    FieldMapping, MappingChange, MatchedBy, ObjectMapping, UserIdentifier, VariableId,
};

/// What is known beside the mappings.
pub struct Known {
    /// The variables' names.
    pub names: HashMap<VariableId, String>,
    /// The variables that held values of Jimo's own side before.
    pub taken_over: BTreeSet<VariableId>,
    /// Whether the values of what was removed were kept.
    pub keep: bool,
}

/// What differs between a connection's mappings before and after they were
/// saved, object type by object type.
pub fn changes(
    before: &[ObjectMapping],
    after: &[ObjectMapping],
    known: &Known,
) -> Vec<MappingChange> {
    let mut changes = Vec::new();
    for old in before {
        if !after.iter().any(|new| new.object_type == old.object_type) {
            for field in &old.fields {
                changes.extend(removed(old, field, known));
            }
            changes.push(MappingChange::ObjectRemoved {
                object_type: old.object_type.clone(),
            });
        }
    }
    for (new, same) in going_on(before, after) {
        let old = before.iter().find(|old| old.object_type == new.object_type);
        if same.is_none()
            && let Some(rule) = matched_by(new, known)
        {
            changes.push(MappingChange::MatchingChanged {
                object_type: new.object_type.clone(),
                rule,
                values_kept: old.map(|_| known.keep),
            });
        }
        if let Some(old) = old
            && old.selection != new.selection
        {
            let selection = new.selection.as_ref();
            changes.push(MappingChange::SelectionChanged {
                object_type: new.object_type.clone(),
                rule: selection.map(|selection| selection.rule),
                property: selection.and_then(|selection| selection.property.clone()),
                prefer_open: selection.is_some_and(|selection| selection.prefer_open),
            });
        }
        let held: &[FieldMapping] = old.map_or(&[], |old| &old.fields);
        for field in held {
            if new.same_field(field).is_none() {
                changes.extend(old.and_then(|old| removed(old, field, known)));
            }
        }
        for field in &new.fields {
            let Some((variable, name)) = field.variable.and_then(|id| named(id, known)) else {
                continue;
            };
            match old.and_then(|old| old.same_field(field)) {
                None => changes.push(MappingChange::FieldAdded {
                    object_type: new.object_type.clone(),
                    property: field.property.name.clone(),
                    variable: name,
                    took_over: known.taken_over.contains(&variable),
                }),
                Some(before) if before.show != field.show => {
                    changes.push(MappingChange::ShownChanged {
                        object_type: new.object_type.clone(),
                        property: field.property.name.clone(),
                        variable: name,
                        show: field.show,
                    });
                }
                Some(_) => {}
            }
        }
    }
    changes
}

fn named(variable: VariableId, known: &Known) -> Option<(VariableId, String)> {
    let name = known.names.get(&variable)?;
    Some((variable, name.clone()))
}

fn removed(old: &ObjectMapping, field: &FieldMapping, known: &Known) -> Option<MappingChange> {
    let (_, variable) = named(field.variable?, known)?;
    Some(MappingChange::FieldRemoved {
        object_type: old.object_type.clone(),
        property: field.property.name.clone(),
        variable,
        values_kept: known.keep,
    })
}

fn matched_by(mapping: &ObjectMapping, known: &Known) -> Option<MatchedBy> {
    if let Some(through) = &mapping.through {
        let object_type = through.clone();
        return Some(MatchedBy::Through { object_type });
    }
    let rule = mapping.matching.as_ref()?;
    let user = match rule.identifier {
        UserIdentifier::Email => "email".to_owned(),
        UserIdentifier::ExternalId => "external_id".to_owned(),
        UserIdentifier::Variable(id) => format!("variable:{}", known.names.get(&id)?),
    };
    Some(MatchedBy::Property {
        property: rule.property.name.clone(),
        user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        FieldId, MappingId, MatchingRule, PropertyDefinition, Selection, SelectionRule, Shown,
        Timestamp, VariableType,
    };

    fn property(name: &str) -> PropertyDefinition {
        PropertyDefinition {
            name: name.into(),
            property_type: "string".into(),
            field_type: "text".into(),
        }
    }

    fn mapping(fields: &[(&str, i64)]) -> ObjectMapping {
        let fields = fields.iter().map(|(name, variable)| FieldMapping {
            id: FieldId(0),
            property: property(name),
            variable: Some(VariableId(*variable)),
            target: VariableType::Text,
            show: Shown::InternalValue,
            saved_at: Timestamp(0),
        });
        ObjectMapping {
            id: MappingId(0),
            object_type: "contacts".into(),
            matching: Some(MatchingRule {
                property: property("email"),
                identifier: UserIdentifier::Email,
            }),
            through: None,
            selection: None,
            fields: fields.collect(),
            matching_properties: Vec::new(),
            selection_properties: Vec::new(),
            bookkeeping_properties: Vec::new(),
        }
    }

    fn told(before: &[ObjectMapping], after: &[ObjectMapping]) -> Vec<String> {
        let names = [(1, "job_title"), (2, "city"), (3, "crm_id")];
        let known = Known {
            names: names
                .map(|(id, name)| (VariableId(id), name.to_owned()))
                .into(),
            taken_over: [VariableId(2)].into(),
            keep: false,
        };
        let changes = changes(before, after, &known);
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_added_removed_and_taken_over_is_told() {
        let before = [mapping(&[("jobtitle", 1)])];
        let after = [mapping(&[("city", 2)])];
        assert_eq!(
            told(&before, &after),
            [
                "Removed jobtitle of contacts from job_title; its values were cleared.",
                "Added city of contacts to city, which took over values that Jimo had.",
            ]
        );
        assert_eq!(told(&after, &after), [""; 0]);
    }

    #[test]
    fn what_goes_through_a_type_of_another_rule_is_told_to_begin_anew_as_well() {
        let contacts = mapping(&[("jobtitle", 1)]);
        let mut companies = mapping(&[("city", 2)]);
        companies.object_type = "companies".into();
        companies.matching = None;
        companies.through = Some("contacts".into());
        let before = [companies, contacts];
        let mut after = before.clone();
        let rule = after[1].matching.as_mut().expect("a rule");
        // Only how it is entered is another.
        rule.property.field_type = "textarea".into();
        assert_eq!(told(&before, &after), [""; 0]);
        let rule = after[1].matching.as_mut().expect("a rule");
        rule.property.property_type = "number".into();
        assert_eq!(
            told(&before, &after),
            [
                "Records of companies are matched through their contacts; earlier values were \
                 cleared.",
                "Records of contacts are matched by email, which has to equal the user’s email; \
                 earlier values were cleared.",
            ]
        );
    }

    #[test]
    fn another_rule_selection_or_label_is_told() {
        let before = mapping(&[("jobtitle", 1)]);
        let mut after = before.clone();
        after.matching = Some(MatchingRule {
            property: property("crm_id"),
            identifier: UserIdentifier::Variable(VariableId(3)),
        });
        after.selection = Some(Selection {
            rule: SelectionRule::Largest,
            property: Some("amount".into()),
            prefer_open: true,
        });
        after.fields[0].show = Shown::Label;
        assert_eq!(
            told(std::slice::from_ref(&before), &[after]),
            [
                "Records of contacts are matched by crm_id, which has to equal the attribute \
                 crm_id; earlier values were cleared.",
                "Of several contacts, the one with the largest amount feeds a user, open ones \
                 first.",
                "job_title shows the label of jobtitle of contacts.",
            ]
        );
        assert_eq!(
            told(std::slice::from_ref(&before), &[])[1],
            "Records of contacts are not synced any more."
        );
        assert_eq!(
            told(&[], &[before])[0],
            "Records of contacts are matched by email, which has to equal the user’s email."
        );
    }
}
