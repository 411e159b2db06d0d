"""What the numbers of test rows say: their standard error in the tables, and paired comparisons."""

import csv
import io
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from tests.bench.conftest import recorded
from tests.bench.test_compare import on, run_of
from vaezoo.bench.records import RowRecord
from vaezoo.bench.report.compare import compare
from vaezoo.bench.report.compared import compared_grid
from vaezoo.bench.report.in_full import as_csv
from vaezoo.bench.report.printed import as_markdown
from vaezoo.bench.report.report import read_tables
from vaezoo.bench.report.statistics import holm
from vaezoo.cli import vaezoo

N = 200
HARD = 8 * np.sin(np.arange(N))  # some test rows are harder for every model


def wave(i):
    """N numbers of mean 0 and standard deviation 1, other ones for every i."""
    each = np.cos((i + 2) * np.arange(N) ** 1.5)
    return (each - each.mean()) / each.std(ddof=1)


def a_run(out, nll, data="a"):
    """The folder of a run with these trials: (variant, seed) -> nll of each test row."""
    trials = []
    for (variant, seed), each in nll.items():
        each = each.astype(np.float32)
        one = on("digits", variant, seed, float(each.astype(float).mean()))
        one["ingredients"]["data"]["hashes"] = {"train": "t", "test": data}
        trials.append((one, RowRecord({"nll": each, "elbo": -each})))
    run_of(out, [one for one, _ in trials])
    for one, rows in trials:
        rows.write(out / "trials" / recorded(one).key)
    return out


@pytest.fixture
def runs(tmp_path):
    """B is A, shifted by 0.2 for every test row, and noise of 0.5 that averages over seeds to 0.3;
    what is rounded to float32 moves none of it by 1e-5.
    """
    a = {("vae", s): 25 + HARD + (-1) ** s * wave(0) for s in range(2)}
    b = {("vae", s): 25.2 + HARD + (-1) ** s * wave(3) + 0.3 * wave(1) for s in range(2)}
    return a_run(tmp_path / "a", a), a_run(tmp_path / "b", b)


def test_pairs_of_test_rows_have_the_error_of_their_differences(runs):
    found = {one.column.name: one for one in compare(*runs, by_row=True).shared}
    nll = found["nll"]
    assert (nll.difference.n, nll.difference.test) == (N, "t")
    assert nll.difference.mean == pytest.approx(-0.2, abs=1e-5)
    assert nll.difference.mean == pytest.approx(nll.a - nll.b, abs=1e-5)
    half = stats.t.ppf(0.975, N - 1) * 0.3 / math.sqrt(N)
    assert nll.difference.ci95 == pytest.approx(half, rel=1e-4)
    assert found["elbo"].difference.mean == pytest.approx(0.2, abs=1e-5)

    # alone neither would be told from 0: unpaired, the hard rows drown it
    t = 0.2 / (0.3 / math.sqrt(N))
    p = float(2 * stats.t.sf(t, N - 1))
    assert [found[name].p_adjusted for name in ("elbo", "nll")] == pytest.approx(
        holm([p, p]), rel=1e-2
    )
    assert nll.verdict == "worse"
    assert float(stats.ttest_ind(25 + HARD, 25.2 + HARD + 0.3 * wave(1)).pvalue) > 0.5


def test_what_the_interval_covers_is_said(runs):
    text = compared_grid(compare(*runs, by_row=True))
    assert text.title == "A against B, paired by test row"
    assert "covers other test rows for these models, and no other seeds" in text.caption
    by_seed = compared_grid(compare(*runs))
    assert by_seed.title == "A against B, paired by seed"
    assert "test rows" not in by_seed.caption


def test_test_rows_of_other_data_are_not_paired(runs, tmp_path):
    other = a_run(tmp_path / "other", {("vae", 0): 25 + HARD, ("vae", 1): 25 + HARD}, data="b")
    found = compare(runs[0], other, by_row=True)
    assert found.shared == []
    (why,) = found.refused.values()
    assert why.startswith("data ")


