//! Definitions of properties (HubSpot: properties guide).

use http::Method;
use serde::Deserialize;

use super::{API_VERSION, Caller, Client, Error, Pool, objects::segment, transport::Call};
use crate::model::{ObjectType, PropertyName};

/// A property of an object type, as the account defines it. One that needs a
/// scope for sensitive data is not among those that are listed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Property {
    /// HubSpot's internal name.
    pub name: PropertyName,
    /// What people read.
    pub label: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// HubSpot's word for its type: `string`, `number`, `bool`, `enumeration`,
    /// `date`, `datetime`, `json`, `object_coordinates`.
    #[serde(rename = "type")]
    pub property_type: String,
    /// HubSpot's word for how it is entered: `text`, `checkbox`, `select`, …
    #[serde(default)]
    pub field_type: String,
    /// The group it is shown in.
    #[serde(default, rename = "groupName")]
    pub group: String,
    /// Its choices.
    #[serde(default)]
    pub options: Vec<PropertyOption>,
    /// Whether its choices are kept elsewhere, such as owners.
    #[serde(default)]
    pub external_options: bool,
    /// HubSpot's word for what its values name, such as `OWNER`.
    #[serde(default)]
    pub referenced_object_type: Option<String>,
    /// Whether HubSpot computes it: it changes without a stamp.
    #[serde(default)]
    pub calculated: bool,
    /// HubSpot's word for how sensitive it is; none where it does not say.
    #[serde(default)]
    pub data_sensitivity: Option<String>,
    /// Whether no two records have the same value, so that records can be read
    /// by it.
    #[serde(default, rename = "hasUniqueValue")]
    pub unique: bool,
    /// Whether people don't see it.
    #[serde(default)]
    pub hidden: bool,
    /// Whether HubSpot made it.
    #[serde(default)]
    pub hubspot_defined: bool,
    /// Whether it is archived.
    #[serde(default)]
    pub archived: bool,
    /// Its place among others; negative ones come last.
    #[serde(default = "no_place")]
    pub display_order: i64,
}

impl Property {
    /// Whether its values are sensitive data, which HubSpot hides from us.
    pub fn is_sensitive(&self) -> bool {
        self.data_sensitivity
            .as_deref()
            .is_some_and(|word| word != "non_sensitive")
    }
}

/// A choice of a property.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PropertyOption {
    /// What people read.
    pub label: String,
    /// The internal value.
    pub value: String,
    /// Whether people don't see it.
    #[serde(default)]
    pub hidden: bool,
    /// Its place among others; negative ones come last.
    #[serde(default = "no_place")]
    pub display_order: i64,
}

fn no_place() -> i64 {
    -1
}

/// A group that properties are shown in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PropertyGroup {
    /// HubSpot's internal name.
    pub name: String,
    /// What people read.
    pub label: String,
    /// Its place among others; negative ones come last.
    #[serde(default = "no_place")]
    pub display_order: i64,
}

#[derive(Deserialize)]
struct PageWire<T> {
    results: Vec<T>,
}

impl Client {
    /// All properties of an object type that are not archived; HubSpot gives
    /// them in one page.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn properties(
        &self,
        caller: &Caller,
        object_type: &ObjectType,
    ) -> Result<Vec<Property>, Error> {
        let name = "properties";
        let call = Call {
            name,
            method: Method::GET,
            path: format!(
                "/crm/properties/{API_VERSION}/{}?archived=false",
                segment(object_type)?
            ),
            json: None,
            pool: Pool::General,
            may_miss_all: false,
        };
        let page: PageWire<Property> = self.call(caller, &call).await?.decode(name)?;
        Ok(page.results)
    }
    /// The groups that the properties of an object type are shown in.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn property_groups(
        &self,
        caller: &Caller,
        object_type: &ObjectType,
    ) -> Result<Vec<PropertyGroup>, Error> {
        let name = "property groups";
        let call = Call {
            name,
            method: Method::GET,
            path: format!(
                "/crm/properties/{API_VERSION}/{}/groups?archived=false",
                segment(object_type)?
            ),
            json: None,
            pool: Pool::General,
            may_miss_all: false,
        };
        let page: PageWire<PropertyGroup> = self.call(caller, &call).await?.decode(name)?;
        Ok(page.results)
    }
}
