"""Tables: what competes with what, and what a reader is told."""

import re
from typing import Any

import pytest

from tests.bench.conftest import recorded
from vaezoo.bench.report.catalogue import described
from vaezoo.bench.report.in_full import as_csv
from vaezoo.bench.report.printed import as_markdown, as_tex
from vaezoo.bench.report.rows import rows_of as gathered
from vaezoo.bench.report.tables import tables_of, to_print
from vaezoo.evaluation.baselines import FLOOR, INDEPENDENT, NOISE
from vaezoo.evaluation.metrics import outliers
from vaezoo.hooks import Column, Metric, Table


def trial(variant: str, seed: int, nll: float, **settings: str) -> dict[str, Any]:
    """A finished trial, as trial.json holds it."""
    plugin = {
        "distribution": "vaezoo",
        "version": "0.1.0",
        "module": variant,
        "source_hash": variant,
    }
    ingredients = {
        "seed": seed,
        "plugin": plugin,
        "name": variant,
        "spec": {"likelihood": "bernoulli"},
    }
    return {
        "key": f"{variant}-{seed}", "variant": variant, "dataset": "digits", "status": "done",
        "settings": settings, "ingredients": ingredients, "metrics": {"elbo": -nll, "nll": nll},
        "reasons": {"kl": "no density"}, "columns": [],
    }  # fmt: skip


def rows_of(trials):
    """The rows of these trials, given as trial.json holds them."""
    return gathered([recorded(one) for one in trials])


def table(*trials: dict[str, Any]):
    return tables_of(rows_of(trials))[0]


def test_a_likelihood_given_the_label_does_not_compete_and_says_so():
    trials = [trial("vae", s, 23 + s / 10) for s in range(3)]
    trials += [trial("other", s, 33 + s / 10) for s in range(3)]
    trials += [trial("cvae", s, 20 + s / 10, likelihood_is="given the label") for s in range(3)]
    made = table(*trials)
    assert made.best["digits", "nll"].rows == {"vae"}
    text = as_markdown(made)
    assert "| cvae [1] | 3 | -20.10" in text
    assert "[1] likelihood is given the label: not compared with the other rows" in text


def test_the_caption_says_what_the_seeds_can_tell_apart():
    """Rows closer than the stated gap are both bold; the further one is not."""
    near = [trial("near", s, 23 + s / 10) for s in range(3)]
    text = as_markdown(table(*near, *[trial("other", s, 23.1 + s / 10) for s in range(3)]))
    power = re.search(r"Power: with 3 seeds, .* must be ([\d.]+) nats apart in elbo", text)
    assert power is not None
    gap = float(power[1])
    for shift, is_bold in ((0.9 * gap, True), (1.1 * gap, False)):
        made = table(*near, *[trial("other", s, 23 + shift + s / 10) for s in range(3)])
        assert ("other" in made.best["digits", "elbo"].rows) == is_bold
    alone = as_markdown(table(*near))
    assert "Power" not in alone


@pytest.mark.parametrize(
    ("row", "number", "is_compared"),
    [(NOISE, 0.5, True), (NOISE, 0.96, False), (INDEPENDENT, 0.5, True), (INDEPENDENT, 0.8, False)],
)
def test_a_column_that_noise_wins_has_no_best_and_the_caption_says_so(row, number, is_compared):
    column = {"name": "recall", "unit": "", "better": "higher", "table": "fid"}
    trials = []
    for variant, recall in (("good", 0.9), ("bad", 0.1)):
        for seed in range(3):
            one = trial(variant, seed, 23.0)
            facts = {"metrics": {"recall": recall + seed / 100}, "columns": [column]}
            trials.append(one | facts)
    controls = {FLOOR: {"recall": 0.8}, row: {"recall": number}}
    (made,) = (one for one in tables_of(rows_of(trials), {"digits": controls}) if one.name == "fid")
    assert made.best["digits", "recall"].rows == ({"good"} if is_compared else set())
    said = "Not compared in recall: there a control row without a model does as well as"
    assert (said in as_markdown(made)) != is_compared


