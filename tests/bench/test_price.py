"""A plan's prices: from like trials, else from a few steps, in seconds of the processor."""

import json
import time
from dataclasses import replace

import pytest
import torch

from vaezoo.bench.estimate import estimate, priced_trial
from vaezoo.bench.manifest import MANIFEST, manifest
from vaezoo.bench.price import Known, Price, bytes_in_words, in_words, known_trials, priced
from vaezoo.bench.records import Record
from vaezoo.bench.report.typeset import grid_text
from vaezoo.bench.runner import run
from vaezoo.bench.scaling import OTHERS
from vaezoo.bench.store import Store, to_json
from vaezoo.bench.tried import Remembered
from vaezoo.bench.workers.costs import _at, costs
from vaezoo.bench.workers.probe import Processes
from vaezoo.bench.workers.processes import Places

from .test_plan import TRIAL

MEASURES = {"quick": "0"}
ONE = replace(TRIAL, measures=MEASURES, budget={"epochs": 10})


class Told:
    """A probe that answers what it was told to, and says what it was asked."""

    def __init__(self, **answer: object) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def costs(self, places, trials):
        self.asked += [trial.variant for trial in trials]
        return [self.answer for _ in trials]


def kept(out, trial=ONE, epochs=5, train=8.0, total=10.0, version=torch.__version__, **resources):
    """A finished trial in the folder of a run."""
    record = Record.of(
        trial, "done", (), metrics={"train_seconds": train}, total_seconds=total, epochs=epochs,
        best_epoch=1, evaluation_seconds={"quick": 1.0}, machine={"torch": version},
        resources=resources,
    )  # fmt: skip
    folder = out / "trials" / trial.key
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(to_json(record.to_json()))
    (folder / "model.safetensors").write_bytes(b"0" * 1000)
    (folder / MANIFEST).write_text(manifest(folder))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """No results of ours are near."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vaezoo.bench.price._beside_the_package", lambda: tmp_path / "results")


def test_like_trials_tell_the_price_and_where_training_stopped(tmp_path):
    for seed, epochs, train in ((1, 4, 8.0), (2, 5, 5.0), (3, 6, 18.0)):
        trial = replace(ONE, seed=seed)
        kept(tmp_path / "out", trial, epochs, train, train + 2.0, seconds=train + 2.0)
    prices = priced([ONE], known_trials(tmp_path / "out"), Told(), Places())
    price = prices[ONE.key]
    assert (price.epoch, price.fixed) == pytest.approx((2.0, 2.0))
    assert (price.most, price.likely) == pytest.approx((2.0 + 10 * 2.0, 2.0 + 5 * 2.0))
    assert price.source == "3 like in out"
    assert price.disk > 1000


def test_the_processors_seconds_are_taken_where_they_are_known(tmp_path):
    kept(tmp_path / "out", replace(ONE, seed=1), seconds=5.0, memory=7e6)
    price = priced([ONE], known_trials(tmp_path / "out"), Told(), Places())[ONE.key]
    assert (price.epoch, price.fixed) == pytest.approx((0.8, 1.0)), "half of what the clock says"
    assert price.memory == 7e6


def test_of_seconds_by_the_clock_the_quickest_count_and_none_beside_the_processors(tmp_path):
    for seed, train in ((1, 40.0), (2, 5.0), (3, 30.0)):  # on a busy machine, on a quiet one
        kept(tmp_path / "out", replace(ONE, seed=seed), 5, train, train + 2.0)
    price = priced([ONE], known_trials(tmp_path / "out"), Told(), Places())[ONE.key]
    assert (price.epoch, price.fixed) == pytest.approx((1.0, 2.0))

    kept(tmp_path / "out", replace(ONE, seed=4), 5, 40.0, 42.0, seconds=8.4)
    price = priced([ONE], known_trials(tmp_path / "out"), Told(), Places())[ONE.key]
    assert (price.epoch, price.fixed) == pytest.approx((1.6, 0.4)), "of seed 4 alone"
    assert price.source == "4 like in out"


@pytest.mark.parametrize(
    "other",
    [
        {"hyperparameters": {"weight": 2.0}},
        {"plugin": {**ONE.plugin, "source_hash": "b"}},
        {"data": {"name": "tiny", "hashes": {"train": "other"}}},
        {"spec": {"shape": [1, 4, 4], "likelihood": "bernoulli", "hidden": 9}},
        {"budget": {"epochs": 10, "batch": 9}},
        {"threads": 2},
        {"importance_samples": 5},
    ],
)
def test_a_trial_that_is_not_like_this_one_tells_no_price(tmp_path, other):
    kept(tmp_path / "out", replace(ONE, seed=1, **other))
    assert known_trials(tmp_path / "out").price(ONE, torch.__version__) is None


def test_other_versions_tell_where_training_stops_and_not_how_long_it_takes(tmp_path):
    kept(tmp_path / "results" / "old", replace(ONE, seed=1), epochs=4, version="1.0")
    probe = Told(epoch=1.0, fixed=3.0, memory=5, disk=6)
    price = priced([ONE], known_trials(tmp_path / "out"), probe, Places())[ONE.key]
    assert price == Price(1.0, 3.0, 10, 4, 5, 6, "a few steps")
    assert (price.most, price.likely) == (13.0, 7.0)


@pytest.mark.parametrize(
    ("epochs", "limit", "likely"),
    [(4, 10, 4), (10, 10, 10), (4, 4, 6), (8, 8, 10), (30, 40, 10)],
)
def test_what_a_lower_limit_cut_is_taken_to_go_on(epochs, limit, likely):
    known = Known()
    known.stopped = {one: [(epochs, limit)] for one in known_courses()}
    assert known.likely_epochs(ONE) == likely


def known_courses():
    from vaezoo.bench.price import _course

    return [_course(ONE.ingredients)]


def test_a_row_is_tried_once_for_all_its_seeds_and_one_that_cannot_be_has_no_price():
    trials = [replace(ONE, seed=seed) for seed in range(3)]
    probe = Told(epoch=1.0, fixed=3.0, memory=5, disk=6)
    assert len(priced(trials, Known(), probe, Places())) == 3
    assert probe.asked == ["good"]
    assert priced(trials, Known(), Told(error="it cannot"), Places()) == {}
    assert priced([replace(ONE, skip="no")], Known(), Told(), Places()) == {}


def on_data(size, variant="good"):
    """The trial on a data set of as many columns."""
    spec = ONE.spec | {"shape": (size,), "n_train": 100}
    data = ONE.data | {"name": f"d{size}", "hashes": {"train": f"{size}"}}
    return replace(ONE, variant=variant, name=variant, spec=spec, data=data, dataset=f"d{size}")


class Growing(Told):
    """A probe whose facts grow with the width of the data; some rows are not waited for."""

    def __init__(self, late=()):
        super().__init__()
        self.late = late

    def costs(self, places, trials):
        super().costs(places, trials)
        self.asked = [(trial.variant, trial.dataset) for trial in trials]
        return [self.cost(trial) for trial in trials]

    def cost(self, trial):
        if (trial.variant, trial.dataset) in self.late:
            return {"error": "it was not waited for", "status": "cancelled"}
        size = trial.spec["shape"][0]
        return {"epoch": 1.0 + size, "fixed": 2.0 * size, "memory": 10 * size, "disk": 5}


def test_of_like_data_the_ends_are_tried_and_the_rest_lies_between():
    trials = [on_data(size) for size in (40, 10, 20, 30)]
    probe = Growing()
    prices = priced(trials, Known(), probe, Places())
    assert probe.asked == [("good", "d10"), ("good", "d40")]
    for trial in trials:
        size = trial.spec["shape"][0]
        price = prices[trial.key]
        assert (price.epoch, price.fixed) == pytest.approx((1.0 + size, 2.0 * size))
        assert (price.memory, price.disk) == pytest.approx((10 * size, 5), abs=1)
    sources = [prices[trial.key].source for trial in trials]
    assert sources == ["a few steps", "a few steps", "a few steps, scaled", "a few steps, scaled"]


def test_of_one_row_that_is_known_a_larger_one_costs_as_many_times_more():
    trials = [on_data(size) for size in (10, 40)]
    prices = priced(trials, Known(), Growing([("good", "d40")]), Places())
    assert prices[trials[1].key].epoch == pytest.approx(4 * prices[trials[0].key].epoch)
    prices = priced(trials, Known(), Growing([("good", "d10")]), Places())
    assert prices[trials[0].key].epoch == pytest.approx(prices[trials[1].key].epoch)


def test_what_was_not_waited_for_is_told_by_other_variants_and_what_fails_is_not():
    trials = [on_data(size, name) for name in ("good", "late") for size in (10, 20, 40)]
    late = [("late", "d10"), ("late", "d40")]
    prices = priced(trials, Known(), Growing(late), Places())
    assert {prices[trial.key].source for trial in trials[3:]} == {"other variants"}
    assert prices[trials[4].key].epoch == pytest.approx(21.0)

    class Failing(Growing):
        def cost(self, trial):
            return super().cost(trial) if trial.variant == "good" else {"error": "no"}

    prices = priced(trials, Known(), Failing(), Places())
    assert {*prices} == {trial.key for trial in trials[:3]}


def test_what_was_tried_before_is_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("VAEZOO_CACHE", str(tmp_path))
    trials = [on_data(size) for size in (10, 20)]
    probe = Growing([("good", "d20")])
    for asked in (["d10", "d20"], ["d20"]):
        answers = Remembered(probe, 5.0).costs(Places(), trials)
        assert answers[0]["epoch"] == 11.0
        assert "error" in answers[1], "what was not told is asked again"
        assert [name for _, name in probe.asked] == asked
    for file in (tmp_path / "costs").glob("*.json"):
        file.write_text("[1")
    assert Remembered(probe, 5.0).costs(Places(), trials)[0]["epoch"] == 11.0
    monkeypatch.setenv("VAEZOO_CACHE", "/proc/nowhere")
    assert Remembered(probe, 5.0).costs(Places(), trials)[0]["epoch"] == 11.0


def test_how_far_a_long_look_is_is_said(monkeypatch):
    from concurrent.futures import Future

    from vaezoo.bench.workers import probe

    monkeypatch.setattr(probe, "TOLD", 0.01)
    said = []
    futures = [Future(), Future()]
    futures[0].set_result({})
    left = Processes(0.05, said.append)._wait(futures, "tried {0} of {1} rows", 0.05)
    assert left == futures[1:]
    assert said[0] == "tried 1 of 2 rows"


def test_a_run_waits_only_so_long_for_its_prices(plan, write_variant):
    write_variant("slow", build="time.sleep(600)")
    made = plan("good")
    (good,) = made.trials
    trials = [good, replace(good, variant="slow", name="slow")]
    began = time.monotonic()
    prices = priced(trials, Known(), Processes(within=3.0), made.source)
    assert time.monotonic() - began < 60
    # what was not reached costs what the other does, if that one was
    assert {price.source for key, price in prices.items() if key != good.key} <= {OTHERS}


def test_an_epoch_is_priced_as_what_its_steps_take(plan, write_variant):
    """20 ms of work in each of 2 training steps and 1 step of validation."""
    busy = "end = time.process_time() + 0.02\n        while time.process_time() < end: pass"
    write_variant("busy", step=busy)
    made = plan("busy", sets={"epochs": "50"})
    answer = costs(made.source, made.trials[0])
    assert 0.06 <= answer["epoch"] < 0.09
    assert answer["disk"] > 1000
    assert answer["memory"] > 10**7


def test_a_part_of_a_long_epoch_stands_for_all_of_it(plan, write_variant):
    """With minibatches of 4 an epoch has 16 steps, of which 4 are tried, and a quarter of the
    validation split.
    """
    busy = "end = time.process_time() + 0.01\n        while time.process_time() < end: pass"
    write_variant("busy", step=busy)
    made = plan("busy", sets={"batch": "4"})
    assert 0.16 <= costs(made.source, made.trials[0])["epoch"] < 0.28


def test_metrics_of_part_of_the_rows_are_not_scaled_to_all_of_them():
    half, whole = {"part": 1.0, "all": 1.0}, {"part": 1.1, "all": 2.0}
    assert _at(400, half, whole) == pytest.approx(3.1)
    assert _at(4000, half, whole) == pytest.approx(1.1 + 2.0 + 18.0)


def test_the_price_of_a_run_is_what_it_took_the_processor(plan, tmp_path):
    """Other seeds of the same row: the sum over a run of their prices, and what it then took."""
    first, second = plan("good", "0,1,2"), plan("good", "3,4,5")
    run(first, tmp_path / "out", figures=False)
    known = known_trials(tmp_path / "out")
    prices = priced(second.trials, known, Told(), second.source)
    run(second, tmp_path / "again", figures=False)
    took = [Store(tmp_path / "again").read(trial.key).resources for trial in second.trials]
    price = sum(price.most for price in prices.values())
    assert price == pytest.approx(sum(one["seconds"] for one in took), rel=0.5)
    assert max(one["memory"] for one in took) == pytest.approx(
        max(price.memory for price in prices.values()), rel=0.5
    )


def test_a_plan_says_both_prices_of_each_row_and_their_sum():
    trials = [replace(ONE, seed=seed) for seed in range(3)]
    skipped = replace(ONE, variant="bad", name="bad", skip="needs a sequence")
    prices = {
        trial.key: Price(60.0, 0.0, 10, 5.0, 200_000_000, 1_500_000, "a few steps")
        for trial in trials
    }
    made = PlanOf((*trials, skipped))
    text = grid_text(estimate(made, prices, {trials[0].key}, jobs=2))
    assert "2 trials to train, 1 skipped, 1 finished" in text
    row = next(line for line in text.splitlines() if line.startswith("good"))
    assert all(
        cell in row for cell in ("20 min", "10 min", "200 MB", "3 MB", "planned, 1 finished")
    )
    flat = " ".join(text.split())
    assert "At the limit of epochs 20 min; 2 side by side: 10 min." in flat
    assert "As like trials stopped 10 min" in flat
    assert "400 MB of memory, 3 MB of disk." in flat
    facts = priced_trial(trials[1], prices, {trials[0].key})
    assert json.loads(json.dumps(facts))["price"]["most"] == 600.0


class PlanOf:
    """As much of a plan as is printed."""

    def __init__(self, trials):
        self.trials = trials


def test_time_and_size_in_words():
    assert [in_words(s) for s in (0.4, 119, 600, 7200)] == ["0 s", "119 s", "10 min", "2.0 h"]
    assert [bytes_in_words(n) for n in (999, 1500, 2e6, 3.25e9)] == [
        "999 B",
        "2 kB",
        "2 MB",
        "3.2 GB",
    ]
