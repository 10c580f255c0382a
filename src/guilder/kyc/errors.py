"""The rules of proving who somebody is."""

from guilder.kernel.errors import GuilderError, Kind


class TooManyDocuments(GuilderError):
    """Somebody has handed in at most so many documents as anybody needs."""

    code = "too_many_documents"
    kind = Kind.CONFLICT
    title = "Too many documents are there already"


class DocumentDecided(GuilderError):
    """A document is decided once. An operator may refuse one later that had been approved."""

    code = "document_decided"
    kind = Kind.CONFLICT
    title = "The document was decided otherwise"


class OwnDocument(GuilderError):
    """Nobody decides on documents of their own."""

    code = "own_document"
    kind = Kind.FORBIDDEN
    title = "Nobody decides on their own documents"


class CallbackInvalid(GuilderError):
    """A provider's callback can be read, and is signed lately with the secret that we share."""

    code = "kyc_callback_invalid"
    kind = Kind.MALFORMED
    title = "The callback is not signed as agreed"
