"""The pages of --help: every command has each section, every word of them is true as far as a test can see."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from common.settings import Settings
from orchestrator.cli.main import cli
from orchestrator.cli.manual import asked_page, manual, page

ROOT = Path(__file__).parents[3]
GROUP: Any = typer.main.get_command(cli)
SECTIONS = ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT CODES", "ENVIRONMENT", "FILES")


def leaves(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, *path, name)
        else:
            yield (*path, name), command


COMMANDS = dict(leaves(GROUP))
each = pytest.mark.parametrize("path", COMMANDS, ids=" ".join)


@each
def test_every_command_has_each_section(path: tuple[str, ...]) -> None:
    told = page(COMMANDS[path], path, 80)
    lacking = [section for section in SECTIONS if not re.search(rf"^{section}\n    \S", told, flags=re.MULTILINE)]
    without_options = (
        {"OPTIONS"} if not [each for each in COMMANDS[path].params if each.opts[0].startswith("-")] else set()
    )
    assert set(lacking) <= without_options, f"write it in orchestrator/cli/manual.toml: {lacking}"
    assert max(map(len, told.splitlines())) <= 100


@each
def test_every_option_says_what_it_is_and_every_number_which_are_taken_or_what_is_counted(
    path: tuple[str, ...],
) -> None:
    for option in COMMANDS[path].params:
        assert (option.help or "").strip(), f"{' '.join(path)} {option.opts[0]} has no help"
        default = getattr(option.default, "value", option.default)
        if default not in (None, "", False) and option.opts[0].startswith("-"):
            assert f"[default: {default}]" in " ".join(page(COMMANDS[path], path, 80).split()), option.opts


@each
def test_every_example_is_a_command_line_that_is_understood(path: tuple[str, ...]) -> None:
    for line, what in manual()["commands"][" ".join(path)]["examples"]:
        words = shlex.split(re.sub(r" > \S+$", "", line))
        assert words[0] == "cinefarm"
        assert what
        parse(GROUP, "cinefarm", words[1:])


def parse(command: Any, name: str, words: list[str], parent: Any = None) -> None:
    """As the command line is read, without doing anything. Raises: TyperException: it is wrong."""
    context = command.make_context(name, list(words), parent=parent)
    if hasattr(command, "commands"):
        found, below, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        parse(below, found, rest, context)


def test_a_wrong_example_would_be_seen() -> None:
    with pytest.raises(Exception, match="--nonsense"):
        parse(GROUP, "cinefarm", ["measure", "a", "b", "--nonsense"])


def test_no_page_is_written_for_a_command_that_there_is_not() -> None:
    assert set(manual()["commands"]) == {" ".join(path) for path in COMMANDS}


@pytest.mark.parametrize("name", manual()["commands"])
def test_environment_and_pages_that_are_named_exist(name: str) -> None:
    told = manual()
    parts = [told["commands"][name], *(told["groups"][group] for group in told["commands"][name].get("like", ()))]
    for part in parts:
        for variable in part.get("environment", ()):
            known = variable.removeprefix("CINEFARM_").lower() in Settings.model_fields
            assert known or variable in told["other"], variable
        for document in part.get("see", ()):
            assert (ROOT / document).exists(), document


def test_the_page_is_what_help_shows_and_the_list_of_commands_stays() -> None:
    assert asked_page(GROUP, ["measure", "--help"]) == page(COMMANDS["measure",], ["measure"])
    assert asked_page(GROUP, ["audit", "verify", "--key", "k", "--help"]) is not None
    assert asked_page(GROUP, ["--help"]) is None
    assert asked_page(GROUP, ["audit", "--help"]) is None
    assert asked_page(GROUP, ["check", "--", "--help"]) is None
    done = subprocess.run(
        [Path(sys.executable).with_name("cinefarm"), "measure", "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("NAME\n    cinefarm measure - ")
