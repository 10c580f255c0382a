"""What a MongoDB deployment must be before money is trusted to it.

A server that acknowledges a commit and may then forget it is refused, not warned about. What the
operator keeps safe by other means can be accepted by naming it; that is logged each time.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import structlog
from pymongo.errors import OperationFailure

from guilder.storage.errors import UnsafeDatabase

_log = structlog.get_logger(__name__)

_OLDEST_WIRE_VERSION = 17
"""MongoDB 6.0: the first whose clients read snapshots and `$$NOW` as the books need them."""
JOURNAL_DEFAULT = "writeConcernMajorityJournalDefault"
ARBITERS = "arbiters"
_UNAUTHORIZED = 13


def check_hello(hello: Mapping[str, Any], accepted: AbstractSet[str] = frozenset()) -> None:
    """Refuse a deployment by what it says of itself.

    Args:
        hello: The answer to the `hello` command.
        accepted: Names that the operator answers for.

    Raises:
        UnsafeDatabase: It is too old, stands alone, or counts votes that keep no data.
    """
    if hello.get("maxWireVersion", 0) < _OLDEST_WIRE_VERSION:
        raise UnsafeDatabase("The server is too old: Guilder needs MongoDB 6.0 or later.")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise UnsafeDatabase(
            "The server stands alone: it has no transactions. Start mongod with --replSet rs0 and "
            "run rs.initiate() once; a replica set of one is enough to begin with."
        )
    if hello.get("arbiters"):
        _refuse(
            ARBITERS,
            "The replica set has an arbiter: a majority with it may keep what it acknowledges on "
            "one machine only. Replace it by a member that keeps data.",
            accepted,
        )


def check_config(config: Mapping[str, Any] | None, accepted: AbstractSet[str] = frozenset()) -> None:
    """Refuse a replica set that acknowledges before its majority has written to disk.

    Args:
        config: The replica set's configuration; None if it may not be read.
        accepted: Names that the operator answers for.

    Raises:
        UnsafeDatabase: It does, or it cannot be known.
    """
    if config is None:
        _refuse(
            JOURNAL_DEFAULT,
            f"{JOURNAL_DEFAULT} cannot be read: grant the role clusterMonitor, or look at each "
            "replica set's rs.conf() and accept the setting by name.",
            accepted,
        )
    elif config.get(JOURNAL_DEFAULT, True) is not True:
        _refuse(
            JOURNAL_DEFAULT,
            f"{JOURNAL_DEFAULT} is false: a majority may lose what it acknowledged. Set it to true "
            "with rs.reconfig().",
            accepted,
        )


def _refuse(name: str, sentence: str, accepted: AbstractSet[str]) -> None:
    if name not in accepted:
        raise UnsafeDatabase(sentence)
    _log.warning("unsafe_setting_accepted", setting=name)


async def read_config(admin: Any, hello: Mapping[str, Any]) -> Mapping[str, Any] | None:  # noqa: ANN401 - a generic class
    """Return the replica set's configuration; None where it is hidden from us.

    Args:
        admin: The database `admin`.
        hello: The answer to `hello`: a `mongos` does not tell its shards' configuration.
    """
    if "setName" not in hello:
        return None
    try:
        answer = await admin.command("replSetGetConfig")
    except OperationFailure as error:
        if error.code == _UNAUTHORIZED:
            return None
        raise
    config: Mapping[str, Any] = answer["config"]
    return config
