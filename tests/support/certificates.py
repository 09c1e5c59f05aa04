"""A certification authority for one test, and certificates that it signs; made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Authority:
    """Its certificate, and its key beside it (.key)."""

    certificate: Path

    def sign(self, name: str, *addresses: str, days: int = 2) -> Path:
        """A certificate for ``name`` and IP ``addresses``, its key beside it (.key); ``days`` below 0: expired."""
        path = self.certificate.with_name(f"{name}.pem")
        request, extensions = path.with_suffix(".csr"), path.with_suffix(".ext")
        names = ",".join([f"DNS:{name}", *(f"IP:{address}" for address in addresses)])
        extensions.write_text(f"subjectAltName={names}\n", encoding="ascii")
        _openssl("req", *_KEY, "-subj", f"/CN={name}", "-keyout", str(path.with_suffix(".key")), "-out", str(request))
        signer = ["-CA", str(self.certificate), "-CAkey", str(self.certificate.with_suffix(".key")), "-CAcreateserial"]
        _openssl(
            "x509",
            "-req",
            "-in",
            str(request),
            *signer,
            "-days",
            str(days),
            "-extfile",
            str(extensions),
            "-out",
            str(path),
        )
        return path


def authority(folder: Path, name: str = "ca") -> Authority:
    """A new authority in ``folder``."""
    path = folder / f"{name}.pem"
    words = ["-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}", "-keyout", str(path.with_suffix(".key"))]
    _openssl("req", *words, "-out", str(path))
    return Authority(path)


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
