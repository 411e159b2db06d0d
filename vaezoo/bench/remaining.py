"""How long a run has still to go, by the clock.

A trial is expected to take what trials of its row took in this run. Of a row that is new its price
is known: the time of an epoch is corrected by how fast the run has been, the number of epochs by
where training stopped in the rows that have ended.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from .price import Price, in_words
from .trial import Trial, canonical

# Of rows whose stops are priced at the limit this part is expected, and few rows correct it.
OF_LIMIT = 0.7
WEIGHT = 6  # rows that what was expected counts for


@dataclass
class TimeLeft:
    """Of the trials `left`, `jobs` of them side by side. A price may be missing."""

    left: dict[str, Trial]  # by their keys
    prices: Mapping[str, Price]
    jobs: int
    took: dict[str, list[float]] = field(default_factory=dict)  # row -> seconds of each
    paid: float = 0.0  # seconds that trials with a price took
    priced: float = 0.0  # and what their epochs were to take
    # whether a stop was known -> row -> epochs, as a part of those of the price
    stops: dict[bool, dict[str, float]] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)  # key -> row
    began: dict[str, float] = field(default_factory=dict)  # key -> by the clock

    def begun(self, key: str) -> None:
        """The trial was handed to the executor."""
        self.began[key] = time.monotonic()

    def since(self, key: str) -> float:
        """Seconds since it was."""
        return time.monotonic() - self.began[key]

    def ended(self, trial: Trial, seconds: float, epochs: int = 0) -> None:
        """The trial has ended, took so long, and was trained for so many epochs (0: not said)."""
        self.left.pop(trial.key, None)
        self.took.setdefault(self._row(trial), []).append(seconds)
        price = self.prices.get(trial.key)
        if price and epochs:
            self.paid += seconds
            self.priced += price.fixed + price.epoch * epochs
            stops = self.stops.setdefault(price.knows_stop, {})
            stops[self._row(trial)] = epochs / price.expected_epochs

    def seconds(self, running: Iterable[tuple[Trial, float, int]] = ()) -> float | None:
        """Until the last trial ends; None where nothing is known yet. Of those that run, the
        seconds since they began and the epoch that they are in.
        """
        expected = {key: self._expected(trial) for key, trial in self.left.items()}
        for trial, since, epoch in running:
            if trial.key in expected:
                expected[trial.key] = self._rest(trial, expected[trial.key], since, epoch)
        known = [seconds for seconds in expected.values() if seconds is not None]
        if not known:
            return None if expected else 0.0
        mean = statistics.mean(known)
        every = [mean if seconds is None else seconds for seconds in expected.values()]
        return max(sum(every) / self.jobs, max(every))

    def words(self, running: Iterable[tuple[Trial, float, int]] = ()) -> str:
        """ "12 min left"; "" where nothing is known."""
        seconds = self.seconds(running)
        return f"{in_words(seconds)} left" if seconds else ""

    def running(self, epoch_of: Callable[[str], int]) -> list[tuple[Trial, float, int]]:
        """Those that were handed over and have not ended, as `seconds` takes them; `epoch_of` is
        asked for the epoch that the trial of a key is in.
        """
        keys = [key for key in self.began if key in self.left]
        return [(self.left[key], self.since(key), epoch_of(key)) for key in keys]

    def _expected(self, trial: Trial) -> float | None:
        """Seconds of the whole trial."""
        like = self.took.get(self._row(trial))
        if like:
            return statistics.mean(like)
        price = self.prices.get(trial.key)
        if price:
            epochs = price.expected_epochs * self._stop(price.knows_stop)
            speed = self.paid / self.priced if self.priced else 1.0
            return speed * (price.fixed + price.epoch * min(epochs, price.epochs))
        every = [statistics.mean(seconds) for seconds in self.took.values()]
        return statistics.mean(every) if every else None

    def _stop(self, is_known: bool) -> float:
        """The part of the epochs of a price after which training stops in this run."""
        seen = self.stops.get(is_known, {})
        before = WEIGHT * (1.0 if is_known else OF_LIMIT)
        return (before + sum(seen.values())) / (WEIGHT + len(seen))

    def _rest(self, trial: Trial, whole: float | None, since: float, epoch: int) -> float | None:
        """Seconds that a running trial has still to go: what is left of the whole, or, where it has
        run for longer, or nothing is known, what its epochs up to the limit will take.
        """
        if whole is not None and since < whole:
            return whole - since
        return since / epoch * (trial.budget["epochs"] - epoch) if epoch else whole

    def _row(self, trial: Trial) -> str:
        """What trials that differ in the seed alone have in common."""
        if trial.key not in self.rows:
            facts = {name: v for name, v in trial.ingredients.items() if name != "seed"}
            self.rows[trial.key] = canonical(facts)
        return self.rows[trial.key]
