//! Object mappings and their fields.

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx, encode};
use crate::model::{
    ConnectionId, FieldId, FieldMapping, MappingId, ObjectMapping, ObjectType, PropertyDefinition,
    Timestamp, VariableId,
};

impl Tx<'_> {
    /// The object mappings of a connection, by object type.
    pub fn mappings(&self, connection: ConnectionId) -> Result<Vec<ObjectMapping>, Error> {
        let mut statement = self.statement(
            "SELECT m.id, t.name, m.matching, u.name, m.selection,
                    m.matching_properties, m.selection_properties, m.bookkeeping_properties
             FROM object_mappings m
             JOIN object_types t ON t.id = m.object_type
             LEFT JOIN object_types u ON u.id = m.through
             WHERE m.connection = ?1 ORDER BY t.name",
        )?;
        let mut rows = statement.query([connection.0])?;
        let mut mappings = Vec::new();
        while let Some(row) = rows.next()? {
            let id = MappingId(row.get(0)?);
            mappings.push(ObjectMapping {
                id,
                object_type: row.get::<_, String>(1)?.into(),
                matching: row
                    .get::<_, Option<String>>(2)?
                    .map(|stored| encode::read_json(&stored))
                    .transpose()?,
                through: row.get::<_, Option<String>>(3)?.map(ObjectType::from),
                selection: row
                    .get::<_, Option<String>>(4)?
                    .map(|stored| encode::read_json(&stored))
                    .transpose()?,
                fields: self.fields(id)?,
                matching_properties: encode::read_json(&row.get::<_, String>(5)?)?,
                selection_properties: encode::read_json(&row.get::<_, String>(6)?)?,
                bookkeeping_properties: encode::read_json(&row.get::<_, String>(7)?)?,
            });
        }
        Ok(mappings)
    }

    fn fields(&self, mapping: MappingId) -> Result<Vec<FieldMapping>, Error> {
        let mut statement = self.statement(
            "SELECT id, property, property_type, field_type, variable, target, show, saved_at
             FROM fields WHERE mapping = ?1 ORDER BY id",
        )?;
        let mut rows = statement.query([mapping.0])?;
        let mut fields = Vec::new();
        while let Some(row) = rows.next()? {
            fields.push(FieldMapping {
                id: FieldId(row.get(0)?),
                property: PropertyDefinition {
                    name: row.get::<_, String>(1)?.into(),
                    property_type: row.get(2)?,
                    field_type: row.get(3)?,
                },
                variable: row.get::<_, Option<i64>>(4)?.map(VariableId),
                target: encode::read_variable_type(&row.get::<_, String>(5)?)?,
                show: encode::read_word(&row.get::<_, String>(6)?)?,
                saved_at: Timestamp(row.get(7)?),
            });
        }
        Ok(fields)
    }

    /// The version of a connection's mappings: it moves with every save.
    pub fn mappings_version(&self, connection: ConnectionId) -> Result<i64, Error> {
        self.connection
            .query_row(
                "SELECT mappings_version FROM connections WHERE id = ?1",
                [connection.0],
                |row| row.get(0),
            )
            .optional()?
            .ok_or(Error::NotFound("connection"))
    }

    /// Says that a connection's mappings were saved. Every save ends with it.
    pub fn mappings_saved(&self, connection: ConnectionId) -> Result<(), Error> {
        // What they were planned by is not so any more.
        self.begin_runs_anew(connection)?;
        self.connection.execute(
            "UPDATE connections SET mappings_version = mappings_version + 1 WHERE id = ?1",
            [connection.0],
        )?;
        self.connection_changed(connection)
    }

    /// Saves an object mapping without its fields; its id is taken where the
    /// connection has one of that object type, else made.
    pub fn save_mapping(
        &self,
        connection: ConnectionId,
        mapping: &ObjectMapping,
    ) -> Result<MappingId, Error> {
        let object_type = self.object_type_id(&mapping.object_type)?;
        let through = mapping
            .through
            .as_ref()
            .map(|through| self.object_type_id(through))
            .transpose()?;
        Ok(self.statement(
                "INSERT INTO object_mappings (connection, object_type, matching, through, selection,
                    matching_properties, selection_properties, bookkeeping_properties)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (connection, object_type) DO UPDATE SET
                    matching = excluded.matching, through = excluded.through,
                    selection = excluded.selection,
                    matching_properties = excluded.matching_properties,
                    selection_properties = excluded.selection_properties,
                    bookkeeping_properties = excluded.bookkeeping_properties
                 RETURNING id",
            )?
            .query_one(
                params![
                    connection.0,
                    object_type,
                    mapping.matching.as_ref().map(encode::json).transpose()?,
                    through,
                    mapping.selection.as_ref().map(encode::json).transpose()?,
                    encode::json(&mapping.matching_properties)?,
                    encode::json(&mapping.selection_properties)?,
                    encode::json(&mapping.bookkeeping_properties)?,
                ],
                |row| row.get(0).map(MappingId),
            )?)
    }

    /// Adds a field to a mapping. Its id is made here.
    pub fn add_field(&self, mapping: MappingId, field: &FieldMapping) -> Result<FieldId, Error> {
        self.statement(
            "INSERT INTO fields
                    (mapping, property, property_type, field_type, variable, target, show, saved_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            mapping.0,
            field.property.name.as_str(),
            field.property.property_type,
            field.property.field_type,
            field.variable.map(|variable| variable.0),
            field.target.as_str(),
            encode::word(&field.show),
            field.saved_at.0
        ])?;
        Ok(FieldId(self.connection.last_insert_rowid()))
    }

    /// Ends an object mapping whose fields are released: nobody is found by it any more,
    /// nor fed. What it kept of that is purged behind; when records were pushed last stays,
    /// where they cannot be read (`is_read`).
    pub fn end_mapping(
        &self,
        connection: ConnectionId,
        mapping: &ObjectMapping,
        is_read: bool,
    ) -> Result<(), Error> {
        self.begin_records_anew(connection, &mapping.object_type, is_read)?;
        self.drop_lookups(connection, &mapping.object_type)?;
        if let Some(through) = &mapping.through {
            self.drop_associations(connection, through, &mapping.object_type)?;
        }
        self.execute_by_id("DELETE FROM object_mappings WHERE id = ?1", mapping.id.0)?;
        Ok(())
    }
}
