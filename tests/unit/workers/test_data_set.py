"""What goes over the wire: the stored bytes, or the same elements in Implicit VR Little Endian, in whole PDUs."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

from common.errors import StoreFault, UnsupportedSource
from workers.deliver.data_set import AsImplicit, AsStored, DataSet, open_data_set
from workers.deliver.store_message import Answers, Response, data_pdus, request_pdu


def loop() -> Dataset:
    """An uncompressed loop with everything that implicit VR writes in another way."""
    inner = Dataset()
    inner.CodeValue, inner.CodeMeaning = "T-1", "Meaning"
    item = Dataset()
    item.ConceptNameCodeSequence = Items([inner])
    item.TextValue = "text" * 50
    loop = Dataset()
    loop.SOPClassUID, loop.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.3.1", "2.25.1"
    loop.PatientName = "Doe^Jane"
    loop.ContentSequence = Items([item, Dataset(), item])
    loop.add_new(0x00091001, "UN", b"private!")
    loop.private_block(0x0009, "CINEFARM", create=True)
    loop.Rows, loop.Columns, loop.BitsAllocated, loop.NumberOfFrames = 64, 64, 8, 40
    loop.SamplesPerPixel, loop.PhotometricInterpretation, loop.PixelRepresentation = 1, "MONOCHROME2", 0
    loop.PixelData = bytes(range(256)) * 640
    loop["PixelData"].VR = "OB"
    loop.DataSetTrailingPadding = b"\0" * 6
    return loop


def save(dataset: Dataset, path: Path, *, undefined_lengths: bool = False) -> Path:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = undefined_lengths
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined_lengths
    dataset.save_as(path, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return path


def taken(data: DataSet, slot_bytes: int = 1_000) -> bytes:
    """All bytes, through slots of this size."""
    buffer = memoryview(bytearray(data.length))
    slots = [buffer[at : at + slot_bytes] for at in range(0, data.length, slot_bytes)]
    for at in range(0, len(slots), 7):
        data.fill(slots[at : at + 7])
    return bytes(buffer)


def as_implicit(path: Path) -> bytes:
    with open_data_set(path) as (stream, offset):
        return taken(AsImplicit(stream, offset))


@pytest.mark.parametrize("undefined_lengths", [False, True])
def test_the_elements_are_the_same_without_their_vrs(tmp_path: Path, undefined_lengths: bool) -> None:
    source = loop()
    sent = as_implicit(save(source, tmp_path / "loop.dcm", undefined_lengths=undefined_lengths))
    read = dcmread(BytesIO(sent), force=True)
    assert read.is_implicit_VR
    assert list(read.keys()) == sorted(source.keys())
    assert read.PixelData == source.PixelData
    assert read[0x00091001].value == b"private!"
    assert [str(item) for item in read.ContentSequence] == [str(item) for item in source.ContentSequence]


@pytest.mark.parametrize("name", ["CT_small.dcm", "color3d_jpeg_baseline.dcm", "rtplan.dcm"])
def test_a_real_object_survives(name: str, tmp_path: Path) -> None:
    source = dcmread(str(get_testdata_file(name)))
    if "PixelData" in source and source.file_meta.TransferSyntaxUID.is_compressed:
        del source.PixelData
    source.remove_private_tags()  # whose VRs only the explicit form tells
    sent = as_implicit(save(source, tmp_path / "explicit.dcm"))
    assert dcmread(BytesIO(sent), force=True).to_json_dict() == dcmread(tmp_path / "explicit.dcm").to_json_dict()


def test_a_sequence_that_came_as_un_stays_as_it_is(tmp_path: Path) -> None:
    nested = struct.pack("<HHI", 0xFFFE, 0xE000, 12) + struct.pack("<HHI4s", 0x0008, 0x0104, 4, b"Mean")
    body = (
        struct.pack("<HH2sHI", 0x0009, 0x1002, b"UN", 0, 0xFFFFFFFF) + nested + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )
    path = tmp_path / "un.dcm"
    path.write_bytes(bytes(128) + b"DICM" + struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, 0))
    with path.open("ab") as stream:
        stream.write(body)
    assert as_implicit(path) == body[:4] + body[8:]


def test_compressed_pixels_are_not_sent_so(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedSource, match="compressed"):
        as_implicit(Path(str(get_testdata_file("color3d_jpeg_baseline.dcm"))))


def test_a_data_set_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = save(loop(), tmp_path / "loop.dcm")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises((UnsupportedSource, StoreFault)):
        as_implicit(path)


def test_a_file_that_shrinks_while_it_is_sent_is_a_store_fault(tmp_path: Path) -> None:
    path = save(loop(), tmp_path / "loop.dcm")
    with open_data_set(path) as (stream, offset):
        data = AsStored(stream, offset)
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(StoreFault, match="shorter"):
            taken(data)


class Made:
    """A data set of made bytes."""

    def __init__(self, data: bytes) -> None:
        self._stream, self.length = BytesIO(data), len(data)

    def fill(self, slots: Sequence[memoryview]) -> None:
        for slot in slots:
            assert self._stream.readinto(slot) == len(slot)


@settings(deadline=None, max_examples=60)
@given(length=st.integers(1, 3_000), pdu_bytes=st.integers(16, 700), batch_bytes=st.integers(1, 2_000))
def test_pdus_hold_all_bytes_in_order_and_the_last_says_so(length: int, pdu_bytes: int, batch_bytes: int) -> None:
    data = bytes(at % 251 for at in range(length))
    wire = b"".join(bytes(part) for part in data_pdus(Made(data), 5, pdu_bytes, batch_bytes))
    fragments, flags, at = b"", [], 0
    while at < len(wire):
        kind, size, item, context, control = struct.unpack_from(">BxLLBB", wire, at)
        assert (kind, item, context) == (4, size - 4, 5)
        assert size <= pdu_bytes
        fragments += wire[at + 12 : at + 6 + size]
        flags.append(control)
        at += 6 + size
    assert fragments == data
    assert flags == [0] * (len(flags) - 1) + [2]


def test_a_request_is_what_pynetdicom_understands() -> None:
    from pynetdicom.dimse_messages import DIMSEMessage
    from pynetdicom.pdu import P_DATA_TF

    pdu = P_DATA_TF()
    pdu.decode(request_pdu(7, "1.2.840.10008.5.1.4.1.1.77.1.1.1", "2.25.123", 9))
    message = DIMSEMessage()
    message.decode_msg(pdu.to_primitive())
    command = message.command_set
    assert message.context_id == 7
    assert (command.CommandField, command.MessageID, command.Priority) == (1, 9, 2)
    assert (command.AffectedSOPClassUID, command.AffectedSOPInstanceUID) == (
        "1.2.840.10008.5.1.4.1.1.77.1.1.1",
        "2.25.123",
    )


def test_an_answer_in_fragments_is_put_together() -> None:
    elements = ((0x0100, 0x8001), (0x0120, 9), (0x0800, 0x0101), (0x0900, 0xB000))
    command = b"".join(struct.pack("<HHIH", 0, element, 2, value) for element, value in elements)
    answers = Answers()
    first = struct.pack(">LBB", 12, 1, 1) + command[:10]
    rest = struct.pack(">LBB", len(command) - 8, 1, 3) + command[10:]
    assert answers.take(first) is None
    assert answers.take(rest) == Response(9, 0xB000)


@settings(deadline=None, max_examples=200)
@given(body=st.binary(max_size=60))
def test_garbage_is_no_answer(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert Answers().take(body) is None
