"""What q(z|x) loses: by being a Normal at all, and by being read off x in one passage.

log p(x) - L[q] = (log p(x) - L[q*]) + (L[q*] - L[q]), where q* is the best Normal of independent
units for each x on its own (Cremer, Li & Duvenaud 2018, arXiv:1801.03558, eqs. 3 and 4).
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, distributions as D

from ...core import VAE, Unsupported, require_parts
from ...distributions import normal
from ...hooks import Column, Metric, Table, hookimpl
from ..annealing import ais_log_likelihood
from ..context import Evaluation

ROWS = 32
CHAINS = 16
TEMPERATURES = 200
STEPS = 400  # of Adam, whose rate falls to 0
RATE = 0.05
DRAWS = 16  # of each q at each step
JUDGED = 1000  # draws by which a bound is measured


def inference_gaps(evaluation: Evaluation) -> Mapping[str, float]:
    """log p(x) by annealed importance sampling less the bound of the best Normal for each x, and
    that bound less the encoder's, on 32 rows.
    """
    if evaluation.no_density:
        raise Unsupported(evaluation.no_density)
    if evaluation.is_conditional:
        raise Unsupported("it is told the label")
    vae = require_parts(evaluation.model, "the inference gap")
    _, x, c = evaluation.part(ROWS)
    loc, scale = _units(vae.infer(x, c).latents[0].q, len(x))

    evaluation.settings |= {"gap_rows": len(x), "gap_steps": STEPS}
    log_p = ais_log_likelihood(vae, x, c, CHAINS, TEMPERATURES)
    best = best_normal(vae, x, c, loc, scale)
    amortised, ideal = (bound(vae, x, c, *one, draws=JUDGED) for one in ((loc, scale), best))
    return {
        "approximation_gap": float((log_p - ideal).double().mean()),
        "amortisation_gap": float((ideal - amortised).double().mean()),
    }


def _units(q: D.Distribution, rows: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of q(z|x), (B, *event) each.

    Raises: Unsupported where it is no Normal of independent units.
    """
    if not (isinstance(q, D.Independent) and isinstance(q.base_dist, D.Normal)):
        raise Unsupported("q(z|x) is no Normal of independent units")
    shape = rows, *q.event_shape
    return q.base_dist.loc.reshape(shape), q.base_dist.scale.reshape(shape)


def bound(vae: VAE, x: Tensor, c: Tensor | None, loc: Tensor, scale: Tensor, draws: int) -> Tensor:
    """(B,): E log p(x|z) + log p(z) - log q(z) over draws of N(loc, scale²)."""
    q = normal(loc, scale, loc.ndim - 1)
    z = q.rsample(torch.Size((draws,)))
    return (vae.decoder(z, c).log_prob(x) + vae.prior(c).log_prob(z) - q.log_prob(z)).mean(0)


@torch.enable_grad()
def best_normal(
    vae: VAE, x: Tensor, c: Tensor | None, loc: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the Normal of independent units with the largest bound, for each x on
    its own, found from the encoder's.
    """
    loc = loc.detach().clone().requires_grad_()
    log_scale = scale.detach().log().clone().requires_grad_()
    adam = torch.optim.Adam([loc, log_scale], RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS)

    of = partial(bound, vae, x, c, draws=DRAWS)
    for _ in range(STEPS):
        slopes = torch.autograd.grad(-of(loc, log_scale.exp()).sum(), [loc, log_scale])
        loc.grad, log_scale.grad = slopes  # the model's own gradients stay as they are
        adam.step()
        schedule.step()
    return loc.detach(), log_scale.detach().exp()


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = (
        Column("approximation_gap", "nats", ""),
        Column("amortisation_gap", "nats", ""),
    )
    table = Table("gaps", "Inference gaps")
    return [Metric("inference_gaps", columns, inference_gaps, table, asked=True, rests_on="q,p,px")]
