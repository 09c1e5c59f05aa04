"""What people see of ``cinefarm measure``. Imports little, so it starts fast."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.orders import Pooled
from orchestrator.cli.plain import plain, stdout_console

_SCORES = TypeAdapter(dict[str, Pooled])


def show_scores(answer: Mapping[str, object], *, console: Console | None = None) -> None:
    """The answer of ``python -m workers measure``: the pooled scores of each metric, and what was found about the frames."""
    console = console or stdout_console()
    found = {name: answer[name] for name in ("alignment", "identical") if name in answer}
    scores = _SCORES.validate_python({name: value for name, value in answer.items() if name not in found})
    names = [name for name in Pooled.model_fields if any(getattr(one, name) is not None for one in scores.values())]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("metric", *names):
        table.add_column(name, header_style="bold")
    for metric, pooled in scores.items():
        figures = (getattr(pooled, name) for name in names)
        table.add_row(Text(plain(metric)), *(Text("–" if value is None else f"{value:.4f}") for value in figures))
    console.print(table)
    if isinstance(alignment := found.get("alignment"), Mapping):
        console.print(Text(f"alignment: {plain(str(alignment['finding']))}", style="dim"))
    if found.get("identical"):
        console.print(Text("The two files show the same pictures to the bit; libvmaf gives less than 100 for that."))
