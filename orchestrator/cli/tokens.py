"""``cinefarm token``: who may use the API and the web page. It works on the ledger itself: whoever holds that may make tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.api.roles import Role

token = typer.Typer(
    help="Make, list and revoke tokens of the API and the web page (docs/api.md).", no_args_is_help=True
)

State = Annotated[Path | None, typer.Option("--state", metavar="DIR", help="state directory, where no ledger is set")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object a line on stdout (docs/json.md)")]


@token.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="who gets it; stands beside what they decide")],
    role: Annotated[Role, typer.Option("--role", help="what for")],
    days: Annotated[float, typer.Option("--days", help="how long it is good, at most 366")] = 90,
    site: Annotated[
        list[str] | None, typer.Option("--site", help="whose jobs it sees and steers; may be repeated; none: all")
    ] = None,
    state: State = None,
) -> int:
    """Make a token and print it, this once. From the first one on nobody calls without."""
    import sys

    from orchestrator.build import build_ledger
    from orchestrator.cli.client import settings_of
    from orchestrator.ledger.tokens import make_token

    with build_ledger(settings_of(state)).begin() as session:
        made, text = make_token(session, name, role.value, days=days, sites=site or ())
    print(text)  # noqa: T201 the answer
    print(f"id {made.id}, {role.value}, good until {made.expires_at:%Y-%m-%d %H:%M} UTC", file=sys.stderr)  # noqa: T201
    return 0


@token.command("list")
def listing(state: State = None, json: Json = False) -> int:
    """Show all tokens that were made, the latest first: never their text, which nobody has."""
    from orchestrator.build import build_ledger
    from orchestrator.cli.client import settings_of
    from orchestrator.ledger.schema import now
    from orchestrator.ledger.tokens import is_good, tokens
    from orchestrator.reports.jsonlines import line

    with build_ledger(settings_of(state))() as session:
        for each in tokens(session):
            good = "good" if is_good(each, now()) else "revoked" if each.revoked_at else "ended"
            sites = ",".join(each.sites) if each.sites else "all sites"
            if json:
                names = ("id", "name", "role", "sites", "made_by")
                times = {f"{when}_at": getattr(each, f"{when}_at") for when in ("made", "expires", "revoked")}
                told = {key: at and at.isoformat() for key, at in times.items()}
                print(line({"type": "token", **{key: getattr(each, key) for key in names}, **told, "state": good}))  # noqa: T201
            else:
                print(f"{each.id}  {good:7} {each.role:9} {each.name}  {sites}  until {each.expires_at:%Y-%m-%d}")  # noqa: T201
    return 0


@token.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="from `cinefarm token list`")], state: State = None
) -> int:
    """End a token, and the sessions of browsers that it began, within five seconds."""
    from orchestrator.build import build_ledger
    from orchestrator.cli.client import settings_of
    from orchestrator.ledger.tokens import revoke_token

    with build_ledger(settings_of(state)).begin() as session:
        ended = revoke_token(session, token_id)
    print(f"{ended.id} of {ended.name} is revoked")  # noqa: T201 the answer
    return 0
