"""A small DICOMweb server that keeps what it gets, and misbehaves on command."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pydicom
from pydicom.filebase import DicomBytesIO

Script = Callable[["Request"], bool]
"""Answers one request and returns True, or leaves it to the server's good manners."""


LEVELS = {
    "stud": ("StudyInstanceUID", ("StudyInstanceUID", "StudyDate", "StudyTime")),
    "ser": ("SeriesInstanceUID", ("StudyInstanceUID", "SeriesInstanceUID", "Modality")),
    "instance": (
        "SOPInstanceUID",
        ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "NumberOfFrames"),
    ),
}


@dataclass
class WebArchive:
    """``scripts`` answer the next requests of a service (STOW, QIDO, WADO), one each."""

    port: int = 0
    stored: dict[str, bytes] = field(default_factory=dict)  # by SOP Instance UID
    scripts: dict[str, list[Script]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # services, in order
    seen: list[Any] = field(default_factory=list)  # what scripts note
    bytes_in: int = 0
    keeps: bool = True
    most: int = 1000  # matches it gives at a time
    knows_offset: bool = True
    warns: bool = True

    @property
    def uri(self) -> str:
        return f"dicomweb+http://127.0.0.1:{self.port}/rs"

    def script(self, service: str, *scripts: Script) -> None:
        self.scripts.setdefault(service, []).extend(scripts)


class Request(BaseHTTPRequestHandler):
    """One request; scripts use its methods."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    archive: WebArchive

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, content: bytes = b"", kind: str = "application/dicom+json", **headers: str) -> bool:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)
        return True

    def json(self, status: int, value: object, **headers: str) -> bool:
        return self.answer(status, json.dumps(value).encode(), **headers)

    def body(self) -> Iterator[bytes]:
        left = int(self.headers["Content-Length"])
        while left:
            piece = self.rfile.read(min(left, 1 << 18))
            if not piece:
                raise ConnectionError("the client went away")
            left -= len(piece)
            self.archive.bytes_in += len(piece)
            yield piece

    def instance(self) -> bytes:
        """The file in the body of a store."""
        boundary = self.headers.get_boundary()
        assert boundary
        return b"".join(self.body()).split(b"\r\n\r\n", 1)[1].removesuffix(f"\r\n--{boundary}--\r\n".encode())

    def hang_up(self) -> bool:
        self.close_connection = True
        self.connection.close()
        return True

    def do_POST(self) -> None:
        self._serve("STOW", self._store)

    def do_GET(self) -> None:
        wado = re.fullmatch(r".*/instances/([0-9.]+)", urlsplit(self.path).path)
        self._serve("WADO" if wado else "QIDO", self._give if wado else self._find)

    def _serve(self, service: str, manners: Callable[[], object]) -> None:
        self.archive.asked.append(service)
        scripts = self.archive.scripts.get(service)
        try:
            if not (scripts and scripts.pop(0)(self)):
                manners()
        except OSError:
            self.close_connection = True

    def _store(self) -> None:
        if not self.archive.keeps:
            for _ in self.body():
                pass
            self.json(200, {})
            return
        data = self.instance()
        uid = str(pydicom.dcmread(DicomBytesIO(data), stop_before_pixels=True).SOPInstanceUID)
        self.archive.stored[uid] = data
        self.json(200, receipt(stored=uid))

    def _find(self) -> None:
        parts, archive = urlsplit(self.path), self.archive
        asked, places = dict(parse_qsl(parts.query)), parts.path.split("/")
        level = places[-1].removesuffix("s").removesuffix("ie")  # studies, series, instances
        key, fields = LEVELS[level]
        wanted = {
            LEVELS[name.removesuffix("s").removesuffix("ie")][0]: uid
            for name, uid in pairwise(places)
            if uid[:1].isdigit()
        }
        wanted |= {name: asked[name] for name in ("SOPInstanceUID",) if name in asked}
        low, _, high = asked.get("StudyDate", "-").rpartition("-")
        found: dict[str, Any] = {}
        for data in archive.stored.values():
            header = pydicom.dcmread(DicomBytesIO(data), stop_before_pixels=True)
            if all(header[name].value == uid for name, uid in wanted.items()) and (
                not high or (low or "0") <= header.StudyDate <= high
            ):
                found[header[key].value] = matched({name: header[name].value for name in fields if name in header})
        start = int(asked.get("offset", 0)) if archive.knows_offset else 0
        rows = list(found.values())[start:][: min(int(asked.get("limit", 1000)), archive.most)]
        left = len(found) - start - len(rows)
        headers = (
            {"Warning": f'299 rs "There are {left} additional results that can be requested"'}
            if left and archive.warns
            else {}
        )
        self.json(200, rows, **headers)

    def _give(self) -> None:
        data = self.archive.stored.get(self.path.rpartition("/")[2])
        if data is None:
            self.answer(404)
        else:
            self.answer(200, multipart(data), 'multipart/related; type="application/dicom"; boundary=XX')


def multipart(data: bytes, head: str = "Content-Type: application/dicom") -> bytes:
    return b"--XX\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n--XX--\r\n"


def matched(values: dict[str, Any]) -> dict[str, Any]:
    """A match in the DICOM JSON model."""
    data_set = pydicom.Dataset()
    for name, value in values.items():
        setattr(data_set, name, value)
    return dict(data_set.to_json_dict())


def receipt(*, stored: str = "", failed: str = "", warning: int | None = None, reason: int | None = None) -> object:
    """The answer to a store (PS3.18 I.2), in the DICOM JSON model."""
    answer = {}
    if stored:
        warnings = {} if warning is None else {"00081196": {"vr": "US", "Value": [warning]}}
        answer["00081199"] = {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [stored]}, **warnings}]}
    if failed:
        reasons = {} if reason is None else {"00081197": {"vr": "US", "Value": [reason]}}
        answer["00081198"] = {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [failed]}, **reasons}]}
    return answer


@contextmanager
def web_archive(tls: ssl.SSLContext | None = None) -> Iterator[WebArchive]:
    archive = WebArchive()
    handler = type("Handler", (Request,), {"archive": archive})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        archive.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield archive
        server.shutdown()
        thread.join()
