"""The bound and the log-likelihood, in nats per x.

`elbo` is the bound itself with β = 1, whatever the model was trained with: higher is better, and
elbo = -(reconstruction_nll + kl). All columns come from the same draws of q(z|x).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from ...data.data import Data
from ...hooks import Column, Metric, Table, hookimpl
from ...networks import step_mask
from ...row_mean import RowMean
from ..baselines import INDEPENDENT, independent_log_p
from ..bounds import Estimate, estimate_all
from ..context import Evaluation
from ..faults import by_draws

DRAWS = 100  # K unless another is asked for, the same for every data set
ONE_CODE = (
    "the bound log p(x|z) + log p(z) of the one code z that the encoder gives; "
    "more draws bring it no nearer to log p(x)"
)
EXACT = "exact log p(x)"  # the control row, where it is known
NO_TAIL = "the weights are fewer than 25, or take few values: there is no tail to fit"
# columns of -log p(x) and its draws, by their first word
UPPER = ("nll", "bits", "effective", "pareto")
PER_STEP = ("elbo_per_step", "elbo_mean_per_step", "nll_per_step", "nll_mean_per_step")


def draws_for(evaluation: Evaluation) -> int:
    """K: what was asked for, else 100, whatever the data and the model."""
    return evaluation.importance_samples or DRAWS


def likelihood(evaluation: Evaluation) -> Mapping[str, float]:
    """The bound, its two halves, and the log-likelihood by importance sampling with K draws (Burda
    2016).
    """
    if evaluation.model.is_one_code and not evaluation.other_measure:
        return _of_one_code(evaluation)
    if evaluation.no_density:
        for column in ("elbo", "nll", "kl", "effective_draws", "pareto_k"):
            evaluation.say(column, evaluation.no_density)
        return _reconstruction_only(evaluation)

    k = draws_for(evaluation)
    evaluation.settings["importance_samples"] = k
    evaluation.say_given_label("likelihood_is")
    result = estimate_all(evaluation.model, evaluation.x, evaluation.c, k, evaluation.entries)
    return _columns(evaluation, result)


def _columns(evaluation: Evaluation, result: Estimate) -> dict[str, float]:
    """All columns that the draws' estimate gives."""
    by_draws(evaluation, result, evaluation.exact_log_p)
    answer = {
        "elbo": RowMean(result.elbo),
        "nll": RowMean(-result.log_likelihood),
        "kl": float(result.kl.double().mean()),
        "reconstruction_nll": RowMean(-result.log_px),
        "effective_draws": float(result.effective.double().mean()),
    }
    if result.pareto_k.isfinite().all():
        answer["pareto_k"] = RowMean(result.pareto_k)
    else:
        evaluation.say("pareto_k", NO_TAIL)
    return answer | _per_step(evaluation, result) | _bits(evaluation, result.log_likelihood)


def _of_one_code(evaluation: Evaluation) -> dict[str, float]:
    """The bound where q(z|x) is one code: log q = 0, so that kl is -log p(z), its length in nats.

    log p(x) = log Σ_z p(x|z) p(z) is no smaller than any one of its terms.
    """
    result = estimate_all(evaluation.model, evaluation.x, evaluation.c, 1, evaluation.entries)
    found = _columns(evaluation, result)
    for column in (*found, "pareto_k"):
        if column != "reconstruction_nll":
            evaluation.say(column, ONE_CODE)
    return {name: value for name, value in found.items() if name.partition("_")[0] not in UPPER}


def _reconstruction_only(evaluation: Evaluation) -> dict[str, float]:
    for column in (*PER_STEP, "bits_per_dim"):
        evaluation.say(column, evaluation.no_density)
    if evaluation.other_measure:
        evaluation.say("reconstruction_nll", evaluation.other_measure)
        return {}
    draws = 4  # a posterior without a density may still be random
    parts = [
        evaluation.model.infer(x, c, draws).log_px.double().mean(0)
        for x, c in evaluation.batches(draws)
    ]
    return {"reconstruction_nll": RowMean(-torch.cat(parts))}


