"""``cinefarm COMMAND --help`` as a page of a manual: what a person needs beside the options themselves.

Synopsis, description and options come from the command; examples, exit codes, environment and files from manual.toml.
"""

from __future__ import annotations

import re
import shutil
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

MOST_COLUMNS = 100
_EXITS = re.compile(r"\s*Exit codes:.*", re.DOTALL)
"""In a docstring: the page has them in a section of their own."""

_SENTENCE = re.compile(r"(?<=[.)])\s+(?=[A-Z])|\n\n|; ")


@cache
def manual() -> dict[str, Any]:
    """The text of manual.toml."""
    return tomllib.loads(Path(__file__).with_name("manual.toml").read_text(encoding="utf-8"))


def asked_page(group: Any, words: Sequence[str]) -> str | None:
    """The page that a command line asks for; None: it asks for none, or for the list of commands."""
    path: list[str] = []
    command = group
    for word in words:
        if word in ("--help", "-h"):
            return page(command, path) if path and not hasattr(command, "commands") else None
        if word == "--":
            return None
        if word in getattr(command, "commands", {}):
            command = command.commands[word]
            path.append(word)
    return None


def page(command: Any, path: Sequence[str], columns: int | None = None) -> str:
    """The manual page of a command that is typed as ``cinefarm PATH``."""
    width = min(MOST_COLUMNS, columns or shutil.get_terminal_size().columns)
    name = " ".join(("cinefarm", *path))
    facts = _facts(" ".join(path))
    told = _EXITS.sub("", _text(command.help))
    sections = {
        "NAME": [("", f"{name} - {_SENTENCE.split(told, maxsplit=1)[0].rstrip('.')}")],
        "SYNOPSIS": [("", _synopsis(name, command))],
        "DESCRIPTION": [("", paragraph) for paragraph in told.split("\n\n")],
        "ARGUMENTS": [_argument(each) for each in command.params if each.param_type_name == "argument"],
        "OPTIONS": [_option(each) for each in command.params if each.param_type_name == "option"],
        "EXAMPLES": [(line, what) for line, what in facts["examples"]],
        "EXIT CODES": [(code, what) for code, what in sorted(facts["exits"].items(), key=lambda pair: int(pair[0]))],
        "ENVIRONMENT": [(each, _variable(each)) for each in facts["environment"]],
        "FILES": [(place, what) for place, what in facts["files"]],
        "SEE ALSO": [("", ", ".join(facts["see"]))] if facts["see"] else [],
    }
    return "\n".join(line for title, entries in sections.items() if entries for line in _section(title, entries, width))


def _section(title: str, entries: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    yield title
    for head, text in entries:
        if head:
            yield f"    {head}"
        indent = " " * (8 if head else 4)
        yield from textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    yield ""


def _facts(name: str) -> dict[str, Any]:
    """What manual.toml says of a command, with what it shares."""
    told = manual()
    own: Mapping[str, Any] = told["commands"].get(name, {})
    parts = [*(told["groups"][group] for group in own.get("like", ())), own]
    lists = {key: [each for part in parts for each in part.get(key, ())] for key in ("environment", "files", "see")}
    return lists | {"examples": own.get("examples", ()), "exits": told["exits"] | own.get("exits", {})}


def _variable(name: str) -> str:
    """A setting's own description, and its default."""
    from common.settings import Settings

    other: Mapping[str, str] = manual()["other"]
    if name in other:
        return other[name]
    field = Settings.model_fields[name.removeprefix("CINEFARM_").lower()]
    plain = isinstance(field.default, str | int | float) and not isinstance(field.default, bool) and field.default != ""
    return f"{field.description}{_default(field.default) if plain else ''}"


def _default(value: object) -> str:
    return f" [default: {value}]"


def _text(docstring: str | None) -> str:
    return "\n\n".join(" ".join(each.split()) for each in (docstring or "").split("\n\n"))


def _synopsis(name: str, command: Any) -> str:
    words = [name]
    for each in command.params:
        if each.param_type_name == "option" and each.required:
            words.append(f"{each.opts[0]} {_value(each)}")
    words.append("[OPTIONS]")
    for each in command.params:
        if each.param_type_name == "argument":
            words.append(_value(each) if each.required else f"[{_value(each)}]")
    return " ".join(words)


def _argument(each: Any) -> tuple[str, str]:
    return _value(each), f"{each.help or ''}{_range(each)}"


def _option(each: Any) -> tuple[str, str]:
    head = ", ".join((*each.opts, *each.secondary_opts))
    text = each.help or ""
    if not each.is_flag:
        head = f"{head} {_value(each)}"
        text += _range(each)
        if each.required:
            text += " [required]"
        elif (value := getattr(each.default, "value", each.default)) not in (None, "", (), []):
            text += _default(value)
    return head, text


def _range(each: Any) -> str:
    """The numbers that are taken."""
    least, most = getattr(each, "min", None), getattr(each, "max", None)
    if least is None and most is None:
        return ""
    return f" [{least} or more]" if most is None else f" [{least} to {most}]"


def _value(each: Any) -> str:
    """What stands for a value: its own word, its choices, or N for a number."""
    kind = getattr(getattr(each, "type_descriptor", None), "annotation", None)
    if each.metavar:
        return str(each.metavar)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(choice.value) for choice in kind)
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    return "N" if kind in (int, float) else str(each.name).upper()
