"""Migrations: they lead to the tables, may run twice, and leave a newer database alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select, text

from objectclassification.errors import EXIT_CONFIGURATION, DataFolderUnusable, NewerDatabase
from objectclassification.store import models
from objectclassification.store.schema import MIGRATIONS, revision, upgrade
from objectclassification.store.tables import metadata, model_uses, snippets
from objectclassification.store.writer import open_database


def test_the_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    database = open_database(tmp_path / "db")
    upgrade(database.engine)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_slot_1_exists_from_the_first_start(tmp_path: Path) -> None:
    database = open_database(tmp_path / "db")
    upgrade(database.engine)
    with database.engine.connect() as connection:
        assert connection.execute(select(snippets)).all() == [(1, None, None)]
    database.close()


def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    database = open_database(tmp_path / "db")
    upgrade(database.engine)
    with database.engine.connect() as connection:
        first = revision(connection)
    upgrade(database.engine)
    with database.engine.connect() as connection:
        assert revision(connection) == first is not None
        assert len(connection.execute(select(snippets)).all()) == 1
    database.close()


def test_models_that_were_used_before_detectors_classify(tmp_path: Path) -> None:
    database = open_database(tmp_path / "db")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        for row in ("models VALUES ('valve', 'aa', 7, 1.5)", "model_uses VALUES ('door', 'valve')"):
            connection.execute(text(f"INSERT INTO {row}"))
        connection.execute(text("INSERT INTO model_uses VALUES ('yard', NULL)"))
    upgrade(database.engine)
    with database.engine.connect() as connection:
        (valve,) = models.every(connection)
        assert (valve.task, valve.cameras) == ("classification", ("door",))
        uses = connection.execute(select(model_uses)).mappings().all()
    assert {(row["camera"], row["task"], row["model_id"]) for row in uses} == {
        ("door", "classification", "valve"),
        ("yard", "classification", None),
    }
    database.close()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "db"
    database = open_database(file)
    upgrade(database.engine)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase, match="9999") as caught:
        upgrade(database.engine)
    assert (caught.value.found, caught.value.exit_code) == ("9999", EXIT_CONFIGURATION)
    with database.engine.connect() as connection:
        assert revision(connection) == "9999"
    database.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "db"
    file.write_bytes(b"a letter to grandmother, not a database; " * 100)
    with pytest.raises(DataFolderUnusable, match="not a database") as caught:
        open_database(file)
    assert caught.value.exit_code == EXIT_CONFIGURATION
    assert file.read_bytes().startswith(b"a letter to grandmother")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFolderUnusable):
        open_database(tmp_path / "none" / "db")
