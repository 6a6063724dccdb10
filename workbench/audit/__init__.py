"""What can be proved afterwards: an append-only, hash-chained log."""

from workbench.audit.log import AuditConfig

__all__ = ["AuditConfig"]
