"""What a run will cost, before it: time, memory and disk of every trial, from what like trials
took, else from a few steps that are tried, of some rows for all (`scaling`).

A like trial differs in its seed, its limit of epochs and its patience alone, and was made by the
same plugin and version of torch. How many epochs like trials needed is read from trials of other
versions too. Early stopping makes the price at the limit an upper one.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from pathlib import Path

from ..core import Spec
from ..training.budget import Budget
from .records import Record
from .scaling import Costs, to_try
from .store import Store, StoreError
from .trial import Json, Trial, canonical
from .workers.probe import Probe
from .workers.processes import Places

RESULTS = "results"  # a folder of runs, here or beside the package
CUT = 1.5  # times the epochs of one that was cut
NOT_LIKE = ("epochs", "patience")  # fields of the budget that change no epoch


@dataclass(frozen=True)
class Price:
    """Of one trial. Seconds are the processor's where one thread works, else the clock's."""

    epoch: float  # seconds of an epoch of training
    fixed: float  # seconds of all else: evaluation, reading and writing
    epochs: int  # the limit
    likely_epochs: float | None  # after which like trials stopped; None where there is none
    memory: int  # bytes
    disk: int  # bytes
    source: str  # where this comes from, in words

    @property
    def knows_stop(self) -> bool:
        """Whether it is known where training of like trials stopped."""
        return self.likely_epochs is not None

    @property
    def expected_epochs(self) -> float:
        """Those after which like trials stopped, else the limit."""
        return min(self.epochs, self.likely_epochs or self.epochs)

    @property
    def most(self) -> float:
        """Seconds, if training goes on to its limit."""
        return self.fixed + self.epoch * self.epochs

    @property
    def likely(self) -> float:
        """Seconds, if training stops where that of like trials did."""
        return self.fixed + self.epoch * self.expected_epochs


@dataclass(frozen=True)
class Taken:
    """What one trial took."""

    epoch: float
    fixed: float
    memory: int
    disk: int
    where: str
    by_clock: bool  # its seconds are the clock's, to which a busy machine has added


@dataclass
class Known:
    """What trials took that are on this machine."""

    taken: dict[str, list[Taken]] = field(default_factory=dict)  # likeness -> each
    stopped: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # -> epochs, limit

    def likely_epochs(self, trial: Trial) -> float | None:
        """The mean of the epochs after which like trials stopped. One that a lower limit than this
        trial's ended is taken to go on for half as long again: of 63 variants on digits, cut at 120
        epochs, training stopped after 178 in the mean.
        """
        limit = trial.budget["epochs"]
        found = []
        for epochs, its in self.stopped.get(_course(trial.ingredients), []):
            is_cut = its <= epochs < limit
            found.append(min(limit, CUT * epochs if is_cut else epochs))
        return statistics.mean(found) if found else None

    def price(self, trial: Trial, torch: str) -> Price | None:
        """From what like trials took; None where there are none. Where their seconds are the
        clock's alone, the quickest says most: a busy machine only adds to them.
        """
        found = self.taken.get(likeness(trial.ingredients, trial.measures, torch), [])
        if not found:
            return None

        def median(name: str) -> float:
            return statistics.median(getattr(one, name) for one in found)

        undisturbed = [one for one in found if not one.by_clock]
        epoch, fixed = _seconds(undisturbed or [min(found, key=attrgetter("epoch"))])
        folders = " and ".join(sorted({one.where for one in found}))
        return Price(
            epoch,
            fixed,
            trial.budget["epochs"],
            self.likely_epochs(trial),
            int(median("memory")),
            int(median("disk")),
            f"{len(found)} like in {folders}",
        )


def _seconds(of_like: Sequence[Taken]) -> tuple[float, float]:
    """Those of an epoch and of all else, in the median."""
    epoch = statistics.median(one.epoch for one in of_like)
    return epoch, statistics.median(one.fixed for one in of_like)


def known_trials(out: Path) -> Known:
    """What the trials took that stand in `out` and in the runs of folders named `results`."""
    known = Known()
    folders = [out]
    for results in dict.fromkeys((Path(RESULTS).resolve(), _beside_the_package())):
        folders += sorted(path.parent for path in results.glob("*/trials"))
    for folder in {path.resolve(): path for path in folders}.values():
        store = Store(folder)
        try:
            records, _ = store.records()
        except StoreError:
            continue  # of another run, and damaged: nothing is learned from it
        for record in records:
            if record.is_done and record.epochs:
                _add(known, record, store)
    return known


def _beside_the_package() -> Path:
    return Path(__file__).resolve().parents[2] / RESULTS


def _add(known: Known, record: Record, store: Store) -> None:
    stored = record.ingredients.stored
    limit = record.ingredients.budget.get("epochs", 0)
    if isinstance(limit, int):
        known.stopped.setdefault(_course(stored), []).append((record.epochs, limit))

    if (taken := _taken(record, store)) is not None:
        words = likeness(stored, record.evaluation_seconds, record.torch)
        known.taken.setdefault(words, []).append(taken)


def _taken(record: Record, store: Store) -> Taken | None:
    """What a trial took; None where its record says what cannot be."""
    training = record.metrics.get("train_seconds", 0.0)
    total = record.resources.get("seconds", record.total_seconds)
    memory = record.resources.get("memory", 0.0)
    is_known = total >= 0.0 and memory >= 0.0  # which says no of NaN, too
    if not (is_known and 0.0 < training <= record.total_seconds):
        return None
    share = training / record.total_seconds
    files = [path.lstat().st_size for path in (store.trials / record.key).iterdir()]
    is_whole = store.has_weights(record.key)
    return Taken(
        total * share / record.epochs,
        total * (1.0 - share),
        int(memory),
        sum(files) if is_whole else 0,
        store.out.name,
        "seconds" not in record.resources,
    )


def _course(stored: Json) -> str:
    """What the number of epochs depends on that a training needs."""
    names = ("name", "hyperparameters")
    filled = _filled(stored)
    del filled["budget"]["epochs"]
    return canonical({name: stored.get(name) for name in names} | filled)


def likeness(stored: Json, measures: Iterable[str], torch: str) -> str:
    """What the time of an epoch and of an evaluation depends on."""
    names = (
        "name",
        "hyperparameters",
        "plugin",
        "device",
        "precision",
        "threads",
        "stacking",
        "importance_samples",
        "samplers",
    )
    filled = _filled(stored)
    for name in NOT_LIKE:
        del filled["budget"][name]
    facts: Json = {name: stored.get(name) for name in names} | filled
    return canonical(facts | {"measures": sorted(measures), "torch": torch})


def _filled(stored: Json) -> dict[str, Json]:
    """Spec and budget with the fields that an older version did not know, and what the data are."""
    try:
        budget = asdict(Budget(**stored["budget"]))
        spec = asdict(Spec.of(stored["spec"]))
    except (KeyError, TypeError, ValueError):  # a field that is no more: like no trial of today
        budget = dict.fromkeys(NOT_LIKE) | stored.get("budget", {})
        spec = dict(stored.get("spec", {}))
    return {"budget": budget, "spec": spec, "data": stored.get("data", {}).get("hashes", {})}


def priced(
    trials: Sequence[Trial],
    known: Known,
    probe: Probe,
    places: Places,
    say: Callable[[str], object] = lambda _: None,
) -> dict[str, Price]:
    """Key -> price, of the trials that are to be trained; none where a trial cannot be tried."""
    import torch

    found, rows = _sorted(trials, known, torch.__version__)
    # of the rows that no like trial is known of, some are tried, and the rest is learned from them
    firsts = {name: alike[0] for name, alike in rows.items()}
    tried = to_try(firsts)
    if tried:
        stands = f", for {len(rows)}" if len(rows) > len(tried) else ""
        say(f"trying a few steps of {len(tried)} rows{stands} that no like trial is known of")
    answers = probe.costs(places, [firsts[name] for name in tried])
    costs = Costs(firsts)
    costs.learn(dict(zip(tried, answers, strict=True)))
    for name, facts in costs.facts.items():
        found |= _priced(rows[name], facts, costs.sources[name], known)
    return found


def _sorted(
    trials: Sequence[Trial], known: Known, torch: str
) -> tuple[dict[str, Price], dict[str, list[Trial]]]:
    """Key -> price where a like trial is known, and likeness -> the other trials."""
    found: dict[str, Price] = {}
    rows: dict[str, list[Trial]] = {}
    for trial in (trial for trial in trials if not trial.skip):
        price = known.price(trial, torch)
        if price:
            found[trial.key] = price
        else:
            words = likeness(trial.ingredients, trial.measures, torch)
            rows.setdefault(words, []).append(trial)
    return found, rows


def _priced(alike: Sequence[Trial], facts: Json, source: str, known: Known) -> dict[str, Price]:
    """Key -> price of trials that differ in seed and limit alone."""
    prices = {}
    for trial in alike:
        prices[trial.key] = Price(
            epoch=facts["epoch"],
            fixed=facts["fixed"],
            epochs=trial.budget["epochs"],
            likely_epochs=known.likely_epochs(trial),
            memory=int(facts["memory"]),
            disk=int(facts["disk"]),
            source=source,
        )
    return prices


def in_words(seconds: float) -> str:
    """ "48 s", "12 min", "3.4 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def bytes_in_words(size: float) -> str:
    """ "240 kB", "1.2 GB"."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
