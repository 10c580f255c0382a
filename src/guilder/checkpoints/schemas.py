"""Checkpoints and proofs on the wire."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from guilder.checkpoints.service import Proof
from guilder.kernel.ids import encode_id
from guilder.ledger.checkpoints import CheckpointKey, Statement
from guilder.wallets.schemas import Time
from guilder.wallets.service import TRANSFER_PREFIX

Sha256 = Annotated[str, Field(description="64 hexadecimal digits.", examples=["9f" * 32])]


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class CheckpointsQuery(BaseModel):
    """Which page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=25, ge=1, le=100)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before.")


class CheckpointAnswer(_Wire):
    """A signed statement of what the journal is up to a position."""

    after: int = Field(description="Position of the checkpoint before; 0 for none.", examples=[0])
    position: int = Field(description="Of the last transaction it covers.", examples=[12])
    chain: Sha256
    root: Sha256
    time: Time
    key_id: str = Field(examples=["key_0123456789abcdef"])
    signature: str = Field(description="Ed25519, 128 hexadecimal digits.", examples=["5c" * 64])

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Return a statement as it goes over the wire."""
        return cls(
            after=statement.after,
            position=statement.position,
            chain=statement.chain,
            root=statement.root,
            time=statement.time,
            key_id=statement.key_id,
            signature=statement.signature,
        )


class CheckpointsAnswer(_Wire):
    """A page of checkpoints, newest first."""

    data: list[CheckpointAnswer]
    has_more: bool
    next_cursor: str | None


class KeyAnswer(_Wire):
    """A public key that checkpoints are signed with."""

    key_id: str = Field(examples=["key_0123456789abcdef"])
    algorithm: str = Field(default="Ed25519", examples=["Ed25519"])
    public_key: str = Field(description="32 bytes, 64 hexadecimal digits.", examples=["1b" * 32])

    @classmethod
    def of(cls, key: CheckpointKey) -> Self:
        """Return the public half of a key."""
        return cls(key_id=key.id, public_key=key.public.hex())


class KeysAnswer(_Wire):
    """The public keys."""

    data: list[KeyAnswer]


class PartAnswer(_Wire):
    """One part of what a checkpoint covers. Without `content` it is not the reader's to see."""

    name: str = Field(examples=["common"])
    hash: Sha256
    content: str | None = Field(description="JSON text: what was hashed, in UTF-8.")


class StepAnswer(_Wire):
    """A neighbour on the way to the root."""

    side: str = Field(pattern="^(left|right)$", examples=["left"])
    hash: Sha256


class ProofAnswer(_Wire):
    """All that it takes to check, without us, that a signed checkpoint covers a transaction."""

    transaction_id: str = Field(examples=["transfer_01h455vb4pex5vsknk084sn02q"])
    parts: list[PartAnswer]
    path: list[StepAnswer]
    checkpoint: CheckpointAnswer

    @classmethod
    def of(cls, proof: Proof) -> Self:
        """Return a proof as it goes over the wire."""
        return cls(
            transaction_id=encode_id(TRANSFER_PREFIX, proof.transfer.id),
            parts=[
                PartAnswer(
                    name=each.name,
                    hash=each.hash,
                    content=each.content.decode() if each.content else None,
                )
                for each in proof.parts
            ],
            path=[StepAnswer(side=step.side, hash=step.hash) for step in proof.path],
            checkpoint=CheckpointAnswer.of(proof.checkpoint),
        )
