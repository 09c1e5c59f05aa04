"""WADO-RS (PS3.18 10.4): one instance as it is stored, byte after byte."""

from __future__ import annotations

from collections.abc import Generator

from common.errors import DestinationRefused
from common.network.multipart import DICOM, single_part
from common.network.web import WebPeer

WHAT = "WADO-RS"

ACCEPTS = (f'multipart/related; type="{DICOM}"; transfer-syntax=*', f"{DICOM}; transfer-syntax=*")
"""As it is stored (PS3.18 8.7.3.5.2), else servers may decode it. The first must be known by all, some know the second only."""

_NOT_ACCEPTABLE = 406
_NONE = frozenset({404, 410})


class NoSuchInstance(DestinationRefused):
    """The server has no such instance, or no longer."""


def instance_bytes(peer: WebPeer, path: str) -> Generator[bytes, None, None]:
    """The DICOM file at ``path`` (common.network.web.instance_path), in pieces.

    Raises:
        DestinationUnavailable: the server is away, busy, or its answer broke off.
        NoSuchInstance: the server does not have it.
        DestinationRefused: the server does not give it, or gives something else.
    """
    for accept in ACCEPTS:
        allow = _NONE | {_NOT_ACCEPTABLE} if accept != ACCEPTS[-1] else _NONE
        with peer.stream(path, what=WHAT, accept=accept, allow=allow) as response:
            if response.status_code == _NOT_ACCEPTABLE:
                continue
            if response.status_code in _NONE:
                raise NoSuchInstance(f"the DICOMweb server has no such instance ({WHAT}: HTTP {response.status_code})")
            if response.status_code != 200:  # 206 and 204 are no whole instance
                raise DestinationRefused(f"the DICOMweb server gives no instance ({WHAT}: HTTP {response.status_code})")
            yield from single_part(response.headers.get("content-type", ""), peer.body(response, WHAT))
            return
