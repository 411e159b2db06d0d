"""Which trials of a plan one process trains together: seeds of one row, as many as a stack has
places.

The first of them leads: its process trains them all, and ends as its trial. The others wait; what
was trained of them lies in the states that long trainings keep, from which each then goes on, in a
process of its own, to its evaluation. So a trial of a stack is claimed, killed, resumed and stored
as any other. Where a leader died or failed, all of them are trained one by one, so that what one of
them did costs that one.
"""

from collections import deque
from collections.abc import Callable

from .sharing import Attempt, Shared
from .trial import Trial, canonical


class Stacking:
    """Of one run; in a queue, trials have tickets in place of claims. `is_again` says of a key that
    its trial is measured again, not trained.
    """

    def __init__(self, shared: Shared, is_again: Callable[[str], bool], queues: bool) -> None:
        self.shared = shared
        self.is_again = is_again
        self.queues = queues
        self.waiting: dict[str, list[Attempt]] = {}  # leader's key -> those that it trains too
        self.was_in_one = set[str]()  # keys: their turn in a stack is over

    def lead(self, trial: Trial, left: deque[Attempt]) -> tuple[Trial, ...]:
        """Those of `left` that are trained beside this trial, which wait from now on."""
        if trial.stacking < 2 or trial.key in self.was_in_one or self.is_again(trial.key):
            return ()
        row = _row(trial)
        chosen: list[Attempt] = []
        for one in list(left):
            if len(chosen) + 1 == trial.stacking:
                break
            if self._goes_with(row, one[0]) and self._may_take(one[0]):
                left.remove(one)
                chosen.append(one)
        self.was_in_one |= {trial.key, *(other.key for other, _ in chosen)}
        self.waiting[trial.key] = chosen
        return tuple(other for other, _ in chosen)

    def _goes_with(self, row: str, other: Trial) -> bool:
        is_new = other.key not in self.was_in_one
        return other.stacking > 1 and is_new and _row(other) == row

    def _may_take(self, trial: Trial) -> bool:
        """Whether it is this run's to train, which claims it."""
        if self.is_again(trial.key):
            return False
        if not self.queues and not self.shared.claims.take(trial.key):
            return False
        is_left = not self.shared.store.is_finished(trial.key)
        if not is_left:  # another run was faster; its turn comes by itself
            self.shared.claims.release(trial.key)
        return is_left

    def let_go(self, trial: Trial, left: deque[Attempt]) -> bool:
        """Puts those that waited for this trial first; whether there were any."""
        others = self.waiting.pop(trial.key, [])
        left.extendleft(reversed(others))
        return bool(others)


def _row(trial: Trial) -> str:
    """What trials that differ in the seed alone have in common."""
    return canonical({name: value for name, value in trial.ingredients.items() if name != "seed"})
