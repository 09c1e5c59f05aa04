"""The truth: jobs, items, attempts and deliveries in SQL. Everything else can be lost and made again."""

from orchestrator.ledger import audit as _audit  # noqa: F401 whoever changes a state keeps the record of it
