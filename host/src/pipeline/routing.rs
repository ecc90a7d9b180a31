//! Whose an account's data is, and what each of its connections wants of it: a
//! snapshot of the configuration, in the form the pipeline works with.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    model::{
        AccountId, AccountKey, Connection, ConnectionId, FieldMapping, ObjectMapping, ObjectType,
        OptionTable, Problem, ProjectId, PropertyName, Shown, VariableId,
    },
    plugin::{Conversion, ConversionField, Interest},
    sources::Source,
    store::{
        self, Tx,
        connections::Account,
        erasures::ErasedRecords,
        reach::{ClosingField, SelectionFields},
        reads::Wanted,
    },
};

/// Everything that is connected, as it was under one configuration.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    /// The number of the configuration.
    pub configuration: i64,
    /// The records that were erased lately.
    pub erased: Arc<ErasedRecords>,
    accounts: HashMap<String, HashMap<AccountKey, Arc<AccountRoute>>>,
}

/// What an account's connections want together.
#[derive(Debug)]
pub struct AccountRoute {
    /// Our number for the account.
    pub id: AccountId,
    /// The number of the configuration in which this changed last.
    pub configuration: i64,
    /// The connector to its source, by name.
    pub connector: String,
    /// The source's id of it.
    pub key: AccountKey,
    /// The properties that any connection wants to hear of.
    pub interests: Vec<Interest>,
    /// The connections that its changes reach, with what they map.
    pub connections: Vec<Arc<ConnectionRoute>>,
    /// Whether calls can be made in its name.
    pub may_call: bool,
    /// Their fields, for the plugin: one conversion a connection.
    pub conversions: Vec<Conversion>,
    /// The same, parted by the plugin versions that serve the connections; empty where
    /// the active one serves all.
    parted: Vec<(Option<String>, AccountRoute)>,
}

/// What one connection wants.
#[derive(Debug)]
pub struct ConnectionRoute {
    /// The connection.
    pub id: ConnectionId,
    /// Its project.
    pub project: ProjectId,
    /// The plugin version that serves it alone, by digest; none where the active one
    /// does.
    pub trial: Option<String>,
    /// Its account.
    pub account: AccountId,
    /// [`AccountRoute::configuration`] of its account.
    pub configuration: i64,
    /// Whether records can be read: else they are known by what is pushed alone.
    pub is_read: bool,
    /// Its object mappings.
    pub mappings: Vec<ObjectMapping>,
    /// Its fields, for the plugin.
    pub conversion: Conversion,
    /// Where in `mappings` each field of the conversion is.
    pub fields: Vec<FieldPlace>,
    /// The fields of the conversion that a property feeds, by index.
    pub fields_by_property: HashMap<(ObjectType, PropertyName), Vec<usize>>,
    /// By object mapping, what its selection depends on.
    pub selection_fields: Vec<SelectionFields>,
    /// The names of its variables.
    pub variable_names: HashMap<VariableId, String>,
    /// Whether nothing that comes live takes values from its users.
    pub held: bool,
    /// Whether some users are still fed by a record that is not selected for them:
    /// while it is held, and until the last of them was selected for anew.
    pub feeds_by_holds: bool,
}

/// A field of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPlace {
    /// The index of its object mapping.
    pub mapping: usize,
    /// Its index there.
    pub field: usize,
}

impl Routing {
    /// Reads the present configuration.
    pub fn load(tx: &Tx<'_>) -> Result<Self, store::Error> {
        Self::default().load_changes(tx)
    }

    /// Reads the present configuration, but for accounts of which nothing changed since
    /// this one (with thousands of them there is always one that changes), and for what
    /// was erased before.
    fn load_changes(&self, tx: &Tx<'_>) -> Result<Self, store::Error> {
        let known: HashMap<AccountId, &Arc<AccountRoute>> =
            self.accounts().map(|route| (route.id, route)).collect();
        let mut accounts: HashMap<_, HashMap<_, _>> = HashMap::new();
        for (id, configuration) in tx.account_configurations()? {
            let same = known
                .get(&id)
                .filter(|route| route.configuration == configuration);
            let route = match same {
                Some(route) => Arc::clone(route),
                None => Arc::new(AccountRoute::load(tx, id)?),
            };
            let of_connector = accounts.entry(route.connector.clone()).or_default();
            of_connector.insert(route.key.clone(), route);
        }
        Ok(Self {
            configuration: tx.configuration()?,
            accounts,
            erased: self.erased_now(tx)?,
        })
    }

