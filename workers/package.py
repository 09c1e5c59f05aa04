"""Put a video stream into its DICOM file: the thin edge around common.dicom.headers and common.dicom.encapsulation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InternalFault

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from common.dicom.encapsulation import Sink


def package(out: Sink, header: Dataset, transfer_syntax_uid: str, stream: Iterable[bytes], stream_length: int) -> None:
    """Write a whole DICOM file to ``out``: ``header``, then ``stream_length`` bytes of ``stream`` as its pixel data.

    Memory is that of the header and a few chunks.

    Raises:
        NoLegalPath, TruncatedSource, InternalFault: see common.dicom.encapsulation.write_instance.
    """
    from common.dicom.encapsulation import write_instance

    write_instance(out, header, transfer_syntax_uid, stream, stream_length)


def source_header(path: Path) -> Dataset:
    """Header of a DICOM source, without its pixel data.

    Raises:
        NotVideo, UnreadableSource, TruncatedSource, UnsupportedSource: see common.dicom.pixel_stream.read_header.
    """
    from common.dicom.pixel_stream import read_header

    return read_header(path).dataset


def supplied_header(dicom_json: bytes) -> Dataset:
    """Patient and study data of plain video: the mapping row as the orchestrator wrote it, in DICOM JSON (PS3.18 F.2).

    Raises:
        InternalFault: not DICOM JSON.
    """
    from pydicom.dataset import Dataset

    try:
        return Dataset.from_json(json.loads(dicom_json))
    except Exception as error:  # pydicom raises what it likes on values of the wrong shape
        raise InternalFault("the header object of this item is no DICOM JSON") from error
