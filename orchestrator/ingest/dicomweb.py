"""A SOURCE on a DICOMweb server: listed by QIDO-RS as an archive is by C-FIND; workers bring its instances by WADO-RS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.destinations import WebDestination, parse_destination
from common.errors import PolicyError
from common.network.association import Timeouts
from orchestrator.ingest.archive import SEARCH_SECONDS, listed
from orchestrator.ingest.asked import Asked
from orchestrator.ingest.found import Found, Scope

FORM = "Write dicomweb+https://host/path?StudyDate=20190101-20191231&ModalitiesInStudy=ES."


@dataclass(frozen=True)
class WebSource:
    """What matches a query on a server. See Source."""

    server: WebDestination
    asked: Asked

    @classmethod
    def parse(cls, text: str) -> WebSource:
        """Read ``dicomweb+https://host/path?Keyword=value&…``.

        Raises:
            PolicyError: the address, a key or an option is not understood.
        """
        address, _, question = text.partition("?")
        server = parse_destination(address)
        if not isinstance(server, WebDestination):
            raise PolicyError("this is no address of a DICOMweb server", hint=FORM)
        asked = Asked.parse(question, method="web")
        if asked.method != "web":
            raise PolicyError(".retrieve is for dicom:// sources: a DICOMweb server gives by WADO-RS", hint=FORM)
        return cls(server, asked)

    @property
    def uri(self) -> str:
        """See Source."""
        return f"{self.server.uri}?{self.asked.text(method='web')}".removesuffix("?")

    @property
    def shown(self) -> str:
        """See Source."""
        return f"{self.server.uri}?{self.asked.shown(method='web')}".removesuffix("?")

    def require(self) -> None:
        """See Source: only asking would tell."""

    def find(self, scope: Scope) -> Iterator[Found]:
        """See Source."""
        from common.network.find_web import WebFinder
        from common.network.qido import PAGE
        from common.network.web import WebPeer

        peer = WebPeer(self.server, scope.settings, timeouts=Timeouts(stall=SEARCH_SECONDS))
        with WebFinder(peer, page=min(self.asked.cap or PAGE, PAGE)) as finder:
            yield from listed(finder, self.asked, self.server.uri, scope)
