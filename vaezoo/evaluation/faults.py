"""Which of a model's densities is broken: "q" for q(z|x), "p" for p(z), "px" for p(x|z).

Numbers that rest on a broken one are refused with it, whatever metric gives them
(`Column.rests_on`). Where log q - log p(z) cannot be, either may be wrong. "q" then stands for
both, unless p(z) is seen to be wrong on its own.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from ..core import VAE
from ..distributions import Drawable
from .bounds import Estimate, estimate_all
from .context import Evaluation
from .guards import (
    bound_too_high,
    elbo_off_its_draws,
    kl_below_zero,
    mass_above_one,
    prior_mass_above_one,
    without_numbers,
)

ROWS = 100
DRAWS = 8  # of q(z|x) a row
CODES = 1000  # draws of p(z)


def examine(evaluation: Evaluation) -> Mapping[str, float]:
    """Looks at a part of the rows, for metrics that do not look themselves; no number."""
    rows, x, c = evaluation.part(ROWS)
    if evaluation.no_density:
        log_px = evaluation.model.infer(x, c).log_px[0]
        evaluation.distrust("px", without_numbers("log p(x|z)", log_px))
        return {}
    found = estimate_all(evaluation.model, x, c, DRAWS, evaluation.entries)
    exact = evaluation.exact_log_p
    by_draws(evaluation, found, None if exact is None else exact[rows])
    return {}


def by_draws(evaluation: Evaluation, result: Estimate, exact: Tensor | None) -> None:
    """What p(z) and draws of q(z|x) say; `exact` is log p(x) of their rows, where it is known."""
    evaluation.is_examined = True
    seen = result.witness
    bound = result.log_likelihood
    is_mass = evaluation.is_mass
    evaluation.distrust("p", _of_prior(evaluation))
    evaluation.distrust("px", without_numbers("log p(x|z)", result.log_px))
    evaluation.distrust("px", mass_above_one(seen) if is_mass else "")

    # what p(z) or p(x|z) explain is no sign against q(z|x)
    name = "the importance-weighted bound"
    if "p" not in evaluation.faults:
        evaluation.distrust("q", without_numbers("KL", result.kl))
        evaluation.distrust("q", kl_below_zero(seen))
        evaluation.distrust("q", elbo_off_its_draws(result.elbo, result.kl, bound, seen))
    if not evaluation.faults:
        evaluation.distrust("q", bound_too_high(name, bound, seen.mean_size, is_mass, exact))


def _of_prior(evaluation: Evaluation) -> str:
    """Whether p(z) integrates to more than 1, by draws of a Normal with its moments; of priors over
    vectors of real numbers that are one for all rows.
    """
    model = evaluation.model
    if not isinstance(model, VAE) or model.is_one_code or evaluation.is_conditional:
        return ""
    with evaluation.noise("faults of the prior"), torch.no_grad():
        p = model.prior(None)
        is_plain = p.batch_shape.numel() == 1 and not (isinstance(p, Drawable) or _is_discrete(p))
        if model.prior.space != "real" or not is_plain:
            return ""

        # a Normal's own draws, so that E p/r is the integral of p
        z = p.sample(torch.Size((CODES,)))
        beside = Normal(z.mean(0), z.std(0).clamp_min(1e-6))
        z = beside.sample(torch.Size((CODES,)))
        log_r = beside.log_prob(z).reshape(CODES, -1).sum(1)
        return prior_mass_above_one(p.log_prob(z).reshape(CODES), log_r)


def _is_discrete(p: Distribution) -> bool:
    try:
        return bool(p.support.is_discrete)  # type: ignore[union-attr]
    except (NotImplementedError, AttributeError):
        return False
