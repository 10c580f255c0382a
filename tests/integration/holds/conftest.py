from tests.support.running import guilder

__all__ = ["guilder"]
