"""docs/destinations.md, made from the profiles: ``python -m orchestrator.destinations.document > docs/destinations.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from orchestrator.destinations.library import Library
from orchestrator.destinations.profile import DestinationProfile, said

_HEAD = """# Destination profiles

Made from the code by `python -m orchestrator.destinations.document`; do not edit.

What an archive takes and what a viewer plays, as data: one TOML file each in `orchestrator/destinations/`. Every fact names its
source; what begins with *assumed* is published nowhere that was read, and says why it is believed. A fact that is not known is
absent and limits nothing: `cinefarm probe dicom://…` asks the archive itself.

    cinefarm destinations                 the list; --json for programs
    cinefarm destinations orthanc         one, with the source of every fact

## How they are used

    cinefarm plan SOURCE --to dicom://PACS@host:104 --accepts 'dicom://PACS@host:104 profile=orthanc plays-in=ohif,weasis max=4GiB'

In a job file: `accepts = {"dicom://PACS@host:104" = "profile=orthanc plays-in=ohif,weasis max=4GiB"}`. The words, in any order:

| word | says |
|---|---|
| `profile=NAME` | the archive: its facts are the defaults of the words below. A name, or the path of a `.toml` file |
| `plays-in=NAME,NAME` | viewers that must play every instance: what all of them play is taken |
| `syntaxes=.102,.104` | transfer syntaxes that it takes |
| `prefers=.100,.101` | what an encode is made to where it can be, the best first; closes nothing |
| `containers=mp4` | `mp4`, `mpegts` |
| `fragmentable=no` | whether it takes the twins `.100.1` to `.106.1` |
| `max=4GiB` | largest instance; what is larger becomes several ([split.md](split.md)) |
| `commitment=yes` | `yes`, `no`, `unknown`: storage commitment |
| `verify=count` | `unknown`, `none`, `count`, `sample`, `all`: proof where it does not commit ([commitment.md](commitment.md)) |
| `pdu=128KiB` | longest PDU to send |

A stated word goes before the profile's fact. Viewers only add demands; they lift none. The ledger keeps what was stated, with the
profile's facts of that day, for later jobs to the same destination.

**What the planner does with it** ([plan.md](plan.md)). All destinations and all their viewers must take the one instance. Of several
wishes (`prefers`) those of the destination named first go first. A source that is legal and taken is kept or rewrapped, whatever is
preferred. An archive that takes MPEG-2 alone gets MPEG-2, though no quality profile makes it of its own accord. What closed a cheaper
path stands in `forced_by` with the destination and its profile. Where destinations contradict each other the item is refused
(`destination.conflict`), and the reason says what each takes: submit a job for each.

## Your own

`CINEFARM_PROFILES_DIR` names a folder of `.toml` files; one of the same `name` takes the place of a built-in profile. Or name a file:
`profile=./our-pacs.toml`. A wrong key or value is refused with its name.

    name = "our-pacs"            # lower case, digits and '-'
    title = "The PACS of the main building"
    kind = "archive"             # or "viewer"
    notes = ["Probed on 2026-11-23."]

    [syntaxes]
    value = [".102", ".100"]
    source = "cinefarm probe, 2026-11-23"

    [max_bytes]
    value = "2GiB"
    source = "its vendor, by telephone"

Facts: `syntaxes` (of video; frames are not limited by a profile), `prefers`, `containers`, `fragmentable`, `one_fragment` (wants the
stream in one fragment, also under .107 and .108), `index_first` (wants an MP4's index at its beginning), `max_bytes`, `commitment`,
`verify`, `pdu_bytes`, and, for people alone, `find_limit` and `read_back`.
"""


def destinations_page(library: Library) -> str:
    """The whole page."""
    profiles = sorted(library.profiles.values(), key=lambda one: one.name)
    return "\n".join(
        [
            _HEAD,
            *_section("Archives", [each for each in profiles if each.kind == "archive"]),
            *_section("Viewers", [each for each in profiles if each.kind == "viewer"]),
        ]
    )


def _section(title: str, profiles: list[DestinationProfile]) -> Iterator[str]:
    yield f"## {title}\n"
    for profile in profiles:
        yield f"### {profile.title} (`{profile.name}`)\n"
        facts = list(profile.facts)
        if facts:
            yield "| fact | value | source |\n|---|---|---|"
            yield from (f"| {name} | {said(fact.value)} | {fact.source} |" for name, fact in facts)
            yield ""
        yield from (f"- {note}" for note in profile.notes)
        yield ""


if __name__ == "__main__":
    from common.settings import Settings

    sys.stdout.write(destinations_page(Library.of(Settings(profiles_dir=None))))