def test_runs_without_rows_are_refused_with_the_reason(runs, tmp_path):
    old = a_run(tmp_path / "old", {("vae", 0): 25 + HARD})
    for path in old.rglob("rows.safetensors"):
        path.unlink()
    found = compare(runs[0], old, by_row=True)
    assert found.shared == []
    assert found.refused == {
        ("vae", "digits"): "B has kept no numbers of its test rows: run it again to measure them"
    }


def test_every_row_can_be_compared_with_one(tmp_path):
    nll = {("vae", 0): 25 + HARD, ("iwae", 0): 24 + HARD + wave(0), ("tvo", 0): 26 + HARD}
    out = a_run(tmp_path / "a", nll)
    answer = CliRunner().invoke(
        vaezoo, ["compare", str(out), str(out), "--rows", "--against", "vae", "--json"]
    )
    shared = json.loads(answer.stdout)["shared"]
    gaps = {one["variant"]: one["a - b"] for one in shared if one["column"] == "nll"}
    assert gaps == {"vae": 0.0, "iwae": pytest.approx(-1.0), "tvo": pytest.approx(1.0)}
    wrong = CliRunner().invoke(vaezoo, ["compare", str(out), str(out), "--against", "vea"])
    assert (wrong.exit_code, "did you mean 'vae'" in wrong.stderr) == (2, True)


def test_a_gate_is_not_shut_by_test_rows(runs):
    words = ["compare", *map(str, runs), "--rows", "--fail-on", "worse"]
    answer = CliRunner().invoke(vaezoo, words)
    assert answer.exit_code == 2
    assert "give it without --rows" in answer.stderr


def test_tables_say_the_error_over_the_test_rows_of_one_model_beside_that_over_seeds(tmp_path):
    """Standard deviations 3 and 4 of the two seeds are 5/√2 in the root mean square; of the
    difference from the best row, 1 and 1.
    """
    nll = {("vae", 0): 25 + 3 * wave(0), ("vae", 1): 25 + 4 * wave(0)}
    nll |= {("iwae", s): each - 1 + wave(1 + s) for (_, s), each in nll.items()}
    (table, *_) = read_tables(a_run(tmp_path / "a", nll))
    rows = {row["variant"]: row for row in csv.DictReader(io.StringIO(as_csv(table)))}
    expected = 5 / math.sqrt(2 * N)
    assert float(rows["vae"]["nll_row_se"]) == pytest.approx(expected, rel=1e-5)
    assert float(rows["vae"]["nll_ci95"]) < 1e-5
    assert "kl_row_se" not in rows["vae"]
    text = as_markdown(table)
    assert "paired by test row, it is 0.071 in elbo, 0.071 in nll" in text
    assert "Over the test rows, for one model, the standard error is, in the median of this" in text


def test_damaged_rows_cost_the_error_over_them_and_are_said(runs, capsys):
    (path, _) = sorted(runs[0].rglob("rows.safetensors"))
    path.write_bytes(path.read_bytes()[:-40])
    (table, *_) = read_tables(runs[0])
    assert table.set_aside == 1
    assert "rows.safetensors is set aside: " in capsys.readouterr().err
    (row,) = csv.DictReader(io.StringIO(as_csv(table)))
    assert (row["n_seeds"], bool(row["nll_row_se"])) == ("2", True)  # of the other seed


def test_a_likelihood_given_the_label_is_not_compared_with_one_that_is_not(tmp_path):
    """log p(x|label) and log p(x) answer two questions, paired by seed or by row."""
    trials = [on("digits", name, s, 20.0 + s) for s in range(3) for name in ("vae", "cvae")]
    table = {"name": "elbo", "apart": "likelihood"}
    for one in trials:
        one["tables"] = [table]
        if one["variant"] == "cvae":
            one["settings"] = {"likelihood": "given the label"}
    run = run_of(tmp_path / "a", trials)
    found = compare(run, run, against="vae")
    assert {one.variant for one in found.shared} == {"vae"}
    assert found.refused == {
        ("cvae", "digits"): "the likelihood of one alone is given the label",
    }
    assert {one.variant for one in compare(run, run).shared} == {"vae", "cvae"}
