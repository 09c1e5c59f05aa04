"""Headers of video bitstreams and of MP4, bit-exact: pure functions over bytes, bounded on every count they read."""

from __future__ import annotations


class BitstreamError(ValueError):
    """The bytes break the syntax of the standard they claim to follow, or end too early."""
