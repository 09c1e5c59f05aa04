"""A cell is made, and four judges that share nothing look at it: our checker, dciodvfy, a decoder and an archive."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pynetdicom.dsutils import split_dataset
from support.corpus.judges import dciodvfy
from support.matrix.cells import TWINS, Shelf, by_name, is_frames
from support.orthanc import Orthanc
from support.passage_to import carried_out, quicker

from common.destinations import DicomDestination
from common.dicom.encapsulation import write_instance
from common.dicom.transfer_syntaxes import ROOT, by_uid, for_length, is_video
from common.errors import DestinationRefused
from common.orders import DeliverOrder, Plan
from common.settings import Settings
from common.store.folder import FolderStore
from workers.check import judge
from workers.deliver.dicom import deliver_to_archive

PRESETS = {"libx264": "veryfast", "libx265": "ultrafast"}
"""Quicker than the recipes', so that the matrix stays cheap: no rule depends on how long an encoder searched."""

INHERENT = {
    ("hdr10", ".108"): {
        "stream.gamut": "no photometric interpretation tells a viewer of BT.2020: the warning is right and stays"
    },
}
"""(source, target) → warnings that belong to the source itself, with the reason."""

UNKNOWN_TO_DCIODVFY = {".107", ".108", ".201", *TWINS}
REFUSED_BY_ORTHANC_1_10 = {".201", *TWINS}

CHECKED, READ, DECODED, STORED, REFUSED = "C", "D", "P", "O", "o"
PARTS = 3  # fragments of a twin


@dataclass(frozen=True)
class Cell:
    """A finished instance."""

    source: str
    target: str
    plan: Plan
    frames: int  # of the source
    images: bool  # a sequence of images, no video stream
    path: Path
    header: Dataset


class Maker:
    """Makes cells below a folder, each once; sources come from a shelf."""

    def __init__(self, shelf: Shelf, folder: Path) -> None:
        self._shelf, self._folder = shelf, folder
        self._made: dict[tuple[str, str], Cell] = {}

    def cell(self, source: str, target: str) -> Cell:
        """The instance of one cell. Raises: AssertionError: the source cannot go there, or nothing came out."""
        if (source, target) not in self._made:
            self._made[source, target] = self._twin(source, target) if target in TWINS else self._make(source, target)
        return self._made[source, target]

    def _make(self, source: str, target: str) -> Cell:
        path, description = self._shelf.of(by_name(source))
        step = self._shelf.step(by_name(source), target)
        assert step.plan is not None, f"refused: {step.rule}"
        plan = step.plan
        if plan.recipe and plan.recipe.encoder in PRESETS:
            plan = quicker(plan, PRESETS[plan.recipe.encoder])
        folder = self._folder / f"{source}{target}"
        done, store = carried_out(path, description, plan, folder)
        instance = store.local_path(done.instance_key)
        assert instance is not None
        header = pydicom.dcmread(instance)
        return Cell(source, target, plan, description.video.frame_count, is_frames(plan, description), instance, header)

    def _twin(self, source: str, target: str) -> Cell:
        """The base's stream, which a limit of a third of its length puts under the fragmentable twin."""
        base = self.cell(source, target.removesuffix(".1"))
        payload = stream(base.header)
        limit = len(payload) // PARTS // 2 * 2 + 2
        syntax = for_length(base.header.file_meta.TransferSyntaxUID, len(payload), fragment_bytes=limit)
        head = pydicom.dcmread(base.path, stop_before_pixels=True)
        head.pop("EncapsulatedPixelDataValueTotalLength", None)
        path = self._folder / f"{source}{target}.dcm"
        with path.open("wb") as out:
            write_instance(out, head, syntax.uid, [payload], len(payload), fragment_bytes=limit)
        return Cell(source, target, base.plan, base.frames, False, path, pydicom.dcmread(path))


def stream(header: Dataset) -> bytes:
    """The bitstream in Pixel Data, as pydicom finds it, without the padding."""
    return b"".join(generate_fragments(header.PixelData))[: header.EncapsulatedPixelDataValueTotalLength]


