//! What records of a type are called.

use crate::{model::ObjectType, plugin::Description};

/// What records of each type are called, as the plugin says it.
pub(super) struct Names(Vec<Name>);

struct Name {
    object_type: ObjectType,
    one: String,
    several: String,
}

impl Names {
    /// Those of a plugin.
    pub fn of(description: &Description) -> Self {
        let types = description.object_types.iter();
        let names = types.map(|said| Name {
            object_type: said.name.clone(),
            one: said.singular_label.to_lowercase(),
            several: said.label.to_lowercase(),
        });
        Self(names.collect())
    }

    /// One record of a type, within a sentence: `contact`.
    pub fn one<'n>(&'n self, of: &'n ObjectType) -> &'n str {
        self.find(of).map_or(of.as_str(), |name| &name.one)
    }

    /// Several records of a type, within a sentence: `contacts`.
    pub fn several<'n>(&'n self, of: &'n ObjectType) -> &'n str {
        self.find(of).map_or(of.as_str(), |name| &name.several)
    }

    /// The type that a word names, by its own name or by what one record is called.
    pub fn meant(&self, word: &str) -> Option<&ObjectType> {
        let word = word.to_lowercase();
        let is_meant = |name: &&Name| word == name.one || word == name.object_type.as_str();
        self.0.iter().find(is_meant).map(|name| &name.object_type)
    }

    fn find(&self, of: &ObjectType) -> Option<&Name> {
        self.0.iter().find(|name| name.object_type == *of)
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Names {
    fn from(types: [(&str, &str); N]) -> Self {
        let names = types.map(|(several, one)| Name {
            object_type: several.into(),
            one: one.to_owned(),
            several: several.to_owned(),
        });
        Self(names.into())
    }
}
