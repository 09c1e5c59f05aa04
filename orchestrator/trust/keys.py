"""The key that signs seals: Ed25519 (RFC 8032), a PEM file that the ledger's owner cannot read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from common.errors import PolicyError

_PURPOSE = b"cinefarm audit seal 1\n"
"""Before what is signed, so that a signature of ours can be taken for nothing else."""

HINT = "Make one with `openssl genpkey -algorithm ed25519 -out audit.key`; its public half: `openssl pkey -in audit.key -pubout`."


@dataclass(frozen=True)
class PublicKey:
    """Checks signatures."""

    key: Ed25519PublicKey

    @property
    def name(self) -> str:
        """SHA-256 of the raw public key, hexadecimal."""
        return hashlib.sha256(self.key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()

    def signed(self, link: str, signature: bytes) -> bool:
        """Whether the holder of the private half signed this link."""
        try:
            self.key.verify(signature, _PURPOSE + link.encode("ascii", "replace"))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Signer:
    """Signs links."""

    key: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """The half that may be shown."""
        return PublicKey(self.key.public_key())

    def sign(self, link: str) -> bytes:
        """64 bytes."""
        return self.key.sign(_PURPOSE + link.encode("ascii"))


def load_signer(path: Path | None) -> Signer | None:
    """The private key of a PEM file; None: seals are not signed.

    Raises:
        PolicyError: the file cannot be read, or holds no Ed25519 key.
    """
    if path is None:
        return None
    key = _loaded(path, lambda data: load_pem_private_key(data, password=None))
    if not isinstance(key, Ed25519PrivateKey):
        raise PolicyError("the key of the audit trail is no Ed25519 private key", hint=HINT)
    return Signer(key)


def load_public(path: Path) -> PublicKey:
    """The public key of a PEM file, which may hold the private one as well.

    Raises:
        PolicyError: the file cannot be read, or holds no Ed25519 key.
    """

    def load(data: bytes) -> object:
        if b"PRIVATE KEY" not in data:
            return load_pem_public_key(data)
        private = load_pem_private_key(data, password=None)
        return private.public_key()

    key = _loaded(path, load)
    if not isinstance(key, Ed25519PublicKey):
        raise PolicyError("that is no Ed25519 key", hint=HINT)
    return PublicKey(key)


def _loaded(path: Path, load: Callable[[bytes], object]) -> object:
    try:
        return load(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no PEM file of an unencrypted key"
        raise PolicyError(f"the key of the audit trail cannot be read: {reason}", hint=HINT) from error
