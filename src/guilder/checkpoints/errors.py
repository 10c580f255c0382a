"""The rules of proofs."""

from guilder.kernel.errors import GuilderError, Kind


class ProofNotReady(GuilderError):
    """A transaction can be proved once a signed checkpoint covers it, within a minute or so."""

    code = "proof_not_ready"
    kind = Kind.CONFLICT
    title = "No signed checkpoint covers the transaction yet"
    retryable = True
