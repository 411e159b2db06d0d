from .annealing import ais_log_likelihood as ais_log_likelihood, bdmc_gap as bdmc_gap
from .bounds import (
    elbo_of as elbo_of,
    importance_log_likelihood as importance_log_likelihood,
)
from .context import Evaluation as Evaluation
from .measurement import (
    builtin_metrics as builtin_metrics,
    controls as controls,
    evaluate as evaluate,
)
from .measuring import Measured as Measured, measure as measure
from .metrics.likelihood import quadrature_log_likelihood as quadrature_log_likelihood
