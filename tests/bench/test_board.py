"""The board: the rule by which a cell counts as reproduced, where our numbers come from, and that
every published table names what there is.
"""

import itertools
import json
import math
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.decomposition import PCA

from vaezoo.bench.board.exact import COMPUTED, PREFIX, keep, kept, ppca_log_likelihood
from vaezoo.bench.board.ours import CONTROL, Results
from vaezoo.bench.board.page import board_of, grids, summary
from vaezoo.bench.board.verdict import (
    ABSENT,
    AGREES,
    BESIDE,
    DEAR,
    DEVIATES,
    NOT_RUN,
    REPRODUCED,
    SHORT,
    Ours,
    cells_of,
    holds,
    tolerance,
)
from vaezoo.bench.suites import suites
from vaezoo.cli import vaezoo
from vaezoo.data.published import PACKAGE, published, read_published, rows_beside
from vaezoo.registry.registry import load_registry

TABLES = published()
RESULTS = Path(__file__).parents[2] / "results"
TOML = """
title = "t"
paper = "p"
provenance = "read in a paper"
setting = "s"
column = "nll"
suites = ["burda"]
runs = 4
claims = [["a", "b"]]
[[rows]]
name = "a"
ours = "iwae"
cells = { d = 100.0 }
spread = { d = 2.0 }
[[rows]]
name = "b"
ours = "vae"
cells = { d = 110.0 }
"""


def table(text=TOML, **changes):
    return read_published(text, "t.toml").model_copy(update=changes)


def status(made, ours_of_a, ours_of_b=(110.0, 110.0, 110.0)):
    found = {("a", "d"): Ours(tuple(ours_of_a)), ("b", "d"): Ours(tuple(ours_of_b))}
    return cells_of(made, found)[0].status


def test_the_tolerance_is_two_joint_errors_or_four_thousandths_of_the_value():
    assert tolerance(100.0, 0.3, 0.4) == pytest.approx(1.0)
    assert tolerance(100.0, 0.0, 0.1) == pytest.approx(0.4)
    assert tolerance(-100.0, 0.0, 0.0) == pytest.approx(0.4)


# the printed deviation is of 4 runs: an error of 1, so that 2 are allowed
@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ([101.9, 101.9, 101.9], REPRODUCED),
        ([98.1, 98.1, 98.1], REPRODUCED),
        ([102.1, 102.1, 102.1], DEVIATES),
        ([97.9, 97.9, 97.9], DEVIATES),
        ([101.9, 101.9], NOT_RUN),  # two seeds
        ([99.0, 103.0, 107.0], REPRODUCED),  # 103 ± 2.3, where 2 √(1 + 5.3) are allowed
    ],
)
def test_a_cell_is_reproduced_by_three_seeds_within_the_tolerance(ours, expected):
    assert status(table(), ours) == expected


def test_a_short_schedule_and_a_value_from_memory_reproduce_nothing():
    near = [100.0, 100.0, 100.0]
    assert status(table(schedule="short"), near) == SHORT
    assert status(table(provenance="memory"), near) == AGREES
    assert status(table(provenance="memory"), [200.0] * 3) == DEVIATES


def test_a_cell_whose_tables_order_does_not_hold_deviates():
    assert status(table(), [100.0] * 3, [99.0] * 3) == DEVIATES
    found = {("a", "d"): Ours((100.0,) * 3), ("b", "d"): Ours((99.0,) * 3)}
    assert cells_of(table(), found)[0].why == "a is not below b"


def test_an_order_holds_in_four_of_five_pairs_of_seeds():
    assert holds([1.0] * 5, [2.0, 2.0, 2.0, 2.0, 0.0])
    assert not holds([1.0] * 5, [2.0, 2.0, 2.0, 0.0, 0.0])
    assert not holds([1.0], [1.0])


def test_a_cell_without_ours_says_why():
    cell = cells_of(table(), {}, "the command")[0]
    assert (cell.status, cell.why) == (NOT_RUN, "the command")
    assert cells_of(table(is_dear=True), {})[0].status == DEAR
    assert cells_of(table(absent="no file"), {})[0].status == ABSENT
    alone = table(TOML.replace('ours = "iwae"', ""))
    assert cells_of(alone, {})[0].status == BESIDE


def test_an_exact_number_needs_no_seeds_and_has_no_error():
    ours = Ours((100.3,), is_exact=True)
    assert ours.error == 0
    assert math.isnan(Ours((100.3,)).error)
    assert cells_of(table(), {("a", "d"): ours})[0].status == REPRODUCED


@pytest.mark.parametrize("printed", ["number", "square", "negative", "percent wrong"])
def test_what_is_printed_is_read_back(printed):
    made = table(printed=printed)
    assert made.as_printed(made.as_ours(2.0)) == pytest.approx(2.0)
    ours = {"number": 4, "square": 2, "negative": -4, "percent wrong": 0.96}
    assert made.as_ours(4.0) == pytest.approx(ours[printed])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("title", "titel"), "title"),
        (('"read in a paper"', '"somewhere"'), "provenance"),
        (("[[rows]]", "[[rows"), "is not TOML"),
    ],
)
def test_a_table_that_is_wrong_is_refused_in_a_sentence(change, words):
    with pytest.raises(ValueError, match=words):
        read_published(TOML.replace(*change), "t.toml")


