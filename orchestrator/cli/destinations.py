"""``cinefarm destinations``: what is known of archives and viewers, and where it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.destinations import DestinationProfile

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="a profile, or a .toml file; none: list all")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object a line on stdout (docs/json.md)")]


def destinations(name: Name = None, json: Json = False) -> int:
    """List the destination profiles, or show one with the source of every fact (docs/destinations.md)."""
    from common.settings import Settings
    from orchestrator.destinations import Library
    from orchestrator.reports.jsonlines import line

    library = Library.of(Settings())
    chosen = [library.named(name)] if name else sorted(library.profiles.values(), key=lambda one: (one.kind, one.name))
    if json:
        for profile in chosen:
            print(line(_facts(profile)))  # noqa: T201 the answer
    elif name:
        _show_one(chosen[0])
    else:
        _show_all(chosen)
    return 0


def _facts(profile: DestinationProfile) -> dict[str, Any]:
    return {"type": "destination", **profile.model_dump(mode="json", exclude_none=True)}


def _show_all(profiles: list[DestinationProfile]) -> None:
    from rich.table import Table

    from orchestrator.cli.plain import plain, stdout_console
    from orchestrator.destinations.profile import said

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("name", "", "product", "known (? is assumed)"):
        table.add_column(column, header_style="bold")
    for each in profiles:
        known = [f"{name.replace('_', ' ')} {said(fact.value)}{'?' * fact.assumed}" for name, fact in each.facts]
        table.add_row(each.name, each.kind, plain(each.title), "; ".join(known) or "nothing")
    stdout_console().print(table)


def _show_one(profile: DestinationProfile) -> None:
    from orchestrator.cli.plain import plain
    from orchestrator.destinations.profile import said

    lines = [f"{profile.name}: {profile.title} ({profile.kind})"]
    for name, fact in profile.facts:
        lines += [f"  {name.replace('_', ' ')}: {said(fact.value)}", f"      {fact.source}"]
    lines += [f"  note: {note}" for note in profile.notes]
    print("\n".join(map(plain, lines)))  # noqa: T201 the answer
