-- The functions' schema user; running it again changes nothing but the password. process-data runs it as ADMIN
-- after a deployment (`{"task": "prepare"}`); by hand, with SQLcl or SQL*Plus:
--
--   sql admin@"$DSN" @shared/operations/schema.sql DATASYNC "$PASSWORD"
--
-- The user owns nothing but its collections, which the functions make with their indexes on first use.

set define on verify off echo off
whenever sqlerror exit failure
variable username varchar2(128)
variable password varchar2(128)
exec :username := '&1'
exec :password := '&2'

declare
  username constant varchar2(128) := dbms_assert.simple_sql_name(:username);
  password constant varchar2(130) := dbms_assert.enquote_name(:password, capitalize => false);

  procedure made(statement varchar2, there_already number) is
  begin
    execute immediate statement;
  exception
    when others then
      if sqlcode != there_already then
        raise;
      end if;
  end;
begin
  -- Nobody logs in by hand, so the password does not run out after a year, as it would by default.
  made('create profile ' || username || ' limit password_life_time unlimited'
    || ' password_reuse_time unlimited password_reuse_max unlimited', -2379);
  made('create user ' || username || ' identified by ' || password, -1920);
  execute immediate 'alter user ' || username || ' profile ' || username || ' account unlock';
  execute immediate 'alter user ' || username || ' identified by ' || password || ' quota unlimited on DATA';
  -- SODA_APP: the SODA programming interfaces. CREATE TABLE: a collection is a table. Nothing else is granted.
  execute immediate 'grant create session, create table, soda_app to ' || username;
end;
/
exit success