@pytest.mark.parametrize(("floor", "bold"), [(0.8, {"wide", "wider"}), (0.95, {"wider"})])
def test_beyond_real_data_no_number_is_better(floor, bold):
    column = {"name": "recall", "unit": "", "better": "higher", "table": "fid", "digits": 3}
    trials = []
    for variant, recall in (("wider", 0.93), ("wide", 0.85), ("narrow", 0.5)):
        for seed in range(3):
            facts = {"metrics": {"recall": recall + seed / 1000}, "columns": [column]}
            trials.append(trial(variant, seed, 23.0) | facts)
    controls = {FLOOR: {"recall": floor}, NOISE: {"recall": 0.1}}
    (made,) = (one for one in tables_of(rows_of(trials), {"digits": controls}) if one.name == "fid")
    assert made.best["digits", "recall"].rows == bold
    said = "Beyond the control row of real data no number is better, in recall"
    assert (said in as_markdown(made)) == (floor < 0.9)
    assert "0.931 ±" in as_markdown(made)


def test_a_number_that_is_missing_has_its_reason():
    text = as_markdown(table(*[trial("vae", s, 23.0) for s in range(2)]))
    assert "– [1]" in text
    assert "[1] no density" in text


def test_a_number_of_another_kind_says_which():
    trials = [trial("vq", s, 23.0 + s) for s in range(2)]
    for one in trials:
        one["reasons"]["elbo"] = "the bound of one code"
    text = as_markdown(table(*trials))
    assert "| -23.50 ± 6.35 [1] |" in text
    assert "[1] the bound of one code" in text


def test_a_mean_over_some_of_the_seeds_says_over_how_many_and_why():
    trials = [trial("vae", s, 23.0 + s) for s in range(3)]
    del trials[1]["metrics"]["nll"]
    trials[1]["reasons"] = {"nll": "its weights overflowed"}
    text = as_markdown(table(*trials))
    assert "| 24.00 ± 12.71 [" in text
    assert "over 2 of 3 seeds: its weights overflowed" in text


def test_every_form_holds_the_same_mean():
    made = table(*[trial("vae", s, 23.5 + s) for s in range(2)])
    assert ",24.0," in as_csv(made) or ",24," in as_csv(made)
    assert "24.00" in as_markdown(made)
    assert "24.00" in as_tex(made)
    assert "toprule" in as_tex(made)


def test_a_table_of_outliers_says_once_that_its_numbers_are_areas():
    one = trial("vae", 0, 23.0) | described(outliers.vaezoo_metrics())
    one["metrics"] = {c["name"]: 0.75 for c in one["columns"] if "noise" in c["name"]}
    made = {t.name: t for t in tables_of(rows_of([one]))}["outliers"]
    text = as_markdown(made)
    assert "## Outliers (area under the ROC curve): digits" in text
    assert (
        "| variant | n | log px noise ↑ | waic noise ↑ | ess noise ↑ | typicality noise ↑ |" in text
    )
    assert "auroc" not in text
    assert "auroc_ess_noise_mean" in as_csv(made)


def test_a_table_of_a_stranger_is_shown_without_its_metric():
    """What trial.json holds is enough: nothing of this metric is installed."""
    columns = (
        Column("odd_late", "", "lower", digits=1),
        Column("odd_first", "m", "higher", digits=3, lead=1),
        Column("odd_elsewhere", "", "lower", "elbo"),
    )
    table = Table("odd", "Oddities", order=0, says="odd_")
    metric = Metric("oddity", columns, lambda evaluation: {}, table)
    one = trial("vae", 0, 23.0) | described([metric])
    one["metrics"] |= {"odd_late": 1.0, "odd_elsewhere": 2.0}
    one["reasons"] = {"odd_first": "too even"}
    first, second, *_ = tables_of(rows_of([one]))
    assert (first.name, second.name) == ("odd", "elbo")
    text = as_markdown(first)
    assert "# Oddities" in text
    assert "| variant | n | first (m) ↑ | late ↓ |" in text
    assert "[1] too even" in text
    assert "odd elsewhere ↓" in as_markdown(second)