    /// What is connected now, where that is another configuration than this, or
    /// where records were erased since.
    pub fn renewed(&self, tx: &Tx<'_>) -> Result<Option<Self>, store::Error> {
        // Zero is the configuration of a store that has none.
        if tx.configuration()? != self.configuration {
            return self.load_changes(tx).map(Some);
        }
        if tx.newest_erasure()? == self.erased.newest {
            return Ok(None);
        }
        Ok(Some(Self {
            erased: self.erased_now(tx)?,
            ..self.clone()
        }))
    }

    fn erased_now(&self, tx: &Tx<'_>) -> Result<Arc<ErasedRecords>, store::Error> {
        let mut erased = Arc::clone(&self.erased);
        tx.renew_erased_records(&mut erased)?;
        Ok(erased)
    }

    /// What an account's connections want; none where nothing is connected to
    /// it.
    pub fn account(&self, connector: &str, key: &AccountKey) -> Option<&Arc<AccountRoute>> {
        self.accounts.get(connector)?.get(key)
    }

    /// All accounts that something is connected to.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<AccountRoute>> {
        self.accounts.values().flat_map(HashMap::values)
    }

    /// The accounts of a connector that something is connected to.
    pub fn accounts_of(&self, connector: &str) -> impl Iterator<Item = &Arc<AccountRoute>> {
        self.accounts
            .get(connector)
            .into_iter()
            .flat_map(HashMap::values)
    }
}

impl AccountRoute {
    /// Reads what an account's connections want.
    pub fn load(tx: &Tx<'_>, id: AccountId) -> Result<Self, store::Error> {
        let account = tx.account(id)?;
        let is_read = Source::of(&account.connector).is_read();
        let mut connections = Vec::new();
        let (mut may_call, mut has_paused) = (false, false);
        for connection in tx.account_connections(id)? {
            if connection.status.takes_changes() {
                let problem = connection.problem.as_ref();
                let is_stopped = problem.is_some_and(Problem::stops_calls);
                may_call |= is_read && !is_stopped;
                let route = ConnectionRoute::of_account(tx, &connection, id)?;
                connections.push(Arc::new(route));
            } else {
                has_paused |= connection.trial.is_none();
            }
        }
        let mut route = Self::of(&account, connections, may_call);
        let is_parted =
            |parted: &[(Option<String>, Self)]| parted.iter().any(|(by, _)| by.is_none());
        if has_paused && !route.parted.is_empty() && !is_parted(&route.parted) {
            let nobodys = Self::of(&account, Vec::new(), may_call);
            route.parted.insert(0, (None, nobodys));
        }
        Ok(route)
    }

    /// What these connections of an account want.
    pub fn of(account: &Account, connections: Vec<Arc<ConnectionRoute>>, may_call: bool) -> Self {
        let parted = match connections.iter().any(|one| one.trial.is_some()) {
            true => parted(account, &connections, may_call),
            false => Vec::new(),
        };
        Self {
            parted,
            ..Self::unparted(account, connections, may_call)
        }
    }

    fn unparted(account: &Account, connections: Vec<Arc<ConnectionRoute>>, may_call: bool) -> Self {
        let conversions = connections.iter().map(|one| one.conversion.clone());
        Self {
            id: account.id,
            configuration: account.configuration,
            connector: account.connector.clone(),
            key: account.key.clone(),
            interests: interests(&connections),
            conversions: conversions.collect(),
            connections,
            may_call,
            parted: Vec::new(),
        }
    }

    /// What the connections want, by the plugin version that serves them: mostly the
    /// active one serves all. Where it serves none but paused ones, it has a part in
    /// which nothing is wanted, for it is to tell of deletions for privacy.
    pub fn served(&self) -> Vec<(Option<&str>, &Self)> {
        if self.parted.is_empty() {
            return vec![(None, self)];
        }
        let parted = self.parted.iter();
        parted
            .map(|(trial, route)| (trial.as_deref(), route))
            .collect()
    }

