"""What a model of sequences says of x_t given x_<t, and where it goes when it goes on from its own
draws.

K draws, B rows, T steps, C channels. A `Stepwise` model is advanced by a particle filter. Half of
its particles are drawn from p(z_t|s_t), half from a q that is shown x_1 … x_t and nothing later.
Any other model infers its latent anew from the steps before t.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Model, Unsupported
from ..distributions import at_centre
from ..fivo import resampled
from ..stepwise import Stepwise, as_steps

QUANTILES = (0.05, 0.5, 0.95)
# a further draw lies below the r-th smallest of K with probability r/(K + 1): r = 5, 50, 95 are
# exact
PATHS = 99


class Paths(NamedTuple):
    """K ways on from x_<start, (K, B, steps, C) each."""

    draws: Tensor  # of x_t
    means: Tensor  # of p(x_t|z_t, …), of which the draws were taken


def predictions(
    model: Model, x: Tensor, c: Tensor | None, start: int, stop: int, k: int, has_gaps: bool = True
) -> tuple[Tensor, Tensor]:
    """E[x_t|x_<t] and E[x_t|x_<start] for t in start … stop-1, (B, stop - start, C) each, from k
    draws.

    The first is one step ahead of real data (teacher forcing), the second goes on from the model's
    own draws. Raises: Unsupported as `draws_of_means` does.
    """
    forced, free = draws_of_means(model, x, c, start, stop, k, has_gaps)
    return forced.mean(0), free.mean(0)


def draws_of_means(
    model: Model, x: Tensor, c: Tensor | None, start: int, stop: int, k: int, has_gaps: bool = True
) -> tuple[Tensor, Tensor]:
    """k draws of the mean of p(x_t|x_<t, z) and of p(x_t|x_<start, z), (K, B, stop - start, C)
    each, whose means are `predictions`.

    Raises: Unsupported for a model with latents step by step that cannot be advanced, and, where no
    step of the data can be withheld from a model by NaN, for one that sees x_t when it is to say
    what x_t will be.
    """
    if isinstance(model, Stepwise):
        forced, paths = _filtered(model, x[:, :stop], start, stop, k)
    else:
        blank = _must_predict(model, x, c, start, has_gaps)
        forced = [_at(model, x, c, t, k, blank)[0] for t in range(start, stop)]
        paths = _free(model, x, c, start, stop, k, blank)
    return torch.stack(forced, 2), paths.means


def squared_error(draws: Tensor, x: Tensor) -> Tensor:
    """(x - E x̂)² of the mean prediction E x̂, without the noise of its K draws (K, …): the mean's
    own variance, s²/K, is taken off, so that K does not move the error. No bias where draws are
    independent.
    """
    return (x - draws.mean(0)).square() - draws.var(0) / len(draws)


def forecast(
    model: Model,
    x: Tensor,
    c: Tensor | None,
    start: int,
    stop: int,
    k: int = PATHS,
    has_gaps: bool = True,
) -> Paths:
    """k ways on from x_<start for the steps start … stop-1; no later step of x is looked at.

    Raises: Unsupported as `predictions` does.
    """
    past = x[:, :start]
    if isinstance(model, Stepwise):
        return _filtered(model, past, start, stop, k)[1]
    return _free(model, past, c, start, stop, k, _must_predict(model, x, c, start, has_gaps))


def quantiles(draws: Tensor) -> Tensor:
    """(K, …) -> (3, …): the draws below which a further one lies with probability 5, 50 and 95 %;
    exact for 99 draws.
    """
    ranks = [min(max(round(p * (len(draws) + 1)), 1), len(draws)) for p in QUANTILES]
    return draws.sort(0).values[[rank - 1 for rank in ranks]]


def _must_predict(model: Model, x: Tensor, c: Tensor | None, start: int, has_gaps: bool) -> float:
    """What is put in place of a step that the model must not see.

    Raises: Unsupported where that would not make it a prediction.
    """
    one = x[:1], None if c is None else c[:1]
    if any(latent.stepwise for latent in model.infer(*one).latents):
        raise Unsupported(
            "it has a latent at every step and no step function: no prediction from the past alone"
        )
    if not has_gaps and not _is_causal(model, *one, start):
        raise Unsupported("it reads x whole, and no step of this data can be withheld from it")
    return math.nan if has_gaps else 0.0


def _is_causal(model: Model, x: Tensor, c: Tensor | None, t: int) -> bool:
    """Whether p(x_t|x_<t, z) is the same whatever x_t is, with nothing behind it."""
    with at_centre():
        means = [model.infer(_blanked(x, t, value), c).px.mean[:, :, t] for value in (0.0, 1.0)]
    return bool(means[0].isfinite().all() and torch.equal(*means))


def _blanked(x: Tensor, t: int, blank: float) -> Tensor:
    """x (B, T, C) up to step t, which is blank: (B, t + 1, C)."""
    return F.pad(x[:, :t], (0, 0, 0, 1), value=blank)


def _at(
    model: Model, x: Tensor, c: Tensor | None, t: int, k: int, blank: float
) -> tuple[Tensor, Tensor]:
    """Mean and a draw of p(x_t|x_<t, z), (k, B, C) each, with z inferred from x_<t."""
    px = model.infer(_blanked(x, t, blank), c, k).px
    return px.mean[:, :, t], px.sample()[:, :, t]


def _free(
    model: Model, x: Tensor, c: Tensor | None, start: int, stop: int, k: int, blank: float
) -> Paths:
    path = x[:, :start].repeat(k, 1, 1)
    c = None if c is None else c.repeat(k, 1)
    means = []
    for t in range(start, stop):
        mean, drawn = _at(model, path, c, t, 1, blank)
        means.append(mean[0])
        path = torch.cat([path, drawn[0][:, None]], 1)
    return _paths(path[:, start:], torch.stack(means, 1), k)


def _paths(draws: Tensor, means: Tensor, k: int) -> Paths:
    """From (k·B, steps, C) each, the draws of a row k places apart."""
    return Paths(*(each.unflatten(0, (k, -1)) for each in (draws, means)))


def _filtered(
    model: Stepwise, x: Tensor, start: int, stop: int, k: int
) -> tuple[list[Tensor], Paths]:
    """The mean of p(x_t|x_<t, z) for t = start … T-1, (K, B, C) each, and k ways on from x_<start
    to `stop`.
    """
    x, full, _ = as_steps(x, model.spec)
    seen = model.inputs(full)
    state = model.start(k, len(x), seen)
    forced = list[Tensor]()
    for t in range(start):
        _, state = _filter(model, state, seen, x[:, : t + 1])
    paths = _onward(model, state, stop - start)
    for t in range(start, x.shape[1]):
        means, state = _filter(model, state, seen, x[:, : t + 1])
        forced.append(means)
    return forced, paths


def _filter(model: Stepwise, state: Tensor, seen: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The means of p(x_t|x_<t, z) (K, B, C), and the states (K, B, S) after x_1 … x_t (B, t, C), of
    equal weight because they are resampled.
    """
    p = model.p(state)
    z = p.loc + p.scale * torch.randn_like(p.loc)
    means = model.emission(state, z).mean

    # half of the particles are from q, which knows x_t and makes the weights even
    q = model.q(state, model.sight(x).features[:, -1])
    from_p = (len(z) + 1) // 2
    z = torch.cat([z[:from_p], (q.loc + q.scale * torch.randn_like(q.loc))[from_p:]])
    log_p = p.log_prob(z)
    log_proposal = _log_of_both(log_p, q.log_prob(z), from_p)
    log_w = model.emission(state, z).log_prob(x[:, -1]) + log_p - log_proposal
    after = model.advance(state, seen[:, x.shape[1] - 1], z)
    return means, resampled(after, log_w - log_w.logsumexp(0))


def _log_of_both(log_p: Tensor, log_q: Tensor, from_p: int) -> Tensor:
    """log of the density (K, B) of K particles, of which so many are from p and the others from q:
    the balance heuristic (Veach & Guibas 1995), whose p keeps the weights bounded.
    """
    log_shares = log_p.new_tensor([from_p, len(log_p) - from_p]).log()
    return torch.logaddexp(log_shares[0] + log_p, log_shares[1] + log_q)


def _onward(model: Stepwise, state: Tensor, steps: int) -> Paths:
    """K ways on from state (K, B, S)."""
    k = len(state)
    state = state.flatten(0, 1)[None]
    means = []
    draws = []
    for _ in range(steps):
        p = model.p(state)
        z = p.loc + p.scale * torch.randn_like(p.loc)
        px = model.emission(state, z)
        drawn = px.sample()[0]
        means.append(px.mean[0])
        draws.append(drawn)
        state = model.advance(state, model.inputs(drawn[:, None], state)[:, 0], z)
    return _paths(torch.stack(draws, 1), torch.stack(means, 1), k)
