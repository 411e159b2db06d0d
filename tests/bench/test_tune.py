"""Tuning: what is drawn can be built, what is chosen never saw the test split."""

import itertools
import json
import tomllib
from collections import Counter

import numpy as np
import pytest

from vaezoo.bench.suites import read_suite
from vaezoo.bench.tune.expected import expected_best
from vaezoo.bench.tune.space import space
from vaezoo.bench.tune.tune import COLUMN, Candidates, Tuned, as_suite, candidates_of
from vaezoo.cli import vaezoo as cli
from vaezoo.hyperparameters import hyperparameters
from vaezoo.registry.registry import load_registry


@pytest.mark.parametrize("values", [[3.0], [1.0, 2.0], [0.5, -4.0, 2.0, 2.0], [1, 5, 2, 9, 3]])
def test_the_best_of_n_draws_is_what_enumeration_says(values):
    found = expected_best(values)
    for n, mean in enumerate(found, 1):
        every = [max(draws) for draws in itertools.product(values, repeat=n)]
        assert mean == pytest.approx(np.mean(every), rel=1e-12)


def test_of_nothing_nothing_is_expected():
    assert expected_best([]) == []


@pytest.fixture(scope="module")
def registry():
    return load_registry()


def test_whatever_is_drawn_for_any_variant_is_accepted(registry):
    generator = np.random.default_rng(0)
    for name, variant in registry.variants.items():
        if name == "mix":
            continue
        tuned, _ = space(variant.hyperparameters)
        for _ in range(50):
            drawn = {one.name: one.draw(generator) for one in tuned}
            accepted = variant.resolve_text({k: str(v).lower() for k, v in drawn.items()})
            assert drawn.items() <= accepted.items()


def build(scale: float = 0.0, depth: int = 2, on: bool = True):
    """Annotated without limits."""


def test_what_has_no_limits_stays_and_what_is_given_is_not_tuned():
    tuned, left = space(hyperparameters(build))
    assert [one.name for one in tuned] == ["depth", "on"]
    assert left == ["scale"]
    assert space(hyperparameters(build), fixed=["scale", "depth", "on"]) == ([], [])


def test_a_log_range_is_drawn_uniformly_in_the_logarithm(registry):
    (beta,) = space(registry.variants["beta"].hyperparameters)[0]
    generator = np.random.default_rng(0)
    logs = np.log([beta.draw(generator) for _ in range(4000)])
    low, high = np.log(0.15), np.log(15)
    # z = 4 of a mean and a deviation of 4,000 uniform numbers
    assert logs.min() >= low - 1e-2
    assert logs.max() <= high + 1e-2
    assert logs.mean() == pytest.approx((low + high) / 2, abs=4 * (high - low) / 12**0.5 / 63)
    assert logs.std() == pytest.approx((high - low) / 12**0.5, rel=0.05)


def test_counts_are_drawn_to_both_ends(registry):
    (depth,) = space(registry.variants["iaf"].hyperparameters)[0]
    generator = np.random.default_rng(0)
    counts = Counter(depth.draw(generator) for _ in range(2000))
    assert sorted(counts) == list(range(1, 9))
    assert counts[1] > counts[8]


def test_every_variant_has_as_many_draws_that_depend_on_nothing_else(registry):
    alone = candidates_of(registry, "beta", 5)
    beside = candidates_of(registry, "vae,bn,beta", 5)
    assert alone[0] == beside[2]
    assert [len(one.drawn) for one in beside] == [0, 5, 5]
    assert candidates_of(registry, "beta", 5, seed=1) != alone
    assert candidates_of(registry, "ciwae[k=3]", 4)[0].drawn[0].startswith("ciwae[k=3,beta=")


def test_the_suite_can_be_read_and_names_default_and_best():
    tried = Candidates("beta", "beta", ("beta[beta=2.0]",), ("beta from 0.15 … 15, log",))
    plain = Candidates("vae", "vae", (), ())
    lost = Candidates("ae", "ae", (), ())
    found = [
        Tuned(tried, "digits[rows='5 0']", -3.0, (-2.0,), "beta[beta=2.0]"),
        Tuned(plain, "digits[rows='5 0']", -4.0, (), "vae"),
        Tuned(lost, "digits[rows='5 0']", float("nan"), (), ""),
    ]
    text = as_suite(found, "digits[rows='5 0']", {"epochs": 3, "schedule": "cosine"}, 1)
    suite = read_suite(text, "tuned")
    assert suite.variants == ["beta", "beta[beta=2.0]", "vae"]
    assert suite.set == {"epochs": 3, "schedule": "cosine"}
    assert tomllib.loads(text)["datasets"] == "digits[rows='5 0']"


def test_the_command_tunes_by_the_validation_split_and_goes_on(plugins, tmp_path, capsys):
    command = ["tune", "good,vae", "-d", "tiny", "--trials", "2", "--jobs", "1", "--json"]
    command += ["--out", str(tmp_path / "out"), "--plugins-dir", str(plugins)]

    def run():
        with pytest.raises(SystemExit) as ended:
            cli.main(command)
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return json.loads(said.out), said.err

    (good, vae), _ = run()
    assert good["ranges"] == ["weight from 0.1 … 10, log"]
    values = {one["selection"]: one[COLUMN] for one in [good["default"], *good["drawn"]]}
    assert len(values) == 3
    assert good["best"] == max(values, key=values.get)
    assert good["expected_best"] == sorted(good["expected_best"])
    assert (vae["drawn"], vae["best"]) == ([], "vae")

    suite = read_suite((tmp_path / "out" / "tuned-tiny.toml").read_text(), "tuned")
    assert set(suite.variants) == {"good", good["best"], "vae"}
    assert (tmp_path / "out" / "figures" / "expected-best-tiny.svg").is_file()

    again, said = run()
    assert again == [good, vae]
    assert "4 found finished" in said

    # another budget in the same folder is judged by its own trials, and the first by its own again
    command[2:2] = ["--epochs", "1"]
    (other, _), said = run()
    assert "4 run now" in said
    assert other["default"] != good["default"]
    del command[2:4]
    assert run()[0] == [good, vae]
