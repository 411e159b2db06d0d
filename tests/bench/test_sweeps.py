"""Sweeps found in the rows of a run."""

from vaezoo.bench.rows import rows_of
from vaezoo.bench.sweeps import draw, sweeps

FACTS = {"device": "cpu", "precision": "float32", "threads": 1, "stacking": 1, "protocol": 1, "metrics": []}


def record(key: str, name: str = "vae", dataset: str = "digits", seed: int = 0, nll: float = 1.0, **facts) -> dict:
    """A finished trial, as trial.json has it."""
    spec = {"latent": facts.get("latent", 8), "n_train": facts.get("n_train", 1200), "likelihood": "bernoulli"}
    arguments = {k: v for k, v in facts.items() if k not in spec}
    label = name + (f"[{','.join(f'{k}={v}' for k, v in arguments.items())}]" if arguments else "")
    ingredients = FACTS | {
        "name": name, "seed": seed, "spec": spec, "budget": {"epochs": 5, "batch": 128}, "hyperparameters": arguments,
        "plugin": {"distribution": "d", "version": "1", "module": "m", "source_hash": "h"},
        "data": {"name": dataset, "hashes": {"train": str(spec["n_train"])}},
    }  # fmt: skip
    columns = [{"name": "nll", "unit": "nats", "better": "lower", "table": "elbo", "digits": 2}]
    facts = {"status": "done", "metrics": {"nll": nll}, "columns": columns, "reasons": {}, "settings": {}}
    return {"key": key, "variant": label, "dataset": dataset, "ingredients": ingredients} | facts


def test_a_dial_makes_one_line_a_variant_with_its_values_in_order():
    records = [
        record(f"{v}{n}{s}", v, seed=s, latent=n, nll=n + s) for v in ("vae", "beta") for n in (16, 1, 4) for s in (0, 1)
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


def test_the_values_of_two_dials_at_once_make_lines_apart():
    records = [record(f"{n}-{b}", "beta", latent=n, beta=b) for n in (1, 2, 4) for b in (1.0, 4.0, 16.0)]
    found = {sweep.quantity: sweep for sweep in sweeps(rows_of(records))}
    assert set(found) == {"latent", "beta"}
    assert [len(sweep.lines) for sweep in found.values()] == [3, 3]
    ((name, figure), *_) = draw(rows_of(records))
    assert name.startswith("sweep-")
    assert figure.axes[0].get_title() == "nll (nats)"
