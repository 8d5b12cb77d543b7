"""Alembic's environment: always on a connection that :mod:`..schema` hands over."""

from alembic import context

from objectclassification.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
