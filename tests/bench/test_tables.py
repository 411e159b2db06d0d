"""Tables: what competes with what, and what a reader is told."""

from dataclasses import asdict
from typing import Any

from vaezoo.bench.report.rows import rows_of
from vaezoo.bench.report.tables import as_csv, as_markdown, as_tex, tables_of
from vaezoo.evaluation.metrics.outliers import vaezoo_metrics


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
        "key": f"{variant}-{seed}", "variant": variant, "dataset": "digits", "status": "done", "settings": settings,
        "ingredients": ingredients, "metrics": {"elbo": -nll, "nll": nll}, "reasons": {"kl": "no density"}, "columns": [],
    }  # fmt: skip


def table(*trials: dict[str, Any]):
    return tables_of(rows_of(trials))[0]


def test_a_likelihood_given_the_label_does_not_compete_and_says_so():
    trials = [trial("vae", s, 23 + s / 10) for s in range(3)]
    trials += [trial("cvae", s, 20 + s / 10, likelihood_is="given the label") for s in range(3)]
    made = table(*trials)
    assert made.best["digits", "nll"].rows == {"vae"}
    text = as_markdown(made)
    assert "| cvae [1] | 3 | -20.10" in text
    assert "[1] log p(x) given the label: not compared with the other rows" in text


def test_a_number_that_is_missing_has_its_reason():
    text = as_markdown(table(*[trial("vae", s, 23.0) for s in range(2)]))
    assert "– [1]" in text
    assert "[1] no density" in text


def test_every_form_holds_the_same_mean():
    made = table(*[trial("vae", s, 23.5 + s) for s in range(2)])
    assert ",24.0," in as_csv(made) or ",24," in as_csv(made)
    assert "24.00" in as_markdown(made)
    assert "24.00" in as_tex(made)
    assert "toprule" in as_tex(made)


def test_a_table_of_outliers_says_once_that_its_numbers_are_areas():
    columns = [asdict(column) for metric in vaezoo_metrics() for column in metric.columns]
    one = trial("vae", 0, 23.0)
    one |= {
        "columns": columns,
        "metrics": {c["name"]: 0.75 for c in columns if "noise" in c["name"]},
    }
    made = {t.name: t for t in tables_of(rows_of([one]))}["outliers"]
    text = as_markdown(made)
    assert "## Outliers (area under the ROC curve): digits" in text
    assert (
        "| variant | n | log px noise ↑ | waic noise ↑ | ess noise ↑ | typicality noise ↑ |" in text
    )
    assert "auroc" not in text
    assert "auroc_ess_noise_mean" in as_csv(made)