# The tables that come with vaezoo


@pytest.mark.parametrize("name", TABLES)
def test_all_that_a_published_table_names_is_there(name):
    made = TABLES[name]
    known = load_registry()
    columns = {column.name for metric in known.metrics.values() for column in metric.columns}
    assert set(made.suites) <= set(suites())
    names = [row.name for row in made.rows]
    assert len(names) == len(set(names))
    assert set(itertools.chain.from_iterable(made.claims)) <= set(names)
    for row in made.rows:
        assert row.cells
        assert set(row.spread) <= set(row.cells)
        if row.ours.startswith(PREFIX):
            assert row.ours.removeprefix(PREFIX).partition(" ")[0] in COMPUTED
            continue
        assert made.column_of(row) in columns or not (row.ours or row.beside)
        if row.ours and not row.ours.startswith(CONTROL):
            assert len(known.choose_variants(row.ours.partition(" {")[0])) == 1
        if row.ours and not made.absent:
            for dataset in row.cells:
                assert len(known.choose_datasets(dataset)) == 1


def test_a_published_table_has_forty_lines_at_most():
    for file in resources.files(PACKAGE).iterdir():
        if file.name.endswith(".toml"):
            assert len(file.read_text("utf-8").splitlines()) <= 40, file.name


def test_published_rows_stand_beside_ours_by_their_own_names():
    assert rows_beside("mnist")["published: IWAE k=5, Burda 2016"] == {
        "nll": 85.54,
        "active_units": 22,
    }
    assert rows_beside("jsb")["published: DKS, Krishnan 2017"] == {
        "elbo_per_step": -7.033,
        "nll_per_step": 6.605,
    }
    learned = "published: LearnSPN, Gens & Domingos 2013 (from memory)"
    assert rows_beside("debd[set=dna]")[learned] == {"nll": 82.52}
    assert rows_beside("mnist[rows=100]") == {}


# Where our numbers come from


def test_the_log_likelihood_of_probabilistic_pca_is_that_of_scikit_learn():
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x @ torch.diag(torch.tensor([5.0, 3, 1, 1, 1, 1], dtype=torch.float64)) + 2
    for k in (1, 2, 4):
        theirs = PCA(k).fit(x.numpy())
        # theirs divides the covariance by N - 1: the same formula at that covariance
        scaled = (x - x.mean(0)) * math.sqrt(200 / 199)
        gap = np.mean(theirs.score(x.numpy())) - ppca_log_likelihood(scaled, k)
        assert gap == pytest.approx(6 / 2 * (1 - 199 / 200), abs=1e-9)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"ppca 2": 3}', '{"ppca 2": {"a": "b"}}'])
def test_a_damaged_file_of_computed_numbers_is_set_aside_and_made_anew(tmp_path, capsys, content):
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "exact.json").write_text(content)
    assert kept(tmp_path) == {}
    assert "exact.json is set aside: " in capsys.readouterr().err
    keep(tmp_path, {"ppca 2": {"a": 1.0}})
    assert kept(tmp_path) == {"ppca 2": {"a": 1.0}}


def test_what_was_computed_is_kept_beside_what_was_kept_before(tmp_path):
    keep(tmp_path, {"ppca 2": {"a": 1.0}})
    keep(tmp_path, {"ppca 2": {"b": 2.0}, "ppca 3": {"a": 3.0}})
    assert kept(tmp_path) == {"ppca 2": {"a": 1.0, "b": 2.0}, "ppca 3": {"a": 3.0}}


def test_the_board_of_the_committed_results_is_what_the_rule_says():
    board = board_of(TABLES, Results(RESULTS))
    assert len(grids(board)) == len(TABLES)
    for made, cells in board.values():
        for cell in cells:
            if cell.status in (REPRODUCED, AGREES):
                gap = abs(cell.ours.mean - cell.published)
                assert gap <= tolerance(cell.published, cell.spread or 0, cell.ours.error)
                assert made.schedule == "paper"
            assert (cell.status == REPRODUCED) <= (not cell.is_remembered)
    assert "reproduced" in summary(board)


def test_the_command_prints_tables_and_json():
    run = CliRunner()
    text = run.invoke(vaezoo, ["board", "ppca", "--results", str(RESULTS)])
    assert text.exit_code == 0
    assert "Probabilistic PCA" in text.output
    facts = run.invoke(vaezoo, ["board", "ppca", "--results", str(RESULTS), "--json"])
    assert {cell["dataset"] for cell in json.loads(facts.output)} == {"mnist_grey"}
    wrong = run.invoke(vaezoo, ["board", "pcca"])
    assert wrong.exit_code == 2
    assert "did you mean 'ppca'" in wrong.output
