"""What the audit record refuses."""

from guilder.kernel.errors import GuilderError, Kind


class AuditHeadUnreadable(GuilderError):
    """A noted head is the line of JSON that `guilder audit head` prints."""

    code = "audit_head_unreadable"
    kind = Kind.INVALID
    title = "This is not a noted head of the audit record"
