"""How commands reach the API: where it is, who calls, and errors in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import httpx

    from common.errors import CinefarmError
    from common.settings import Settings
    from orchestrator.ledger.database import Sessions

Api = Annotated[
    str | None,
    typer.Option(
        "--api", metavar="URL", help="the API; default: CINEFARM_API_URL, else the service of the state directory"
    ),
]

DEFAULT_URL = "http://127.0.0.1:8080"
ADDRESS_NAME = "api.json"
"""What a service writes into its state directory (orchestrator.api.server)."""

PREFIX = "/api/v1"
TIMEOUT_SECONDS = 600.0
"""A cancel or retry of a million items takes minutes."""


class Client:
    """Asks the API; what it refuses is raised as an error of ours."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def json(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """One request and its answer; ``path`` below /api/v1."""
        sent = {} if body is None else {"json": body}
        with self._asked(method, path, **sent, **options) as answer:
            answer.read()
            return answer.json()

    def lines(self, path: str) -> Iterator[dict[str, Any]]:
        """The objects of an answer that comes line by line."""
        with self._asked("GET", path) as answer:
            for line in answer.iter_lines():
                if line:
                    yield json.loads(line)

    def download(self, path: str, into: Path) -> None:
        """Write an answer's body into a file, which appears when it is whole."""
        aside = into.with_name(f".{into.name}.part")
        try:
            with self._asked("GET", path) as answer, aside.open("wb") as file:
                for part in answer.iter_bytes():
                    file.write(part)
            aside.replace(into)
        finally:
            aside.unlink(missing_ok=True)

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """All entries of a list."""
        cursor = None
        while True:
            params = {"limit": 500} | ({"cursor": cursor} if cursor else {})
            page = self.json("GET", path, params=params)
            yield from page["items"]
            if not (cursor := page["next"]):
                return

    @contextmanager
    def _asked(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        import httpx

        from common.errors import EnvironmentFault

        try:
            with self._http.stream(method, f"{PREFIX}{path}", **options) as answer:
                if answer.is_error:
                    answer.read()
                    raise _refusal(answer)
                yield answer
        except httpx.TransportError as error:
            hint = "Start `cinefarm serve`, or say where it is: --api URL or CINEFARM_API_URL (docs/api.md)."
            raise EnvironmentFault(
                f"no service answers at {str(self._http.base_url).rstrip('/')}", hint=hint
            ) from error


@contextmanager
def connected(api: str | None, state: Path | None) -> Iterator[Client]:
    """A client of the service that is meant: ``--api``, else the state directory's, else the environment's.

    Raises:
        EnvironmentFault: when it is used: no service answers.
        PolicyError: what the service refuses, in its words.
    """
    import httpx

    settings = settings_of(state)
    url, token = _place(settings, api, state)
    verify: Any = str(settings.api_ca_file) if settings.api_ca_file else True
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, verify=verify, trust_env=False) as http:
        yield Client(http)


def embedded_ledger(api: str | None, state: Path | None) -> Sessions | None:
    """The ledger that a ``cinefarm migrate`` made in the state directory, when no service is meant and none is there."""
    from orchestrator.build import LEDGER_NAME, build_ledger

    settings = settings_of(state)
    if (
        api
        or settings.ledger_url
        or (settings.api_url and state is None)
        or (settings.state_dir / ADDRESS_NAME).exists()
    ):
        return None
    return build_ledger(settings) if (settings.state_dir / LEDGER_NAME).exists() else None


def settings_of(state: Path | None) -> Settings:
    """The settings of this environment, with another state directory where one is named."""
    from common.settings import Settings

    base = Settings()
    return base.model_copy(update={"state_dir": (state or base.state_dir).absolute()})


def _place(settings: Settings, api: str | None, state: Path | None) -> tuple[str, str]:
    """URL and token. The token of the environment goes where the person said, that of the state directory to its service alone."""
    own = settings.api_token.get_secret_value()
    if api or (settings.api_url and state is None):
        return (api or settings.api_url), own
    try:
        told = json.loads((settings.state_dir / ADDRESS_NAME).read_text(encoding="utf-8"))
        return str(told["url"]), str(told["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_URL, own


def _refusal(answer: httpx.Response) -> CinefarmError:
    from common.errors import EnvironmentFault, PolicyError

    try:
        problem = answer.json()
        message, hint = str(problem["detail"]), str(problem.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        message, hint = f"the service answered {answer.status_code}", "Is it the API of a Cinefarm?"
    if answer.status_code in (401, 403):
        hint = "Set CINEFARM_API_TOKEN to a token that the service knows (docs/api.md)."
    kind = EnvironmentFault if answer.status_code >= 500 else PolicyError
    return kind(message, hint=hint)
