"""Several seeds of one model trained as one, on a leading axis of seeds: `train_stack`.

Every seed draws what it draws alone, sees the minibatches that it sees alone, and stops where it
stops alone; its weights are those of `fit` to rounding.
"""

from .fitting import fit_stacked, train_stack
from .reasons import why_alone
from .seats import Seat

__all__ = ["Seat", "fit_stacked", "train_stack", "why_alone"]
