"""All cases of the corpus, in the order in which they are shown."""

from __future__ import annotations

from support.corpus.case import Case
from support.corpus.illegal_containers import CONTAINERS
from support.corpus.illegal_files import FILES
from support.corpus.illegal_headers import HEADERS
from support.corpus.illegal_streams import STREAMS
from support.corpus.legal import LEGAL

ILLEGAL: tuple[Case, ...] = (*STREAMS.cases, *CONTAINERS.cases, *HEADERS.cases, *FILES.cases)
LEGAL_CASES: tuple[Case, ...] = tuple(LEGAL.cases)
CASES: tuple[Case, ...] = ILLEGAL + LEGAL_CASES
