from tests.support.one_user import clock, identity
from tests.support.shared_guilder import guilder, http_database, start

__all__ = ["clock", "guilder", "http_database", "identity", "start"]
