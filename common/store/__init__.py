"""Object store: one door, several rooms behind it (folder here; S3 beside it)."""

from common.store.base import ObjectStore, ObjectWriter, Stored

__all__ = ["ObjectStore", "ObjectWriter", "Stored"]