def test_tables_that_were_asked_for_are_printed_and_empty_ones_are_not():
    metric = Metric("oddity", (Column("odd", "", "lower"),), lambda e: {}, Table("odd"))
    asked = trial("vae", 0, 23.0) | described([metric])
    asked["metrics"] = {"odd": 1.0}
    assert [table.name for table in to_print(tables_of(rows_of([asked])))] == ["odd"]

    whole = trial("vae", 0, 23.0)
    whole["columns"] += described([metric])["columns"]
    whole["metrics"] |= {"odd": 1.0}
    made = tables_of(rows_of([whole]))
    for column in [c for t in made for c in t.columns if c.lead == 1]:
        whole["metrics"][column.name] = 1.0
    names = [table.name for table in to_print(tables_of(rows_of([whole])))]
    assert names == ["elbo", "reconstruction", "fid"]


def test_trials_of_an_older_version_give_the_same_tables():
    """Their columns say less: what leads, and what is of samples, our own metrics say."""
    old = [
        {"name": "active_units", "unit": "", "better": "", "table": "elbo", "digits": 1},
        {"name": "elbo", "unit": "nats", "better": "higher", "table": "elbo", "digits": 2},
        {"name": "fid", "unit": "", "better": "lower", "table": "fid", "digits": 3},
    ]
    one = trial("vae", 0, 23.0) | {"columns": old}
    one["metrics"] |= {"fid": 1.0}
    made = {table.name: table for table in tables_of(rows_of([one]))}
    assert list(made) == ["elbo", "reconstruction", "fid"]
    names = [column.name for column in made["elbo"].columns]
    assert names == ["elbo", "nll", "kl", "reconstruction_nll", "active_units"]
    assert "| variant | sampler | n | fid ↓ | kid ↓ |" in as_markdown(made["fid"])
    heading = as_markdown(made["elbo"]).partition("|---")[0]
    assert "| elbo (nats) ↑ | nll (nats) ↓ | kl (nats) |" in heading
    assert "| active units |" in heading


def test_a_sampler_has_a_row_in_each_table_with_a_number_of_its_samples():
    columns = (Column("spread", "", "higher", of="samples"), Column("depth", "", "lower"))
    metric = Metric("oddity", columns, lambda evaluation: {}, Table("odd"))
    one = trial("vae", 0, 23.0) | described([metric])
    one["metrics"] |= {"spread": 1.0, "depth": 2.0}
    one["samplers"] = {"flow": {"metrics": {"spread": 3.0}, "reasons": {}}}
    one["ingredients"]["samplers"] = [{"label": "prior"}, {"label": "flow"}]
    made = {table.name: table for table in tables_of(rows_of([one]))}
    assert [row.name for row in made["odd"].rows] == ["vae", "vae + flow"]
    assert [row.name for row in made["elbo"].rows] == ["vae"]
    assert [row.name for row in made["fid"].rows] == ["vae"]


def test_steps_that_were_left_out_are_a_column_where_a_row_says_so():
    made = table(*[trial("vae", s, 23 + s / 10) for s in range(2)])
    assert "skipped" not in as_csv(made) + as_markdown(made)
    others = [trial("deep", s, 22 + s / 10) for s in range(2)]
    for one, count in zip(others, (3, 6), strict=True):
        one["metrics"] |= {"skipped_updates": count, "parameters": 9, "train_seconds": 1.0}
    made = table(*[trial("vae", s, 23 + s / 10) for s in range(2)], *others)
    head, deep, plain = [line.split(",") for line in as_csv(made).splitlines()]
    at = head.index("skipped_updates")
    assert head[at:] == [
        "skipped_updates", "parameters", "train_seconds", "at_limit", "reason",
    ]  # fmt: skip
    assert (plain[at], deep[at]) == ("", "4.5")
    text = as_markdown(made)
    assert "| skipped updates | parameters | train s |" in text
    assert "| 4.5 | 9 | 1.0 |" in text
