"""The command that run.json keeps."""

import shlex
from pathlib import Path

import pytest

from vaezoo.bench.command import command_line


def test_what_is_pasted_into_a_shell_is_what_was_typed():
    typed = [
        "bench",
        "--variants",
        "beta[beta=2],tag:flow",
        "--set",
        "network=mlp[layers=2]",
        "a b",
    ]
    assert shlex.split(command_line(typed, Path("out"))) == ["vaezoo", *typed]


@pytest.mark.parametrize("form", [["--out", "{}"], ["--out={}"], ["--out", "{}/"]])
def test_no_path_of_this_machine_is_passed_on_with_the_results(form, tmp_path, monkeypatch):
    out = tmp_path / "results" / "mine"
    typed = [part.format(out) for part in form]
    monkeypatch.chdir(tmp_path)
    assert shlex.split(command_line(typed, out))[-1].endswith("results/mine")
    assert str(out) not in command_line(typed, out)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert str(tmp_path) not in command_line(typed, out)
    assert command_line(typed, out).endswith("mine")


def test_other_paths_stay(tmp_path):
    typed = ["bench", "--data-dir", str(tmp_path / "data"), "--set", f"x={tmp_path}"]
    assert shlex.split(command_line(typed, tmp_path)) == ["vaezoo", *typed]
