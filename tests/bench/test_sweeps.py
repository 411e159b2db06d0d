"""Sweeps found in the rows of a run."""

from dataclasses import replace

from tests.bench.conftest import recorded
from vaezoo.bench.report.catalogue import catalogue_of
from vaezoo.bench.report.figures.material import Material
from vaezoo.bench.report.figures.sweep import sweep as draw_sweeps
from vaezoo.bench.report.rows import rows_of as gathered
from vaezoo.bench.report.sweeps import sweeps
from vaezoo.bench.store import Store
from vaezoo.bench.trial import PROTOCOL

FACTS = {
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
    "stacking": 1,
    "protocol": PROTOCOL,
    "metrics": [],
}


def record(
    key: str, name: str = "vae", dataset: str = "digits", seed: int = 0, nll: float = 1.0, **facts
) -> dict:
    """A finished trial, as trial.json has it."""
    spec = {
        "latent": facts.get("latent", 8),
        "n_train": facts.get("n_train", 1200),
        "likelihood": "bernoulli",
    }
    arguments = {k: v for k, v in facts.items() if k not in spec}
    label = name + (f"[{','.join(f'{k}={v}' for k, v in arguments.items())}]" if arguments else "")
    ingredients = FACTS | {
        "name": name, "seed": seed, "spec": spec,
        "budget": {"epochs": 5, "batch": 128}, "hyperparameters": arguments,
        "plugin": {"distribution": "d", "version": "1", "module": "m", "source_hash": "h"},
        "data": {"name": dataset, "hashes": {"train": str(spec["n_train"])}},
    }  # fmt: skip
    columns = [{"name": "nll", "unit": "nats", "better": "lower", "table": "elbo", "digits": 2}]
    facts = {
        "status": "done",
        "metrics": {"nll": nll},
        "columns": columns,
        "reasons": {},
        "settings": {},
    }
    return {"key": key, "variant": label, "dataset": dataset, "ingredients": ingredients} | facts


def rows_of(trials):
    """The rows of these trials, given as trial.json holds them."""
    return gathered([recorded(one) for one in trials])


def draw(rows) -> dict:
    """Quantity and data set -> figure."""
    return draw_sweeps(Material(rows, Store("."), catalogue_of(rows)))


def test_a_dial_makes_one_line_a_variant_with_its_values_in_order():
    records = [
        record(f"{v}{n}{s}", v, seed=s, latent=n, nll=n + s)
        for v in ("vae", "beta")
        for n in (16, 1, 4)
        for s in (0, 1)
    ]
    (sweep,) = sweeps(rows_of(records))
    assert (sweep.quantity, sweep.dataset) == ("latent", "digits")
    assert {name: [value for value, _ in line] for name, line in sweep.lines.items()} == {
        "vae": [1, 4, 16],
        "beta": [1, 4, 16],
    }
    assert [row.interval("nll").mean for _, row in sweep.lines["vae"]] == [1.5, 4.5, 16.5]


def test_training_rows_are_a_sweep_over_data_sets_of_one_family():
    records = [record(str(n), dataset=f"digits[rows={n}]", n_train=n) for n in (50, 100, 200)]
    records += [record("all", n_train=1200)]
    (sweep,) = sweeps(rows_of(records))
    assert (sweep.quantity, [v for v, _ in sweep.lines["vae"]]) == ("n_train", [50, 100, 200, 1200])


def test_a_hyperparameter_is_a_sweep_and_two_points_are_none():
    three = [record(str(b), "beta", beta=b) for b in (1.0, 4.0, 16.0)]
    (sweep,) = sweeps(rows_of(three))
    assert sweep.quantity == "beta"
    assert not sweeps(rows_of(three[:2]))


def test_a_number_among_the_options_of_a_data_set_is_a_sweep_and_a_word_is_a_figure_of_its_own():
    records = [
        record(
            f"{share}{how}", dataset=f"holes[of=digits,missing={share},mechanism={how}]", nll=share
        )
        for share in (0.5, 0.1, 0.3)
        for how in ("mcar", "mnar")
    ]
    found = sweeps(rows_of(records))
    assert [(s.quantity, s.dataset) for s in found] == [
        ("missing", f"holes[of=digits,mechanism={how}]") for how in ("mcar", "mnar")
    ]
    assert [[value for value, _ in s.lines["vae"]] for s in found] == [[0.1, 0.3, 0.5]] * 2


