"""What can be proved afterwards: an append-only, hash-chained log."""

from workbench.audit.log import AuditConfig, AuditLog, ChainReport, verify_chain

__all__ = ["AuditConfig", "AuditLog", "ChainReport", "verify_chain"]
