"""What a terminal shows: tables that fit, whatever its width, colours and letters are."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from tests.bench.test_compare import on, run_of
from vaezoo.bench.report.typeset import Grid, grid_text
from vaezoo.cli import vaezoo
from vaezoo.cli.drawn import draw_facts, draw_grid, draw_rows

COLUMNS = 9
SKIPPED = "needs labels for every row, and this data set has none of them at all"
LONG = "mix[posterior=iaf,prior=vamp,loss=iwae,likelihood=bernoulli]"
NUMBERS = [[f"-{100 * i + j}.25 ± 0.{i}1" for j in range(COLUMNS)] for i in range(1, 4)]
GRID = Grid(
    "Likelihood: digits",
    ["variant", *(f"number {j} (nats per step) ↑" for j in range(COLUMNS))],
    [
        ["vae [1]", *NUMBERS[0]],
        [LONG, *NUMBERS[1]],
        ["cvae", "skipped [2]", *["–"] * (COLUMNS - 1)],
        ["(noise)", "1.00", *["–"] * (COLUMNS - 1)],
        ["[bold]\x1b[31mvae", *NUMBERS[2]],
    ],
    bold={(0, 1), (1, 9)},
    caption="Mean over three seeds. " * 12,
    notes=("of a file", SKIPPED),
)
ESCAPE = re.compile(r"\x1b\[[\d;]*m")


def screen(width: int, **options: Any) -> Console:
    given: dict[str, Any] = {"force_terminal": True, "color_system": "truecolor"}
    return Console(file=io.StringIO(), width=width, **(given | options), highlight=False)


def drawn(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 160, 400])
def test_a_table_fits_the_width_and_every_number_is_whole(width: int):
    console = screen(width)
    draw_grid(GRID, console)
    text = ESCAPE.sub("", drawn(console))
    assert max(map(len, text.splitlines())) <= width
    for number in (number for row in NUMBERS for number in row):
        assert len(re.findall(rf"(?<!\d){re.escape(number)}", text)) == 1, number
    parts = text.count("Likelihood: digits")
    assert parts == 1 if width == 400 else parts > 1
    assert len(re.findall(r"^vae \[1\]", text, re.MULTILINE)) == parts
    assert len(re.findall(r"^\(noise\)", text, re.MULTILINE)) == 1  # where it has a number
    assert f"{NUMBERS[0][0]}*" in text
    assert " ".join(SKIPPED.split()) in " ".join(text.split())
    assert "\x1b" not in text


def test_what_a_stranger_wrote_is_no_colour_and_no_command():
    console = screen(160)
    draw_grid(GRID, console)
    assert "\x1b[31m" not in drawn(console)
    assert "[bold]" in drawn(console)


def test_colours_are_there_where_they_are_wanted_and_the_star_is_there_without():
    colourful = screen(80)
    plain = screen(80, color_system=None)
    for console in (colourful, plain):
        draw_grid(GRID, console)
    assert "\x1b[1;32m" in drawn(colourful)
    assert "\x1b" not in drawn(plain)
    assert ESCAPE.sub("", drawn(colourful)) == drawn(plain)


def test_no_color_takes_the_colours(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = screen(80)
    draw_grid(GRID, console)
    assert not re.search(r"\x1b\[[\d;]*3[0-7]m", drawn(console))


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_console_with_few_letters_gets_a_table_that_stands_straight(encoding: str):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=80, force_terminal=True, color_system=None)
    draw_grid(GRID, console)
    file.flush()
    lines = file.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 80
    (vae, other) = (next(line for line in lines if line.startswith(n)) for n in ("vae", "  loss"))
    spread = "+-" if encoding == "ascii" else "±"
    assert f"{spread} 0.11*" in vae
    assert other.strip()


def test_rows_of_a_list_are_columns_where_they_fit_and_folded_where_not():
    rows = [{"name": "vae", "tags": "static", "what": "The code is Gaussian. " * 5}] * 2
    for width in (60, 130):
        console = screen(width, color_system=None)
        draw_rows(rows, console)
        lines = drawn(console).splitlines()
        assert max(map(len, lines)) <= width
        assert sum(line.startswith("vae ") for line in lines) == 2
        assert ("tags: static" if width == 60 else "static") in drawn(console)


def test_facts_fold_and_keep_their_lists():
    console = screen(50, color_system=None)
    draw_facts([("what", f"{'word ' * 30}\n\n  x = 1"), ("paths", {"a.json": "/x" * 40})], console)
    lines = drawn(console).splitlines()
    assert max(map(len, lines)) <= 50
    assert "    x = 1" in [line.rstrip() for line in lines]


def test_text_of_a_pipe_is_whole_and_has_no_colours():
    text = grid_text(GRID)
    assert LONG in text
    assert SKIPPED in text
    assert "\x1b" not in text


def test_the_program_fits_a_real_terminal_and_a_pipe_gets_every_letter():
    """In a pseudo-terminal of 60 columns; the same words through a pipe."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "vaezoo", "list", "suites"]
    env = {**os.environ, "COLUMNS": "60", "TERM": "xterm-256color"}
    child = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=env)
    os.close(theirs)
    said = b""
    while True:
        try:
            read = os.read(ours, 65536)
        except OSError:  # Linux says so that the other end is closed
            break
        if not read:
            break
        said += read
    os.close(ours)
    assert child.wait() == 0
    lines = ESCAPE.sub("", said.decode()).splitlines()
    assert max(map(len, lines)) <= 60
    assert b"\x1b[" in said
    piped = subprocess.run(command, capture_output=True, env=env, check=True).stdout
    assert b"\x1b" not in piped
    assert max(map(len, piped.decode().splitlines())) > 60


