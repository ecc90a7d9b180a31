-- Registers of fields that are gone are gone through by the records' numbers, no longer
-- by their ids: what is under way begins again, which changes nothing that is done.
UPDATE releases SET records_up_to = NULL;
