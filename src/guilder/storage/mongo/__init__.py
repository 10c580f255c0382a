"""The MongoDB engine, for replica sets and sharded clusters of version 6 and later, on PyMongo."""
