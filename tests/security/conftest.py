from tests.support.shared_guilder import guilder, http_database, start

__all__ = ["guilder", "http_database", "start"]
