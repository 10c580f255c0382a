from tests.support.one_user import clock, identity

__all__ = ["clock", "identity"]
