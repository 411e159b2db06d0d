"""The work of a plan when several runs share a folder: each trial is claimed before it is begun,
and what another run has ended since is taken as it is.
"""

from collections import deque
from collections.abc import Callable, Iterable

from .claims import Claims
from .store import TRIAL, Store
from .trial import Trial

Attempt = tuple[Trial, int]  # a trial, and how often it was tried before
Stamp = tuple[int, int]  # what is another one once a file was replaced


class Shared:
    """The trials that this run may begin. `is_whole` says whether one is there with all that it is
    to be measured for.
    """

    def __init__(self, store: Store, is_whole: Callable[[Trial], bool]) -> None:
        self.store = store
        self.is_whole = is_whole
        self.claims = Claims(store.trials)
        self.before: dict[str, Stamp | None] = {}  # key -> the trial as this run found it

    def note(self, trials: Iterable[Trial]) -> None:
        """Remembers the trials as they are before anything is begun."""
        self.before |= {trial.key: self._stamp(trial.key) for trial in trials}

    def next(self, left: deque[Attempt], ended: Callable[[Trial], None]) -> Attempt | None:
        """The first of these that no other run is at, claimed; None where there is none. Those that
        another one has ended meanwhile are told to `ended`.
        """
        for _ in range(len(left)):
            trial, attempt = left.popleft()
            if not self.claims.take(trial.key):
                left.append((trial, attempt))  # looked at again later
            elif self.is_whole(trial) or self._was_tried(trial, attempt):
                self.claims.release(trial.key)
                ended(trial)
            else:
                return trial, attempt
        return None

    def _was_tried(self, trial: Trial, attempt: int) -> bool:
        """Whether another run has tried it in vain, since this one began."""
        if attempt or trial.key not in self.before or self.store.is_finished(trial.key):
            return False
        return self._stamp(trial.key) not in (None, self.before[trial.key])

    def _stamp(self, key: str) -> Stamp | None:
        try:
            state = (self.store.trials / key / TRIAL).stat()
        except OSError:
            return None
        return state.st_mtime_ns, state.st_ino
