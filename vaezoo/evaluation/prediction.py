"""What a model of sequences says of x_t given x_<t, and how far it strays when it goes on from its own draws.

K draws, B rows, T steps, C channels. A `Stepwise` model is advanced by a particle filter whose particles are drawn from
p(z_t|s_t), never from q, because some q see the future. Any other model infers its latent anew from the steps before t.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Model, Unsupported
from ..distributions import at_centre
from ..fivo import chosen
from ..stepwise import Stepwise, as_steps


def predictions(
    model: Model, x: Tensor, c: Tensor | None, start: int, stop: int, k: int, has_gaps: bool = True
) -> tuple[Tensor, Tensor]:
    """E[x_t|x_<t] and E[x_t|x_<start] for t in start … stop-1, (B, stop - start, C) each, from k draws.

    The first is one step ahead of real data (teacher forcing), the second goes on from the model's own draws.
    Raises: Unsupported for a model with latents step by step that cannot be advanced, and, where no step of the data can
    be withheld from a model by NaN, for one that sees x_t when it is to say what x_t will be.
    """
    if isinstance(model, Stepwise):
        return _filtered(model, x, start, stop, k)
    blank = math.nan if has_gaps else 0.0
    _must_predict(model, x, c, start, has_gaps)
    forced = [_at(model, x, c, t, k, blank)[0].mean(0) for t in range(start, stop)]
    return torch.stack(forced, 1), _free(model, x, c, start, stop, k, blank)


def _must_predict(model: Model, x: Tensor, c: Tensor | None, start: int, has_gaps: bool) -> None:
    one = x[:1], None if c is None else c[:1]
    if any(latent.stepwise for latent in model.infer(*one).latents):
        raise Unsupported("it has a latent at every step and no step function: no prediction from the past alone")
    if not has_gaps and not _is_causal(model, *one, start):
        raise Unsupported("it reads x whole, and no step of this data can be withheld from it")


def _is_causal(model: Model, x: Tensor, c: Tensor | None, t: int) -> bool:
    """Whether p(x_t|x_<t, z) is the same whatever x_t is, with nothing behind it."""
    with at_centre():
        means = [model.infer(_blanked(x, t, value), c).px.mean[:, :, t] for value in (0.0, 1.0)]
    return bool(means[0].isfinite().all() and torch.equal(*means))


def _blanked(x: Tensor, t: int, blank: float) -> Tensor:
    """x (B, T, C) up to step t, which is blank: (B, t + 1, C)."""
    return F.pad(x[:, :t], (0, 0, 0, 1), value=blank)


def _at(model: Model, x: Tensor, c: Tensor | None, t: int, k: int, blank: float) -> tuple[Tensor, Tensor]:
    """Mean and a draw of p(x_t|x_<t, z), (k, B, C) each, with z inferred from x_<t."""
    px = model.infer(_blanked(x, t, blank), c, k).px
    return px.mean[:, :, t], px.sample()[:, :, t]


def _free(model: Model, x: Tensor, c: Tensor | None, start: int, stop: int, k: int, blank: float) -> Tensor:
    paths = x[:, :start].repeat(k, 1, 1)
    c = None if c is None else c.repeat(k, 1)
    means = []
    for t in range(start, stop):
        mean, drawn = _at(model, paths, c, t, 1, blank)
        means.append(mean[0].unflatten(0, (k, -1)).mean(0))
        paths = torch.cat([paths, drawn[0][:, None]], 1)
    return torch.stack(means, 1)


def _filtered(model: Stepwise, x: Tensor, start: int, stop: int, k: int) -> tuple[Tensor, Tensor]:
    steps, full, _ = as_steps(x[:, :stop], model.spec)
    inputs = model.inputs(full)
    state, even = model.start(k, len(x), inputs), inputs.new_full((k, len(x)), -math.log(k))
    forced, ahead = [], torch.empty(0)
    for t in range(stop):
        if t == start:
            ahead = _onward(model, state, stop - start)
        p = model.p(state)
        z = p.loc + p.scale * torch.randn_like(p.loc)
        px = model.emission(state, z)
        forced.append(px.mean.mean(0))  # the particles have equal weights: they are resampled after every step
        log_w = even + px.log_prob(steps[:, t])
        state = chosen(model.advance(state, inputs[:, t], z), log_w - log_w.logsumexp(0))
    return torch.stack(forced[start:], 1), ahead


def _onward(model: Stepwise, state: Tensor, steps: int) -> Tensor:
    """(B, steps, C): the mean over K paths that go on from state (K, B, S) with their own draws."""
    k, rows = state.shape[:2]
    state, means = state.flatten(0, 1)[None], []
    for _ in range(steps):
        p = model.p(state)
        z = p.loc + p.scale * torch.randn_like(p.loc)
        px = model.emission(state, z)
        means.append(px.mean[0].unflatten(0, (k, rows)).mean(0))
        state = model.advance(state, model.inputs(px.sample()[0][:, None], state)[:, 0], z)
    return torch.stack(means, 1)
