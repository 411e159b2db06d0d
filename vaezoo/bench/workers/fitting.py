"""The training of a trial: by itself, or in a stack with others of its row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...core import Model
from ...data.data import Data
from ...training.budget import Budget, History
from ...training.resume import Bookmark
from ..store import Json, Store
from ..trial import Trial
from .processes import Places
from .rebuild import build_model
from .reporting import Reporter

if TYPE_CHECKING:
    from ...training.stacks import Seat


def fitted(
    trial: Trial,
    model: Model,
    data: Data,
    report: Reporter,
    bookmark: Bookmark,
    beside: Sequence["Seat"],
) -> History:
    """Trains the model of the trial, and those that sit beside it."""
    shared: Json = {
        "seed": trial.seed,
        "budget": Budget(**trial.budget),
        "report": report,
        "device": trial.device,
        "precision": trial.precision,
        "bookmark": bookmark,
    }
    if trial.stacking < 2:
        from ...training.training import fit

        return fit(model, data, **shared)
    from ...training.stacks import fit_stacked

    return fit_stacked(model, data, places=trial.stacking, beside=beside, **shared)


def seats(places: Places, store: Store, others: Sequence[Trial]) -> list["Seat"]:
    """Where other trials sit in the stack of one; what becomes of each is kept in its state, for a
    process of its own.
    """
    if not others:
        return []
    from ...training.stacks import Seat

    found = []
    for other in others:
        state = store.state(other.key)
        bookmark = Bookmark(state, {"key": other.key}, beside=1 + len(others))
        found.append(Seat(build_model(places, other), other.seed, bookmark=bookmark))
    return found
