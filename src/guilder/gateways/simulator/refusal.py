"""How the simulator says no. Its own words, as another company's: not in Guilder's error tree."""


class Refused(Exception):
    """The simulated company does not do that.

    Args:
        status: HTTP status of its answer.
        code: Its reason, snake_case.
    """

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