    /// Whether its records can be read: else they are known by what is pushed alone.
    pub fn is_read(&self) -> bool {
        Source::of(&self.connector).is_read()
    }

    /// The properties to ask for when records of a type are read: all that the
    /// connections map, match on, select by or keep their books with.
    pub fn read_properties(&self, object_type: &ObjectType) -> Vec<PropertyName> {
        let mut properties: Vec<PropertyName> = self
            .connections
            .iter()
            .filter_map(|connection| connection.mapping(object_type))
            .flat_map(|(_, mapping)| {
                let told = mapping.told_properties().into_iter();
                told.chain(mapping.bookkeeping_properties.iter().cloned())
            })
            .collect();
        properties.sort();
        properties.dedup();
        properties
    }

    /// The properties of a type that the interests name, by index.
    pub fn interest(&self, object_type: &ObjectType) -> &[PropertyName] {
        self.interests
            .iter()
            .find(|interest| &interest.object_type == object_type)
            .map_or(&[], |interest| &interest.properties)
    }
}

impl ConnectionRoute {
    /// Reads what a connection wants.
    pub fn load(tx: &Tx<'_>, id: ConnectionId) -> Result<Self, store::Error> {
        let connection = tx.any_connection(id)?;
        let (account, _) = connection
            .account
            .as_ref()
            .ok_or(store::Error::NotFound("account"))?;
        Self::of_account(tx, &connection, *account)
    }

    /// Reads what a connection wants of an account.
    pub fn of_account(
        tx: &Tx<'_>,
        connection: &Connection,
        account: AccountId,
    ) -> Result<Self, store::Error> {
        let (id, project) = (connection.id, connection.project);
        let Account {
            connector,
            configuration,
            ..
        } = tx.account(account)?;
        let is_read = Source::of(&connector).is_read();
        let mappings = tx.mappings(id)?;
        let mut conversion = Conversion::default();
        let mut fields = Vec::new();
        let mut fields_by_property: HashMap<_, Vec<usize>> = HashMap::new();
        let mut selections = Vec::new();
        for (mapping_index, mapping) in mappings.iter().enumerate() {
            selections.push(selection_fields(tx, account, mapping)?);
            for (field_index, field) in mapping.fields.iter().enumerate() {
                let options = options(tx, account, mapping, field)?.map(|table| {
                    conversion.tables.push(table);
                    conversion.tables.len() - 1
                });
                conversion.fields.push(ConversionField {
                    object_type: mapping.object_type.clone(),
                    property: field.property.clone(),
                    target: field.target,
                    show: field.show,
                    options,
                });
                fields_by_property
                    .entry((mapping.object_type.clone(), field.property.name.clone()))
                    .or_default()
                    .push(fields.len());
                fields.push(FieldPlace {
                    mapping: mapping_index,
                    field: field_index,
                });
            }
        }
        let variable_names = tx
            .variables(project)?
            .into_iter()
            .filter(|variable| {
                variable
                    .fed_by
                    .as_ref()
                    .is_some_and(|fed| fed.connection == id)
            })
            .map(|variable| (variable.id, variable.name))
            .collect();
        Ok(Self {
            id,
            project,
            trial: connection.trial.clone(),
            account,
            configuration,
            is_read,
            mappings,
            conversion,
            fields,
            fields_by_property,
            selection_fields: selections,
            variable_names,
            held: tx.brake(id)?.held_at.is_some(),
            feeds_by_holds: tx.has_held_selections(id)?,
        })
    }

    /// The mapping of an object type, with its index.
    pub fn mapping(&self, object_type: &ObjectType) -> Option<(usize, &ObjectMapping)> {
        self.mappings
            .iter()
            .enumerate()
            .find(|(_, mapping)| &mapping.object_type == object_type)
    }

