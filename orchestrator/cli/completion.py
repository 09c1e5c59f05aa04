"""``cinefarm completion``: what a shell needs so that TAB completes commands, options and choices."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

PROGRAM = "cinefarm"
VARIABLE = "_CINEFARM_COMPLETE"
"""Set by the script: the command answers the shell in place of running."""


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="the shell to write for")]) -> int:
    """Print what makes a shell complete `cinefarm`.

    Commands, options and choices are asked of the installed command at each TAB, so that the script never grows old; other
    words complete as file names.
    """
    from typer._completion_shared import get_completion_script

    print(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell))  # noqa: T201 the answer
    return 0


def prepare() -> None:
    """Let the command answer a shell that asks (Typer's own registers its shells only with options that we do not offer)."""
    from typer._completion_classes import completion_init

    completion_init()
