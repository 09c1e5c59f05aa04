"""The Native DICOM Model in XML (PS3.19 A.1), read into the shape of DICOM JSON: some servers answer a store in nothing else."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

Element = dict[str, Any]


def json_of_xml(content: bytes) -> dict[str, Any]:
    """The data set of one document: tag → {"vr", "Value"}; values are texts, items of a sequence data sets themselves.

    Raises:
        ValueError: it is no XML, or has a document type: what entities expand to is nobody's receipt.
    """
    reader = _Reader()
    try:
        reader.parse(content)
    except expat.ExpatError as error:
        raise ValueError("no well-formed XML") from error
    return reader.root


class _Reader:
    """Follows DicomAttribute, Item and Value; all other elements (names of people, bulk data) are passed over."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._data_sets: list[dict[str, Any]] = [self.root]
        self._attributes: list[Element] = []
        self._text: list[str] | None = None

    def parse(self, content: bytes) -> None:
        """Read all of it."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(content, True)

    def _refuse(self, *_: object) -> None:
        raise ValueError("a document type in an answer")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        kind = name.rpartition(" ")[2]
        if kind == "DicomAttribute":
            element: Element = {"vr": attributes.get("vr", ""), "Value": []}
            self._data_sets[-1][attributes.get("tag", "").upper()] = element
            self._attributes.append(element)
        elif kind == "Item" and self._attributes:
            item: dict[str, Any] = {}
            self._attributes[-1]["Value"].append(item)
            self._data_sets.append(item)
        elif kind == "Value":
            self._text = []

    def _end(self, name: str) -> None:
        kind = name.rpartition(" ")[2]
        if kind == "DicomAttribute":
            self._attributes.pop()
        elif kind == "Item" and len(self._data_sets) > 1:
            self._data_sets.pop()
        elif kind == "Value" and self._text is not None:
            if self._attributes:
                self._attributes[-1]["Value"].append("".join(self._text))
            self._text = None

    def _characters(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)
