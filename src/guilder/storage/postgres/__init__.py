"""The PostgreSQL engine, for 14 and later: connections, migrations, documents and the books."""
