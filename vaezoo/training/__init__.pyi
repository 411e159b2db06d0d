from .budget import Budget as Budget, Diverged as Diverged, History as History
from .training import fit as fit
