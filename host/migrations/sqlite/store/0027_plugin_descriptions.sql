-- What a version says that it understands, as JSON; none where it was installed
-- before that was kept, until it runs or is installed again.

ALTER TABLE plugin_versions ADD COLUMN description TEXT;