def _per_step(evaluation: Evaluation, result: Estimate) -> dict[str, float]:
    """For sequences, the two other normalisations in use."""
    if not evaluation.data.spec.is_sequence:
        for column in PER_STEP:
            evaluation.say(column, "not a sequence")
        return {}
    return per_step("elbo", result.elbo, evaluation.x) | per_step(
        "nll", -result.log_likelihood, evaluation.x
    )


def per_step(name: str, of_each: Tensor, x: Tensor) -> dict[str, float]:
    """The numbers (N,) of the sequences x: their sum over all steps, and the mean of each one's
    mean over its steps.
    """
    steps = step_mask(x).sum(1).clamp_min(1).double()
    of_each = of_each.double()
    return {
        f"{name}_per_step": RowMean(of_each, steps),
        f"{name}_mean_per_step": RowMean(of_each / steps),
    }


def _bits(evaluation: Evaluation, log_likelihood: Tensor) -> dict[str, float]:
    if not evaluation.is_mass:
        evaluation.say("bits_per_dim", "p(x|z) is a density, not a probability mass")
        return {}
    seen = (~evaluation.x.isnan()).flatten(1).sum(1).double()
    return {"bits_per_dim": -float(log_likelihood.double().sum() / seen.sum()) / math.log(2)}


def controls(data: Data, split: str = "test") -> dict[str, dict[str, float]]:
    """The control rows: every entry on its own, and log p(x) where it is known, which a bound can
    pass by chance alone.
    """
    apart = independent_log_p(data, split)
    rows = {} if apart is None else {INDEPENDENT: _known(apart, ("nll",), data, split)}
    if data.exact is not None:
        rows[EXACT] = _known(data.exact(data.split(split)), ("elbo", "nll"), data, split)
    return rows


def _known(log_p: Tensor, columns: Sequence[str], data: Data, split: str) -> dict[str, float]:
    """A row of columns made of log p(x), (N,)."""
    each = {name: log_p if name == "elbo" else -log_p for name in columns}
    row = {name: float(numbers.double().mean()) for name, numbers in each.items()}
    if data.spec.is_sequence:
        for name, numbers in each.items():
            row |= per_step(name, numbers, data.split(split))
    return row


@torch.no_grad()
def quadrature_log_likelihood(
    log_joint: Callable[[Tensor], Tensor], dimensions: int, points: int = 401, radius: float = 8.0
) -> Tensor:
    """log ∫ p(x,z) dz of B rows, (B,), by the trapezoid rule on a grid over [-radius,
    radius]^dimensions.

    `log_joint` takes z (K, 1, dimensions) and gives log p(x,z), (K, B). Right for one or two
    dimensions in float64.
    """
    axis = torch.linspace(-radius, radius, points, dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * dimensions).reshape(-1, 1, dimensions)
    parts = [log_joint(piece).logsumexp(0) for piece in z.split(20_000)]
    return torch.stack(parts).logsumexp(0) + dimensions * (axis[1] - axis[0]).log()


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    nats_per_step = partial(Column, unit="nats per step", digits=3)
    columns = (
        Column("elbo", "nats", "higher", lead=1, panel=True),
        Column("nll", "nats", "lower", lead=2, panel=True),
        # by draws both may be a little below 0, see `guards`
        Column("kl", "nats", "", lead=3, panel=True, axis="rate", low=-0.1),
        Column("reconstruction_nll", "nats", "lower", lead=4, axis="distortion", rests_on="px"),
        nats_per_step("elbo_per_step", better="higher"),
        nats_per_step("elbo_mean_per_step", better="higher"),
        nats_per_step("nll_per_step", better="lower", panel=True),
        nats_per_step("nll_mean_per_step", better="lower"),
        Column("effective_draws", "", "", digits=1, low=0),
        Column("pareto_k", "", ""),
        Column("bits_per_dim", "bits/dim", "lower", digits=3, low=-0.1),
    )

    table = Table("elbo", "Likelihood", order=1, always=True, apart="likelihood_is")
    return [Metric("likelihood", columns, likelihood, table, controls=controls, rests_on="q,p,px")]
