"""Which media type the pixels of an instance have, by its transfer syntax (PS3.18 Tables 8.7.3-2 to 8.7.3-5). Pure."""

from __future__ import annotations

from collections.abc import Mapping

OCTETS = "application/octet-stream"
DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"

_BASE = "1.2.840.10008.1.2"

_IMAGES: Mapping[str, str] = {
    f"{_BASE}.5": "image/dicom-rle",
    **dict.fromkeys((f"{_BASE}.4.{number}" for number in (50, 51, 57, 70)), "image/jpeg"),
    **dict.fromkeys((f"{_BASE}.4.{number}" for number in (80, 81)), "image/jls"),
    **dict.fromkeys((f"{_BASE}.4.{number}" for number in (90, 91)), "image/jp2"),
    **dict.fromkeys((f"{_BASE}.4.{number}" for number in (92, 93)), "image/jpx"),
    **dict.fromkeys((f"{_BASE}.4.{number}" for number in (110, 111, 112)), "image/jxl"),
    **dict.fromkeys((f"{_BASE}.4.{number}" for number in (201, 202, 203)), "image/jphc"),
}

MPEG2 = frozenset(f"{_BASE}.4.{number}{many}" for number in (100, 101) for many in ("", ".1"))
_AVC = frozenset(f"{_BASE}.4.{number}{many}" for number in range(102, 107) for many in ("", ".1"))
_HEVC = frozenset(f"{_BASE}.4.{number}" for number in (107, 108))

VIDEO = MPEG2 | _AVC | _HEVC
"""Syntaxes whose Pixel Data is one stream."""

NATIVE = frozenset((_BASE, f"{_BASE}.1", f"{_BASE}.2", f"{_BASE}.1.99"))


def stream_types(syntax: str) -> tuple[str, ...]:
    """Of a video's whole stream as it is stored, the standard's first; its container is what the encoder of old chose."""
    if syntax in MPEG2:
        return ("video/mpeg2", "video/mpeg", OCTETS)
    return ("video/mp4", "video/h265", OCTETS) if syntax in _HEVC else ("video/mp4", OCTETS)


def frame_type(syntax: str) -> str:
    """Of one frame as it is stored."""
    return _IMAGES.get(syntax, OCTETS)