def is_labelled(cell: Cell) -> None:
    """The transfer syntax is the one that was asked for; a twin has its fragments."""
    uid = cell.header.file_meta.TransferSyntaxUID
    assert uid == ("1.2.840.10008.1.2.5" if cell.target == "RLE" else f"{ROOT}{cell.target}")
    if is_video(uid) and by_uid(uid).base_uid != uid:
        assert len(list(generate_fragments(cell.header.PixelData))) == 1 + PARTS  # the first is the Basic Offset Table


def is_clean(cell: Cell) -> str:
    """`cinefarm check` finds no error, and no warning but those that the source brings."""
    said = judge(cell.path)
    found = {finding.rule for finding in said.findings if finding.severity != "note"}
    expected = INHERENT.get((cell.source, cell.target), {})
    assert found == set(expected), [finding for finding in said.findings if finding.rule not in expected]
    assert said.errors == 0
    return CHECKED


def dciodvfy_reads_it(cell: Cell) -> str:
    """dciodvfy calls nothing an error, where it knows the syntax."""
    if cell.target in UNKNOWN_TO_DCIODVFY:
        return ""
    verdict = dciodvfy(cell.path, cell.target.removeprefix("."))
    assert verdict.state == "clean", verdict
    return READ


def decodes_in_full(cell: Cell) -> str:
    """PyAV (video) or pydicom (images) gives as many frames as the source has and the header says."""
    if cell.images:
        shown = len(cell.header.pixel_array)
    else:
        with av.open(io.BytesIO(stream(cell.header))) as container:
            shown = sum(1 for _ in container.decode(video=0))
    assert shown == cell.header.NumberOfFrames == cell.frames
    return DECODED


def comes_back_from(orthanc: Orthanc, cell: Cell, folder: Path) -> str:
    """Orthanc takes it by C-STORE and gives back the very data set; where 1.10 refuses the syntax, it must still do so."""
    order = _order(cell)
    store = FolderStore(folder)
    store.adopt(order.instance_key, cell.path)

    def send() -> None:
        deliver_to_archive(order, DicomDestination("ORTHANC", "127.0.0.1", orthanc.dicom_port), store, Settings())

    if cell.target in REFUSED_BY_ORTHANC_1_10:
        return _refused(send, order.transfer_syntax_uid)
    send()
    received = folder / "received.dcm"
    received.write_bytes(orthanc.get(f"/instances/{_name(cell.header)}/file"))
    assert _data_set(received) == _data_set(cell.path)
    return STORED


def _refused(send: Callable[[], None], uid: str) -> str:
    try:
        send()
    except DestinationRefused as refusal:
        assert uid in str(refusal)  # noqa: PT017
        return REFUSED
    raise AssertionError(f"this Orthanc takes {uid}: demand that it comes back, and say so in the table")


def _order(cell: Cell) -> DeliverOrder:
    data, header = cell.path.read_bytes(), cell.header
    return DeliverOrder(
        order_id="o",
        item_id="i",
        attempt=1,
        destination="",
        instance_key="instance.dcm",
        instance_digest=hashlib.sha256(data).hexdigest(),
        instance_bytes=len(data),
        study_uid=str(header.StudyInstanceUID),
        series_uid=str(header.SeriesInstanceUID),
        sop_instance_uid=str(header.SOPInstanceUID),
        sop_class_uid=str(header.SOPClassUID),
        transfer_syntax_uid=str(header.file_meta.TransferSyntaxUID),
    )


def _data_set(path: Path) -> bytes:
    """The file without preamble and file meta information, which every archive writes anew (PS3.10 7.1)."""
    return path.read_bytes()[split_dataset(path)[1] :]


def _name(header: Dataset) -> str:
    """Orthanc's own name of an instance: SHA-1 over the four identifiers."""
    words = (header.PatientID, header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID)
    digest = hashlib.sha1("|".join(map(str, words)).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[at : at + 8] for at in range(0, 40, 8))


def proven(cell: Cell, orthanc: Orthanc, folder: Path) -> str:
    """The letters of all proofs, each of which passed. Raises: AssertionError: one did not."""
    is_labelled(cell)
    letters = (is_clean(cell), dciodvfy_reads_it(cell), decodes_in_full(cell))
    return "".join(letters) + comes_back_from(orthanc, cell, folder)
