"""Why a story cannot go on."""


class StoryStopped(Exception):
    """The next step needs something that did not come. The message says what."""