    /// Whether anything is mapped that a read of a type's records is for.
    pub fn reads(&self, object_type: &ObjectType, wanted: &Wanted) -> bool {
        match wanted {
            Wanted::Record => self.mapping(object_type).is_some(),
            Wanted::Associations(to_type) => {
                self.follows(to_type, object_type) || self.follows(object_type, to_type)
            }
        }
    }

    /// Whether records of a type reach users through those of another.
    pub fn follows(&self, object_type: &ObjectType, through: &ObjectType) -> bool {
        let mapping = self.mapping(object_type);
        mapping.is_some_and(|(_, mapping)| mapping.through.as_ref() == Some(through))
    }

    /// The mappings whose records reach users through this object type.
    pub fn mappings_through<'a>(
        &'a self,
        object_type: &'a ObjectType,
    ) -> impl Iterator<Item = (usize, &'a ObjectMapping)> {
        self.mappings
            .iter()
            .enumerate()
            .filter(move |(_, mapping)| mapping.through.as_ref() == Some(object_type))
    }

    /// The mappings of an object type and of what reaches users through it, by index:
    /// whom they feed may change with its records.
    pub fn fed_by<'a>(&'a self, object_type: &'a ObjectType) -> impl Iterator<Item = usize> {
        let through = self.mappings_through(object_type).map(|(index, _)| index);
        let own = self.mapping(object_type).map(|(index, _)| index);
        own.into_iter().chain(through)
    }

    /// A field.
    pub fn field(&self, place: FieldPlace) -> &FieldMapping {
        &self.mappings[place.mapping].fields[place.field]
    }
}

/// The choices of a field's property, where labels are shown.
fn options(
    tx: &Tx<'_>,
    account: AccountId,
    mapping: &ObjectMapping,
    field: &FieldMapping,
) -> Result<Option<OptionTable>, store::Error> {
    match field.show {
        Shown::InternalValue => Ok(None),
        Shown::Label => tx.options(account, &mapping.object_type, &field.property.name),
    }
}

/// What a mapping's selection depends on, and which choices mean that a record
/// is closed.
fn selection_fields(
    tx: &Tx<'_>,
    account: AccountId,
    mapping: &ObjectMapping,
) -> Result<SelectionFields, store::Error> {
    let mut closing = Vec::new();
    for field in mapping.closing() {
        let table = tx.options(account, &mapping.object_type, &field.property.name)?;
        let choices = table.into_iter().flat_map(|table| table.choices);
        closing.push(ClosingField {
            field: field.id,
            choices: choices
                .map(|choice| (choice.value, choice.closed == Some(true)))
                .collect(),
        });
    }
    Ok(SelectionFields {
        ranking: mapping.ranking().map(|field| field.id),
        closing,
    })
}

/// What connections want, parted by the versions that serve them.
fn parted(
    account: &Account,
    connections: &[Arc<ConnectionRoute>],
    may_call: bool,
) -> Vec<(Option<String>, AccountRoute)> {
    let mut by_version: BTreeMap<Option<&str>, Vec<Arc<ConnectionRoute>>> = BTreeMap::new();
    for connection in connections {
        let served = by_version.entry(connection.trial.as_deref()).or_default();
        served.push(connection.clone());
    }
    let part = |(trial, connections): (Option<&str>, Vec<Arc<ConnectionRoute>>)| {
        let route = AccountRoute::unparted(account, connections, may_call);
        (trial.map(str::to_owned), route)
    };
    by_version.into_iter().map(part).collect()
}

fn interests(connections: &[Arc<ConnectionRoute>]) -> Vec<Interest> {
    let mut wanted: BTreeMap<ObjectType, BTreeSet<PropertyName>> = BTreeMap::new();
    for mapping in connections
        .iter()
        .flat_map(|connection| &connection.mappings)
    {
        wanted
            .entry(mapping.object_type.clone())
            .or_default()
            .extend(mapping.told_properties());
        // What is reached through a type is told by that type's associations.
        if let Some(through) = &mapping.through {
            wanted.entry(through.clone()).or_default();
        }
    }
    wanted
        .into_iter()
        .map(|(object_type, properties)| Interest {
            object_type,
            properties: properties.into_iter().collect(),
        })
        .collect()
}
