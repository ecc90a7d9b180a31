//! Variables: the named, typed slots on a project's users.

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx, encode};
use crate::model::{
    ConnectionId, FieldId, ObjectType, ProjectId, PropertyName, Timestamp, VariableId, VariableType,
};

/// What feeds a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedBy {
    /// The field mapping.
    pub field: FieldId,
    /// The connection.
    pub connection: ConnectionId,
    /// The connector's name.
    pub connector: String,
    /// The object type.
    pub object_type: ObjectType,
    /// The property.
    pub property: PropertyName,
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its id.
    pub id: VariableId,
    /// The name it is used by.
    pub name: String,
    /// What people read, where it differs from the name.
    pub label: Option<String>,
    /// Its type.
    pub variable_type: VariableType,
    /// What feeds it, when something does.
    pub fed_by: Option<FedBy>,
}

const SELECT: &str = "
    SELECT v.id, v.name, v.label, v.type,
           f.id, c.id, c.connector, t.name, f.property
    FROM variables v
    LEFT JOIN fields f ON f.variable = v.id
    LEFT JOIN object_mappings m ON m.id = f.mapping
    LEFT JOIN connections c ON c.id = m.connection
    LEFT JOIN object_types t ON t.id = m.object_type";

impl Tx<'_> {
    /// Makes a variable. Refuses a name that the project has already.
    pub fn create_variable(
        &self,
        project: ProjectId,
        name: &str,
        label: Option<&str>,
        variable_type: VariableType,
        now: Timestamp,
    ) -> Result<VariableId, Error> {
        if self.variable(project, name)?.is_some() {
            return Err(Error::Conflict(format!(
                "a variable named {name:?} exists already"
            )));
        }
        self.connection.execute(
            "INSERT INTO variables (project, name, label, type, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![project.0, name, label, variable_type.as_str(), now.0],
        )?;
        Ok(VariableId(self.connection.last_insert_rowid()))
    }

    /// The project's variable of that name.
    pub fn variable(&self, project: ProjectId, name: &str) -> Result<Option<Variable>, Error> {
        let sql = format!("{SELECT} WHERE v.project = ?1 AND v.name = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![project.0, name])?;
        rows.next()?.map(read_variable).transpose()
    }

    /// The project's variables, by name.
    pub fn variables(&self, project: ProjectId) -> Result<Vec<Variable>, Error> {
        let sql = format!("{SELECT} WHERE v.project = ?1 ORDER BY v.name");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([project.0])?;
        let mut variables = Vec::new();
        while let Some(row) = rows.next()? {
            variables.push(read_variable(row)?);
        }
        Ok(variables)
    }

    /// The type of a variable, whichever project's it is.
    pub(super) fn variable_type(&self, variable: VariableId) -> Result<VariableType, Error> {
        let stored: String = self
            .statement("SELECT type FROM variables WHERE id = ?1")?
            .query_one([variable.0], |row| row.get(0))?;
        encode::read_variable_type(&stored)
    }

    /// Whether any user has a value for the variable.
    pub fn variable_is_used(
        &self,
        project: ProjectId,
        variable: VariableId,
    ) -> Result<bool, Error> {
        Ok(self
            .statement(
                "SELECT EXISTS (SELECT 1 FROM users u JOIN shown_values v ON v.user = u.id
                 WHERE u.project = ?1 AND v.variable = ?2)",
            )?
            .query_one(params![project.0, variable.0], |row| row.get(0))?)
    }
}

fn read_variable(row: &rusqlite::Row<'_>) -> Result<Variable, Error> {
    let field: Option<i64> = row.get(4)?;
    let fed_by = match field {
        None => None,
        Some(field) => Some(FedBy {
            field: FieldId(field),
            connection: ConnectionId(row.get(5)?),
            connector: row.get(6)?,
            object_type: row.get::<_, String>(7)?.into(),
            property: row.get::<_, String>(8)?.into(),
        }),
    };
    Ok(Variable {
        id: VariableId(row.get(0)?),
        name: row.get(1)?,
        label: row.get(2)?,
        variable_type: encode::read_variable_type(row.get_ref(3)?.as_str().unwrap_or_default())?,
        fed_by,
    })
}

impl Tx<'_> {
    /// The project's variable with that id.
    pub fn variable_by_id(
        &self,
        project: ProjectId,
        variable: VariableId,
    ) -> Result<Option<Variable>, Error> {
        let name: Option<String> = self
            .statement("SELECT name FROM variables WHERE id = ?1 AND project = ?2")?
            .query_row(params![variable.0, project.0], |row| row.get(0))
            .optional()?;
        match name {
            Some(name) => self.variable(project, &name),
            None => Ok(None),
        }
    }
}
