"""The audit trail made provable: sealed, verified, exported, pruned (docs/audit.md)."""