def test_an_option_called_like_a_hyperparameter_is_not_taken_for_it():
    records = [record(f"{a}", "odd", f"tossed[missing={a}]", missing=7) for a in (1, 2, 3)]
    (sweep,) = sweeps(rows_of(records))
    assert {name: [value for value, _ in line] for name, line in sweep.lines.items()} == {
        "odd[missing=7]": [1, 2, 3]
    }
    assert sweep.dataset == "tossed"


def test_lines_of_one_variant_are_told_apart_by_what_is_not_varied():
    records = [
        record(f"{n}-{a}", "m2", labels=n, alpha=a) for n in (10, 50, 100) for a in (0.1, 1.0)
    ]
    (sweep,) = sweeps(rows_of(records))
    assert set(sweep.lines) == {"m2[alpha=0.1]", "m2[alpha=1.0]"}


def test_control_rows_of_imputation_are_grey_lines_and_others_are_not_drawn():
    records = [record(f"{share}", dataset=f"holes[missing={share}]") for share in (0.1, 0.3, 0.5)]
    for r in records:
        r["metrics"]["imputation_rmse"] = 0.2
        r["columns"].append(
            {"name": "imputation_rmse", "unit": "", "better": "lower", "table": "imputation"}
        )
    means = {"means": {"imputation_rmse": 0.4, "nll": 9.0}, "noise": {"fid": 1e3, "nll": 9.0}}
    rows = [replace(row, controls=means) for row in rows_of(records)]
    (figure,) = draw(rows).values()
    panels = {ax.get_title().partition(" (")[0]: ax for ax in figure.axes}
    grey = [line for line in panels["imputation rmse"].lines if line.get_color() == "grey"]
    assert [(line.get_label(), list(line.get_xdata()), set(line.get_ydata())) for line in grey] == [
        ("(means)", [0.1, 0.3, 0.5], {0.4})
    ]
    assert all(line.get_color() != "grey" for line in panels["nll"].lines)
    assert "(means)" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_values_of_two_dials_at_once_make_lines_apart():
    records = [
        record(f"{n}-{b}", "beta", latent=n, beta=b) for n in (1, 2, 4) for b in (1.0, 4.0, 16.0)
    ]
    found = {sweep.quantity: sweep for sweep in sweeps(rows_of(records))}
    assert set(found) == {"latent", "beta"}
    assert [len(sweep.lines) for sweep in found.values()] == [3, 3]
    drawn = draw(rows_of(records))
    assert set(drawn) == {"latent-digits", "beta-digits"}
    assert drawn["latent-digits"].axes[0].get_title() == "nll (nats)"


def test_distances_of_samples_are_drawn_where_one_extractor_made_them():
    def fids(extractors: list[str]) -> list[dict]:
        made = [record(str(n), dataset=f"digits[rows={n}]", n_train=n) for n in (50, 100, 200)]
        for one, extractor in zip(made, extractors, strict=True):
            one["metrics"]["fid"], one["settings"] = 1.0, {"extractor_sha256": extractor}
            one["columns"] = [
                *one["columns"],
                {"name": "fid", "unit": "", "better": "lower", "table": "fid", "digits": 3},
            ]
        return made

    titles = [
        {ax.get_title() for ax in next(iter(draw(rows_of(fids(extractors))).values())).axes}
        for extractors in (["a", "a", "a"], ["a", "b", "b"])
    ]
    assert [("fid" in shown, "nll (nats)" in shown) for shown in titles] == [
        (True, True),
        (False, True),
    ]


def test_data_sets_are_in_the_order_of_their_numbers():
    names = [f"digits[rows={n}]" for n in (0, 100, 50, 1200)]
    rows = rows_of([record(name, dataset=name) for name in names])
    assert [row.dataset for row in rows] == [f"digits[rows={n}]" for n in (0, 50, 100, 1200)]


def test_a_row_that_was_trained_in_bf16_says_so_alone_and_beside_another():
    usual = record("a")
    coarse = record("b")
    coarse["ingredients"] = coarse["ingredients"] | {"precision": "bf16"}
    assert [row.settings for row in rows_of([usual])] == [""]
    assert [row.settings for row in rows_of([coarse])] == ["precision=bf16"]
    assert "precision=bf16" in {row.settings for row in rows_of([usual, coarse])}
