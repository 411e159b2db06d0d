"""The time left, replayed from what 225 trials of digits took, of at most 120 epochs each, on two
quiet cores.
"""

import csv
import statistics
from dataclasses import dataclass
from pathlib import Path

import pytest

from vaezoo.bench.price import Price
from vaezoo.bench.remaining import TimeLeft
from vaezoo.bench.trial import Trial

TIMINGS = Path(__file__).parent / "timings.csv"
LIMIT = 120


@dataclass(frozen=True)
class Took:
    """A trial that has been run."""

    variant: str
    seed: int
    epochs: int
    train_seconds: float
    total_seconds: float

    @property
    def trial(self) -> Trial:
        """The trial, as far as the time left reads it."""
        return Trial(
            variant=self.variant,
            name=self.variant,
            hyperparameters={},
            plugin={},
            dataset="digits",
            data={},
            spec={},
            seed=self.seed,
            budget={"epochs": LIMIT},
        )


def replayed(
    took: dict[str, tuple[float, int]],
    trials: list[Trial],
    prices: dict[str, Price],
    jobs: int,
    after: float,
) -> tuple[float, float]:
    """Seconds left as estimated when this part of the run is over, and as they were."""
    ends: list[tuple[float, float, Trial]] = []  # end, begin, trial
    free = [0.0] * jobs
    for trial in trials:
        begin = min(free)
        end = begin + took[trial.key][0]
        free[free.index(begin)] = end
        ends.append((end, begin, trial))
    whole = max(free)
    now = after * whole
    left = TimeLeft({trial.key: trial for trial in trials}, prices, jobs)
    for end, begin, trial in sorted(ends, key=lambda one: one[0]):
        if end <= now:
            left.ended(trial, end - begin, took[trial.key][1])
    running = [
        (trial, now - begin, int(took[trial.key][1] * (now - begin) / (end - begin)))
        for end, begin, trial in ends
        if begin <= now < end
    ]
    return left.seconds(running) or 0.0, whole - now


@pytest.fixture(scope="module")
def records() -> list[Took]:
    """Variants in their order, three seeds of each."""
    with TIMINGS.open(encoding="utf-8") as file:
        return [
            Took(v, int(seed), int(epochs), float(train), float(total))
            for v, seed, epochs, train, total in list(csv.reader(file))[1:]
        ]


def priced(record: Took, others: list[Took], slower: float, knows_stop: bool) -> Price:
    """From what trials of other seeds took, on a machine that was so much slower."""
    like = [one for one in others if one.variant == record.variant and one.seed != record.seed]
    epochs = statistics.mean(one.epochs for one in like)
    training = statistics.median(one.train_seconds / one.epochs for one in like)
    fixed = statistics.median(one.total_seconds - one.train_seconds for one in like)
    likely = epochs if knows_stop else None
    return Price(slower * training, slower * fixed, LIMIT, likely, 0, 0, "")


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("knows_stop", [True, False])
def test_after_a_tenth_of_a_real_run_the_time_left_is_right_within_a_fifth(
    records, knows_stop: bool, jobs: int
):
    trials = [record.trial for record in records]
    took = {record.trial.key: (record.total_seconds, record.epochs) for record in records}
    prices = {record.trial.key: priced(record, records, 2.0, knows_stop) for record in records}
    for part in (0.1, 0.2, 0.5, 0.8):
        estimated, true = replayed(took, trials, prices, jobs, part)
        assert estimated == pytest.approx(true, rel=0.2), part


def test_without_prices_rows_that_have_ended_stand_for_the_others(records):
    trials = [record.trial for record in records[:6]]
    left = TimeLeft({trial.key: trial for trial in trials}, {}, jobs=1)
    assert left.seconds() is None
    assert left.words() == ""
    left.ended(trials[0], 10.0)
    assert left.seconds() == pytest.approx(50.0)
    assert left.words([(trials[1], 4.0, 0)]) == "46 s left"
    assert left.words([(trials[1], 20.0, 60)]) == "60 s left", "half of 120 epochs in 20 s"
    for trial in trials[1:]:
        left.ended(trial, 10.0)
    assert left.words() == ""


def test_the_last_trial_cannot_be_shared(records):
    first, second = (record.trial for record in (records[0], records[10]))
    price = Price(1.0, 0.0, 100, None, 0, 0, "")
    left = TimeLeft({one.key: one for one in (first, second)}, {second.key: price}, jobs=8)
    assert left.seconds() == pytest.approx(70.0), "a price at the limit is an upper one"
