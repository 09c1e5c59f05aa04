"""Completion in real shells: the script that `cinefarm completion` prints is loaded, and TAB is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(sys.executable).parent
BASH = r"""
source {script}
COMP_WORDS=({words}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
$(complete -p cinefarm | sed 's/.*-F \([^ ]*\).*/\1/') cinefarm "${{COMP_WORDS[$COMP_CWORD]}}" "${{COMP_WORDS[$COMP_CWORD-1]}}"
printf '%s\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
compdef() {{ completer=$1 }}
_arguments() {{ print -rl -- $@ }}
_describe() {{ print -rl -- ${{(P)2}} }}
source {script}
words=({words}) CURRENT={count}
$completer
"""
FISH = "source {script}; complete --do-complete '{line}'"


def run(shell: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
    return subprocess.run([shell, *words], env=environment, capture_output=True, text=True, check=False, timeout=60)


def script(shell: str, folder: Path) -> Path:
    done = run("cinefarm", "completion", shell)
    assert done.returncode == 0, done.stderr
    path = folder / "cinefarm.completion"
    path.write_text(done.stdout, encoding="utf-8")
    return path


def in_bash(folder: Path, *words: str) -> set[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    done = run("bash", "--norc", "--noprofile", "-c", BASH.format(script=script("bash", folder), words=quoted))
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completes_commands(tmp_path: Path) -> None:
    assert in_bash(tmp_path, "cinefarm", "pr") == {"probe", "priority"}


def test_bash_completes_options(tmp_path: Path) -> None:
    assert in_bash(tmp_path, "cinefarm", "migrate", "--wor") == {"--workers", "--worklist"}


def test_bash_completes_choices_and_commands_below_commands(tmp_path: Path) -> None:
    assert in_bash(tmp_path, "cinefarm", "migrate", "--audio", "") == {"strip", "keep"}
    assert {"verify", "seal"} <= in_bash(tmp_path, "cinefarm", "audit", "")
    assert in_bash(tmp_path, "cinefarm", "completion", "") == {"bash", "zsh", "fish"}


@pytest.mark.peer("zsh")
def test_zsh_loads_it_and_completes(tmp_path: Path) -> None:
    done = run("zsh", "-f", "-c", ZSH.format(script=script("zsh", tmp_path), words="cinefarm pr", count=2))
    assert "probe" in done.stdout + done.stderr, done
    assert "priority" in done.stdout + done.stderr
    assert "migrate" not in done.stdout


@pytest.mark.peer("fish")
def test_fish_completes(tmp_path: Path) -> None:
    done = run("fish", "--no-config", "-c", FISH.format(script=script("fish", tmp_path), line="cinefarm pr"))
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == {"probe", "priority"}


def test_an_unknown_shell_is_refused() -> None:
    done = run("cinefarm", "completion", "tcsh")
    assert done.returncode == 2
    assert "bash" in done.stderr
