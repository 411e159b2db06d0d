"""What a shell offers when one presses Tab."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from vaezoo.cli import vaezoo


def offered(*words: str) -> list[str]:
    *before, last = words
    shell = ShellComplete(vaezoo, {}, "vaezoo", "_VAEZOO_COMPLETE")
    return [item.value for item in shell.get_completions(list(before), last)]


@pytest.mark.parametrize(
    ("words", "among"),
    [
        (("be",), "bench"),
        (("bench", "--var"), "--variants"),
        (("bench", "--variants", "vae,be"), "vae,beta"),
        (("bench", "--variants", "recurrent,not:vr"), "recurrent,not:vrnn"),
        (("bench", "--variants", "recur"), "recurrent"),
        (("bench", "--datasets", "dig"), "digits"),
        (("bench", "--metrics", "likelihood,sam"), "likelihood,samples"),
        (("bench", "--suite", "j"), "jsb"),
        (("train", "ia"), "iaf"),
        (("train", "vae", "-d", "mn"), "mnist"),
        (("show", "iw"), "iwae"),
        (("tune", "vae,ge"), "vae,geco"),
        (("new", "li"), "likelihood"),
    ],
)
def test_names_are_offered(words, among):
    found = offered(*words)
    assert among in found
    assert all(one.startswith(words[-1]) for one in found)


def test_within_brackets_nothing_is_offered():
    assert offered("bench", "--variants", "beta[beta=1,v") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_by_our_variable(shell):
    result = CliRunner().invoke(vaezoo, ["completion", shell])
    assert result.exit_code == 0
    assert "_VAEZOO_COMPLETE" in result.output


def test_bash_asks_the_program_and_is_answered(tmp_path):
    asked = {"COMP_WORDS": "vaezoo ben", "COMP_CWORD": "1", "_VAEZOO_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-m", "vaezoo"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["plain,bench"], done.stderr
