"""Where the demo keeps its books: on a server of yours where nothing else is touched by it."""

import contextlib
from collections.abc import Iterator, Mapping

from guilder.settings import load_settings
from guilder.storage.mongo.temporary import is_mongodb, temporary_database


@contextlib.contextmanager
def own_database() -> Iterator[Mapping[str, str]]:
    """Lend the settings that name a database for this demo only.

    On the MongoDB of `GUILDER_DATABASE_URL` that is a new one, dropped in the
    end. Otherwise there are no such settings, and the bundled PostgreSQL is used.
    """
    url = load_settings().database_url
    if url is None or not is_mongodb(url.get_secret_value()):
        yield {}
        return
    with temporary_database(url.get_secret_value(), prefix="guilder_demo") as own:
        yield {"GUILDER_DATABASE_URL": own}
