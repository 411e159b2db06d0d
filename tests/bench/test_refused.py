"""Numbers that cannot be, through the real command: a dash, the sentence, a mark, exit code 1."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.planted import WRONG_Q
from vaezoo.bench.records import Record
from vaezoo.bench.report.printed import as_markdown
from vaezoo.bench.report.rows import rows_of
from vaezoo.bench.report.tables import tables_of
from vaezoo.bench.store import Store
from vaezoo.cli import vaezoo

from .conftest import TINY

FAULTY = """
import torch
from vaezoo.core import VAE
from vaezoo.distributions import Drawable
from vaezoo.hooks import Column, Metric, hookimpl
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write


"""
FAULTY += WRONG_Q
FAULTY += '''

class WrongQ(Gaussian):
    def forward(self, x, c=None):
        return Wrong(super().forward(x, c))


class Off(VAE):
    mass, kl = 0.0, 0.0

    def infer(self, x, c=None, k=1):
        trace = super().infer(x, c, k)
        trace.__dict__["kl"] = trace.kl + self.kl
        trace.__dict__["log_px"] = trace.log_px + self.mass
        return trace


class Heavy(Off):
    mass = 50.0


class High(Off):
    kl = -4.0


def _made(spec, kind=VAE, encoder=Gaussian):
    return kind(encoder(spec), Write(spec), StandardNormal(spec), ELBO())


def sound(spec):
    """Nothing is wrong with it."""
    return _made(spec)


def wrong_q(spec):
    """Its log q is 3 nats too small."""
    return _made(spec, encoder=WrongQ)


def heavy(spec):
    """Its mass is above 1."""
    return _made(spec, Heavy)


def high(spec):
    """Its ELBO is 4 nats too high."""
    return _made(spec, High)


def share(evaluation):
    """A share of 3, save for the seed 0."""
    return {"share": 3.0 if evaluation.seed else 0.5}


@hookimpl
def vaezoo_variants():
    return [sound, wrong_q, heavy, high]


@hookimpl
def vaezoo_metrics():
    return [Metric("share", (Column("share", "", "higher", low=0, high=1),), share)]
'''
SEEN = {
    "wrong_q": "no KL is below 0",
    "heavy": "no probability is above 1",
    "high": "above the importance-weighted bound of the same draws",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path, Path]:
    """One run that every test reads: what the command said, its folder and that of the plugins."""
    folder = tmp_path_factory.mktemp("refused")
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "tiny.py").write_text(TINY)
    (plugins / "faulty.py").write_text(FAULTY)
    words = (
        "bench --variants sound,wrong_q,heavy,high --datasets tiny --seeds 2 --epochs 1 --jobs 2"
    )
    more = ["--metrics", "likelihood,share,outliers", "--no-figures", "--importance-samples", "20"]
    places = ["--out", str(folder / "out"), "--plugins-dir", str(plugins)]
    result = CliRunner().invoke(vaezoo, [*words.split(), *more, *places])
    return result, folder / "out", plugins


def lines_of(out: Path) -> dict[str, str]:
    """The row of each variant in elbo.md."""
    text = (out / "elbo.md").read_text()
    lines = text.splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| (")]
    return {line.split("|")[1].split()[0]: line for line in rows[1:]}


def test_bench_ends_with_one_and_says_what_was_seen(run):
    result, _, _ = run
    assert result.exit_code == 1
    assert "with numbers that cannot be" in result.stderr
    for variant, seen in SEEN.items():
        assert any(
            line.startswith(f"vaezoo: {variant} on tiny refused in seed 0") and seen in line
            for line in result.stderr.splitlines()
        ), variant


def test_a_refused_number_is_a_dash_with_its_sentence_and_its_row_has_a_mark(run):
    _, out, _ = run
    text = (out / "elbo.md").read_text()
    lines = lines_of(out)
    for variant, seen in SEEN.items():
        assert lines[variant].startswith(f"| {variant} †")
        assert "| – [" in lines[variant]
        assert seen in text
    assert "†: numbers that cannot be are left out" in text
    with (out / "elbo.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    for variant, seen in SEEN.items():
        assert rows[variant]["elbo_mean"] == rows[variant]["nll_mean"] == ""
        assert seen in rows[variant]["reason"]
    assert rows["sound"]["elbo_mean"]
    assert rows["wrong_q"]["reconstruction_nll_mean"]
    assert not rows["heavy"]["reconstruction_nll_mean"]


def test_scores_that_are_computed_from_a_refused_density_are_refused_with_it(run):
    _, out, _ = run
    with (out / "outliers.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert rows["sound"]["auroc_log_px_noise_mean"]
    for variant, seen in SEEN.items():
        assert not rows[variant]["auroc_log_px_noise_mean"]
        assert not rows[variant]["auroc_ess_noise_mean"]
        assert seen in rows[variant]["reason"]


def test_no_seed_of_a_column_counts_where_one_was_refused(run):
    _, out, _ = run
    for line in lines_of(out).values():
        assert "†" in line
    assert "refused in seed 1: share is 3, and its range is 0 to 1" in (out / "elbo.md").read_text()
    assert "0.50" not in (out / "elbo.md").read_text()


def test_the_record_says_it_and_keeps_no_number(run):
    _, out, _ = run
    for record in Store(out).records()[0]:
        if record.variant in SEEN:
            assert SEEN[record.variant] in record.refused["elbo"]
            assert not {"elbo", "nll", "kl"} & set(record.metrics)
            assert record.reasons["elbo"] == f"refused: {record.refused['elbo']}"


def test_report_ends_with_one_too(run):
    _, out, plugins = run
    places = ["--plugins-dir", str(plugins)]
    again = CliRunner().invoke(vaezoo, ["report", str(out), "--no-figures", *places])
    assert again.exit_code == 1
    assert "no KL is below 0" in again.stderr


def test_a_sound_row_alone_is_not_marked_and_a_forged_range_is_damage(run):
    _, out, _ = run
    (record, *_) = [r for r in Store(out).records()[0] if r.variant == "sound" and r.seed == 0]
    assert not record.has_refused
    (table, *_) = tables_of(rows_of([record]))
    assert "†" not in as_markdown(table)
    assert not rows_of([replace(record, refused={})])[0].refused

    facts = json.loads(json.dumps(record.to_json()))
    facts["columns"][0] |= {"low": 2, "high": 1}
    with pytest.raises(ValueError, match="as no column can be"):
        Record.from_json(facts)
