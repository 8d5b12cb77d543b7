"""Brings a database to this version's tables."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from objectclassification.errors import NewerDatabase, StoreError

MIGRATIONS = Path(__file__).with_name("migrations")


def upgrade(engine: Engine) -> None:
    """Makes or upgrades the tables.

    Raises:
        NewerDatabase: a newer version has been here; nothing was changed.
        StoreError: a migration failed; nothing was changed.
    """
    config = _config()
    try:
        with engine.begin() as connection:
            check_not_newer(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as exc:
        raise StoreError(f"the database cannot be upgraded: {exc}") from exc


def check_not_newer(connection: Connection) -> str | None:
    """Returns the database's revision, or None for a new one.

    Raises:
        NewerDatabase: a newer version has been here.
    """
    found = revision(connection)
    known = {step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise NewerDatabase(
            f"the data folder was used by a newer version (its database is at {found}): "
            "upgrade objectclassification, or choose another --data",
            found=found,
        )
    return found


def check_current(connection: Connection) -> None:
    """Returns if the tables are this version's.

    Raises:
        NewerDatabase: a newer version has been here.
        StoreError: an older one was, and no server of this version yet.
    """
    found = check_not_newer(connection)
    if found != ScriptDirectory.from_config(_config()).get_current_head():
        raise StoreError(
            f"the database is an older version's ({found or 'empty'}): it is upgraded when the "
            "server is started; make a backup first"
        )


def revision(connection: Connection) -> str | None:
    """Returns the database's revision, or None for a new one."""
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
