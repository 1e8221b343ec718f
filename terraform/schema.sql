-- The functions' schema user. Run as ADMIN; running it again changes nothing but the password.
--
--   sql admin@"$DSN" @schema.sql "$PASSWORD"       (SQLcl or SQL*Plus)
--
-- The user owns nothing but its collections, which the functions make with their indexes on first use.

set define on verify off echo off
whenever sqlerror exit failure

declare
  has_user number;
begin
  select count(*) into has_user from all_users where username = 'DATASYNC';
  if has_user = 0 then
    execute immediate 'create user DATASYNC identified by "&1"';
  else
    execute immediate 'alter user DATASYNC identified by "&1" account unlock';
  end if;
end;
/

-- SODA_APP: the SODA programming interfaces. CREATE TABLE: a collection is a table. Nothing else is granted.
grant create session, create table, soda_app to DATASYNC;
alter user DATASYNC quota unlimited on DATA;
exit success
