"""Run revisions on the connection that `paycordon.store.migrate` hands over."""

from alembic import context

from paycordon.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