def call(*words: object, code: int = 0) -> Any:
    result = CliRunner().invoke(vaezoo, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One done, one skipped, one with a number that cannot be."""
    skipped = on("digits", "cvae", 0, 10.0) | {"status": "skipped", "reason": SKIPPED}
    refused = on("digits", "iwae", 0, 9.0)
    refused["refused"] = {"nll": "a density that does not integrate to 1"}
    trials = [on("digits", "vae", seed, 10.0 + seed) for seed in (0, 1)]
    return run_of(tmp_path_factory.mktemp("runs") / "a", [*trials, skipped, refused])


def test_numbers_are_numbers_in_json(run: Path):
    made = json.loads(call("report", run, "--no-figures", "--json", code=1).stdout)
    (row,) = (row for row in made["elbo"] if row["variant"] == "vae")
    assert (row["nll_mean"], row["n_seeds"]) == (10.5, 2)
    assert isinstance(row["variant"], str)
    assert [row["nll_mean"] for row in made["elbo"] if row["variant"] == "cvae"] == [None]
    said = call("report", run, "--rows", "vae", "--columns", "nll", "--json").stdout
    assert json.loads(said)[0]["nll_mean"] == 10.5


def test_show_says_what_a_run_did(run: Path):
    said = call("show", run).stdout
    assert "trials: 3 done, 1 skipped" in said
    assert SKIPPED in said
    assert "nll: a density that does not integrate to 1" in said
    (key,) = re.findall(r"vae +digits +done 2/2 .* 0:(\w+) 1:\w+", said)
    facts = json.loads(call("show", run, "--json").stdout)
    (first,) = (row for row in facts["rows"] if row["key"].startswith(key))
    assert (first["variant"], first["seed"], first["metrics"]["nll"]) == ("vae", 0, 10.0)


def test_show_finds_a_trial_by_the_first_letters_of_its_key(run: Path):
    folder = min((run / "trials").iterdir())
    epochs = "epoch,train_loss,validation_loss\n1,9.0,8.0\n2,7.0,6.5\n3,6.0,7.5\n"
    (folder / "history.csv").write_text(epochs)
    (folder / "log.txt").write_text("".join(f"line {i}\n" for i in range(50)))
    said = call("show", run / "trials" / folder.name[:8]).stdout
    assert f"trial: {folder.name}" in said
    assert "first 8 (epoch 1), least 6.5 (epoch 2), last 7.5 (epoch 3)" in said
    assert "line 49" in said
    assert "line 20" not in said
    assert f"log.txt: {folder / 'log.txt'}" in said


def test_best_names_who_won_each_column_and_where_its_weights_are(tmp_path: Path):
    trials = []
    for name, nll in (("vae", 20.0), ("iwae", 10.0)):
        for seed in (0, 1):
            facts = on("digits", name, seed, nll + seed / 10)
            facts["metrics"] = facts["metrics"] | {"elbo_validation": -nll - seed}
            trials.append(facts)
    out = run_of(tmp_path / "run", trials)
    (digits,) = json.loads(call("best", out, "--json").stdout)
    (nll,) = (one for one in digits["columns"] if one["column"] == "nll")
    assert (nll["variant"], nll["value"]) == ("iwae", pytest.approx(10.05))
    assert nll["checkpoint"] == digits["checkpoint"]
    assert re.search(r"nll +iwae +10.05 nats", call("best", out).stdout)


def test_a_training_writes_no_carriage_return_into_a_log(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("vaezoo.cli.output.EVERY", 0.0)
    words = ["-d", "digits", "-o", tmp_path / "m.safetensors", "--epochs", "2"]
    said = call("train", "vae", *words).stderr
    assert "\r" not in said
    assert "epoch 1 of 2: train " in said
