"""Statements that are compiled once.

SQLAlchemy takes some 40 µs for a statement that SQLite runs in 5, most of it to find the compiled
text in its cache and to wrap the result. That counts where every picture runs ten of them on the
one writing thread; everywhere else SQLAlchemy runs them itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection
from sqlalchemy.engine.interfaces import DBAPICursor, Dialect
from sqlalchemy.sql.compiler import SQLCompiler


class Prepared:
    """A statement over plain columns: texts, numbers and bytes go to the driver as they are.

    Args:
        statement: its parameters are ``bindparam``\\ s and the values in its text.
        columns: of an insert, those that get values.
    """

    def __init__(self, statement: ClauseElement, *columns: str) -> None:
        self._statement = statement
        self._columns = columns or None
        self._compiled: dict[str, tuple[str, dict[str, Any], list[str] | None]] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> DBAPICursor:
        """Runs it in the connection's transaction.

        Returns:
            The driver's cursor, whose rows are tuples; errors are the driver's, too.
        """
        text, constants, order = self._found(connection)
        known = {**constants, **values}
        cursor = connection.connection.cursor()
        cursor.execute(text, known if order is None else [known[name] for name in order])
        return cursor

    def run_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Runs it for each row; the values in its text are those of all."""
        text, constants, order = self._found(connection)
        known = [{**constants, **row} for row in rows]
        cursor = connection.connection.cursor()
        cursor.executemany(
            text, known if order is None else [[row[name] for name in order] for row in known]
        )

    def first(self, connection: Connection, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Runs it, and returns its first row, or None."""
        row: tuple[Any, ...] | None = self.run(connection, values).fetchone()
        return row

    def _found(self, connection: Connection) -> tuple[str, dict[str, Any], list[str] | None]:
        found = self._compiled.get(connection.dialect.name)
        if found is None:
            found = self._compiled[connection.dialect.name] = self._compile(connection.dialect)
        return found

    def _compile(self, dialect: Dialect) -> tuple[str, dict[str, Any], list[str] | None]:
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - for the type checker
        constants = {name: one.value for name, one in compiled.binds.items() if not one.required}
        return str(compiled), constants, compiled.positiontup
