"""SHA-256 of the bytes of Pixel Data, whatever header an archive has written around them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from common.dicom.pixel_stream import FragmentReader

if TYPE_CHECKING:
    from common.dicom.pixel_stream import Header

_PIECE_BYTES = 1 << 20


def pixel_digest(header: Header) -> str:
    """Of all fragments one after the other, padding included; of native Pixel Data, of its value. Hexadecimal."""
    digest = hashlib.sha256()
    if header.length is None:
        with FragmentReader(header.path, header.fragments) as fragments:
            while piece := fragments.read(_PIECE_BYTES):
                digest.update(piece)
        return digest.hexdigest()
    with header.path.open("rb") as file:
        file.seek(header.value_offset)
        left = header.length
        while left > 0 and (piece := file.read(min(left, _PIECE_BYTES))):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()
