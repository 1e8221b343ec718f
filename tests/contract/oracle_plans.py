"""What an Oracle Database says of the plans of the statements that SODA makes of our queries."""

import re
from dataclasses import dataclass
from typing import Any

_STATEMENTS = """
select sql_id, child_number, sql_text from v$sql
where parsing_schema_name = user and upper(sql_text) like '%"' || upper(:name) || '"%'
  and sql_text not like '%v$sql%'
"""
_ROW = re.compile(
    r"^\|[\s*]*\d+\s*\|\s*(?P<operation>[A-Z][A-Z0-9 ()-]*?)\s*\|\s*(?P<name>[^|]*?)\s*\|", re.M
)


@dataclass(frozen=True)
class Plan:
    """One statement, and the operations of its plan, each with the object that it reads."""

    statement: str
    operations: tuple[tuple[str, str], ...]

    @property
    def reads_all(self) -> bool:
        """Whether a step reads a table from its beginning to its end."""
        return any("TABLE ACCESS" in operation and "FULL" in operation for operation, _ in self.operations)


def parsed(text: str) -> tuple[tuple[str, str], ...]:
    """The operations and objects in the table that DBMS_XPLAN prints."""
    return tuple((found["operation"], found["name"]) for found in _ROW.finditer(text))


def plans(connection: Any, collection: str) -> list[Plan]:
    """The plans of all statements on a collection that the database still remembers.

    Takes the right to read V$SQL and V$SQL_PLAN, as SELECT_CATALOG_ROLE has it.
    """
    cursor = connection.cursor()
    found = cursor.execute(_STATEMENTS, name=collection).fetchall()
    return [Plan(str(text), _plan(connection, sql_id, child)) for sql_id, child, text in found]


def _plan(connection: Any, sql_id: str, child: int) -> tuple[tuple[str, str], ...]:
    query = "select plan_table_output from table(dbms_xplan.display_cursor(:id, :child, 'BASIC'))"
    lines = connection.cursor().execute(query, id=sql_id, child=child)
    return parsed("\n".join(str(line) for (line,) in lines))
