"""Control rows come out in the right order: training rows no worse than copies of them, these no
worse than entries on their own, those no worse than Gaussian noise, and noise worse than the first.
"""

import math
from pathlib import Path
from statistics import mean, variance

import pytest

from vaezoo.data.data import Data
from vaezoo.data.files import MissingData
from vaezoo.evaluation import features
from vaezoo.evaluation.baselines import CONTROLS, COPY, FLOOR, INDEPENDENT, NOISE
from vaezoo.evaluation.features import extractor_for
from vaezoo.evaluation.metrics.samples import COLUMNS, as_long, sample_scores
from vaezoo.evaluation.subset import some_rows
from vaezoo.registry.registry import load_registry

ORDER = (FLOOR, COPY, INDEPENDENT, NOISE)
BETTER = {c.name: c.better for c in COLUMNS if c.better and c.name != "fid_random"}
DRAWS = 5
ROWS = 300  # of each kind, at most, where the test is quick
QUICK = ("digits", "gaussian", "ring", "pinwheel", "stacked_digits", "lgssm", "slds")
LONG = (*QUICK, "bouncing_ball", "sprites", "freyfaces", "jsb", "piano_midi", "mnist_static")

# Where independent entries may be further from the data than noise is: in the plane both are
# Normals; MNIST's classifier takes the average digit for no digit.
ALIKE = {
    "ring": set(BETTER),
    "pinwheel": set(BETTER),
    "mnist_static": {"fid", "kid"},
}
# 25 test rows reach so far that all of noise lies within a few of them: nothing is bold there, see
# `is_won_by_noise`
WON_BY_NOISE = {"piano_midi": {"density"}}


def scores(data: Data, rows: int, cache: Path | None) -> dict[str, dict[str, list[float]]]:
    """Control row -> column -> a number a draw, turned so that higher is better."""
    extractor = extractor_for(data, cache)
    beside = some_rows(data, "test", rows)
    real = extractor.real("test")[beside]
    found = {}
    for name, make in CONTROLS.items():
        fakes = [as_long(make(data, len(beside), seed), data, "test") for seed in range(DRAWS)]
        each = [sample_scores(real, extractor(fake)) for fake in fakes]
        found[name] = {column: [_turned(one, column) for one in each] for column in BETTER}
    return found


def _turned(found: dict[str, float], column: str) -> float:
    return found[column] if BETTER[column] == "higher" else -found[column]


def lead(better: list[float], worse: list[float]) -> float:
    """By how many standard errors over draws the first mean is above the second."""
    error = math.sqrt((variance(better) + variance(worse)) / DRAWS)
    return (mean(better) - mean(worse)) / max(error, 1e-12)


def check_order(data: Data, rows: int, cache: Path | None) -> None:
    found = scores(data, rows, cache)
    for column in BETTER:
        floor, copy, apart, noise = (found[row][column] for row in ORDER)
        won_by_noise = mean(noise) >= mean(floor)
        assert won_by_noise == (column in WON_BY_NOISE.get(data.name, ())), (column, found)
        if won_by_noise:
            continue
        assert lead(floor, copy) > -5, (column, found)
        assert lead(copy, apart) > -5, (column, found)
        assert lead(floor, noise) > 3, (column, found)
        if column not in ALIKE.get(data.name, ()):
            assert lead(apart, noise) > -5, (column, found)


@pytest.mark.parametrize("name", QUICK)
def test_control_rows_are_in_order(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(features, "STEPS", 200)  # of the classifier
    check_order(load_registry().datasets[name].load(), ROWS, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_control_rows_are_in_order_by_the_features_of_the_tables(name: str):
    try:
        data = load_registry().datasets[name].load()
    except MissingData as why:
        pytest.skip(str(why))
    check_order(data, 2000, None)
