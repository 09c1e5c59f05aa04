"""Coerced identifiers at the edge: the rules from the store, and a header rewritten around pixel data that stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from common.dicom.identifiers import Identifiers, coerce, was_coerced
from common.errors import InternalFault, UnreadableSource
from common.media import Kind
from common.orders import Finding, TranscodeOrder
from common.store import ObjectStore
from workers.instance_writer import instance_writer
from workers.payload import CHUNK_BYTES
from workers.transcode import INSTANCE, Packaged, broken

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from common.dicom.encapsulation import Sink
    from common.dicom.pixel_stream import Header

_last: dict[str, Identifiers] = {}  # the rules that were used last, by their key, which says what is in them


def stored_rules(store: ObjectStore, key: str | None) -> Identifiers | None:
    """The rules under a key; None: there are none. One set stays in memory: those of a job are the same for each item.

    Raises:
        StoreFault: they cannot be read.
        InternalFault: they are not what their key says.
    """
    if key is None:
        return None
    if key not in _last:
        rules = Identifiers.model_validate_json(store.get(key))
        if rules.key != key:
            raise InternalFault("the rules for identifiers in the store are not those of their key")
        _last.clear()
        _last[key] = rules
    return _last[key]


def recoerced(order: TranscodeOrder, source: Path, store: ObjectStore) -> Packaged:
    """The source with other identifiers: its header written anew, Pixel Data carried over as it lies. Runs in a child.

    Raises:
        BadIdentifiers: the rules give it no legal identifiers.
        UnreadableSource: a header value is broken, or the file has changed since it was described.
    """
    from common.conformance import check_result
    from common.dicom.explicit import explicit_copy
    from common.dicom.headers import values_of
    from common.dicom.pixel_stream import read_header

    description, coercion = order.description, order.plan.coercion
    rules = stored_rules(store, coercion.key if coercion else None)
    facts = description.dicom
    if facts is None or coercion is None or rules is None:
        raise InternalFault("only a DICOM source with rules has its header alone rewritten")
    read = read_header(source)
    if read.pixel_data_offset != facts.pixel_data_offset or read.transfer_syntax_uid != facts.transfer_syntax_uid:
        raise UnreadableSource("the source has changed since it was described")
    with values_of(read.dataset):
        header = explicit_copy(read.dataset)
        coerce(header, rules, coercion.moment)
    findings: tuple[Finding, ...] = ()  # frames as they came: whoever described them has found every one
    if description.kind is not Kind.DICOM_FRAMES:
        findings = check_result(header, description, facts.transfer_syntax_uid)
    stored = None
    if not broken(findings):
        with instance_writer(store, f"{order.output_prefix}/{INSTANCE}") as writer:
            _write(writer, header, read)
        stored = writer.stored
    return Packaged(
        stored,
        findings,
        facts.study_uid,
        facts.series_uid,
        facts.transfer_syntax_uid,
        facts.stream_length or 0,
        coerced=was_coerced(header, rules),
    )


def _write(out: Sink, header: Dataset, read: Header) -> None:
    """The new header; Pixel Data, and offset tables of its own group, to the byte (PS3.10 7.1)."""
    from common.dicom.encapsulation import encoded, file_meta, part_of, split_header

    before, after = split_header(header)
    pixel_group = [tag for tag in header.keys() if tag.group == 0x7FE0 and tag < 0x7FE00010]  # noqa: SIM118 stay raw
    out.write(b"\0" * 128 + b"DICM")
    out.write(file_meta(header, read.transfer_syntax_uid))
    out.write(encoded(before))
    out.write(encoded(part_of(header, pixel_group)))
    with read.path.open("rb") as source:
        source.seek(read.pixel_data_offset)
        left = read.end - read.pixel_data_offset
        while left > 0 and (piece := source.read(min(CHUNK_BYTES, left))):
            out.write(piece)
            left -= len(piece)
    if left:
        raise UnreadableSource("the source has changed since it was described")
    out.write(encoded(after))
