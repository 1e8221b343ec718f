-- The functions' collections with their indexes, as the functions make them on first use. Run as DATASYNC, where
-- they shall be there before; running it again changes nothing. A test holds it to the code.
--
--   sql datasync@"$DSN" @shared/operations/collections.sql       (SQLcl or SQL*Plus)

set define off
whenever sqlerror exit failure

declare
  procedure made(name varchar2, indexes json_array_t) is
    collection soda_collection_t := dbms_soda.create_collection(name); -- opens it where it is there
    done number;
  begin
    for i in 0 .. indexes.get_size - 1 loop
      begin
        done := collection.create_index(indexes.get(i).to_string);
      exception
        when others then
          if sqlcode not in (-955, -40733) then -- it is there already
            raise;
          end if;
      end;
    end loop;
  end;
begin
  made('datasync_records', json_array_t(q'[[
    {"name": "datasync_records_id", "unique": true, "fields": [{"path": "id", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_due", "unique": false, "fields": [{"path": "datasync.due", "datatype": "varchar2", "maxLength": 64, "order": "asc"}]},
    {"name": "datasync_records_queue", "unique": false, "fields": [{"path": "datasync.target", "datatype": "varchar2", "maxLength": 270, "order": "asc"}, {"path": "datasync.due", "datatype": "varchar2", "maxLength": 64, "order": "asc"}]},
    {"name": "datasync_records_ingest", "unique": true, "fields": [{"path": "datasync.ingest", "datatype": "varchar2", "maxLength": 72, "order": "asc"}]},
    {"name": "datasync_records_replay", "unique": false, "fields": [{"path": "datasync.replay", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_held", "unique": false, "fields": [{"path": "datasync.held", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_failed", "unique": false, "fields": [{"path": "datasync.failed", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_blocks", "unique": false, "fields": [{"path": "datasync.blocks", "datatype": "varchar2", "maxLength": 16, "order": "asc"}]},
    {"name": "datasync_records_keyed", "unique": false, "fields": [{"path": "datasync.keyed", "datatype": "varchar2", "maxLength": 16, "order": "asc"}, {"path": "id", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_stream", "unique": false, "fields": [{"path": "error_stream", "datatype": "varchar2", "maxLength": 256, "order": "asc"}, {"path": "datasync.failed", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_code", "unique": false, "fields": [{"path": "datasync.code", "datatype": "varchar2", "maxLength": 20, "order": "asc"}, {"path": "datasync.failed", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_at", "unique": false, "fields": [{"path": "datasync.at", "datatype": "varchar2", "maxLength": 270, "order": "asc"}, {"path": "datasync.failed", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_key", "unique": false, "fields": [{"path": "datasync.key", "datatype": "varchar2", "maxLength": 16, "order": "asc"}, {"path": "datasync.failed", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_lately", "unique": false, "fields": [{"path": "datasync.lately", "datatype": "varchar2", "maxLength": 27, "order": "asc"}]},
    {"name": "datasync_records_needing", "unique": false, "fields": [{"path": "datasync.secret", "datatype": "varchar2", "maxLength": 200, "order": "asc"}]},
    {"name": "datasync_records_naming", "unique": false, "fields": [{"path": "vaultSecretName", "datatype": "varchar2", "maxLength": 200, "order": "asc"}, {"path": "id", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_status", "unique": false, "fields": [{"path": "status", "datatype": "varchar2", "maxLength": 20, "order": "asc"}, {"path": "id", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_own", "unique": false, "fields": [{"path": "caller", "datatype": "varchar2", "maxLength": 1024, "order": "asc"}, {"path": "status", "datatype": "varchar2", "maxLength": 20, "order": "asc"}, {"path": "id", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_reference", "unique": false, "fields": [{"path": "reference", "datatype": "varchar2", "maxLength": 1024, "order": "asc"}, {"path": "id", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]},
    {"name": "datasync_records_named", "unique": false, "fields": [{"path": "streamKey", "datatype": "varchar2", "maxLength": 1024, "order": "asc"}, {"path": "id", "datatype": "varchar2", "maxLength": 36, "order": "asc"}]}
  ]]'));
  made('datasync_records_leases', json_array_t(q'[[
    {"name": "datasync_records_leases_name", "unique": true, "fields": [{"path": "name", "datatype": "varchar2", "maxLength": 40, "order": "asc"}]}
  ]]'));
  made('datasync_records_notes', json_array_t(q'[[
    {"name": "datasync_records_notes_name", "unique": true, "fields": [{"path": "name", "datatype": "varchar2", "maxLength": 60, "order": "asc"}]}
  ]]'));
  made('datasync_records_audit', json_array_t(q'[[
    {"name": "datasync_records_audit_name", "unique": true, "fields": [{"path": "name", "datatype": "varchar2", "maxLength": 60, "order": "asc"}]}
  ]]'));
  made('datasync_records_policies', json_array_t(q'[[
    {"name": "datasync_records_policies_name", "unique": true, "fields": [{"path": "name", "datatype": "varchar2", "maxLength": 60, "order": "asc"}]}
  ]]'));
end;
/
exit success
