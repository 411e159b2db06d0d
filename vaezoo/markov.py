"""Paths of latents that see the past by z_t-1 alone, with a gradient written by hand.

    raw = a + P g(f + R z_t-1),  z_t = μ(raw) + σ(raw) e

where f and a are there for all steps. T steps come first, then N rows. As in `gru`, the way back is
a loop over z alone, and the gradient of a matrix is one product for all steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .gru import differentiable_back
from .stepwise import normals

__all__ = ["SILU", "TANH", "Activation", "markov_path"]

back = torch.ops.aten  # of an activation, from the gradient and what was kept


class Activation(NamedTuple):
    """g, and the gradient of u from that of g(u), u and g(u)."""

    of: Callable[[Tensor], Tensor]
    back: Callable[[Tensor, Tensor, Tensor], Tensor]


SILU = Activation(F.silu, lambda grad, u, _: back.silu_backward(grad, u))
TANH = Activation(torch.tanh, lambda grad, _, of_u: back.tanh_backward(grad, of_u))


class _Step(NamedTuple):
    """What the way back needs of a step."""

    before: Tensor  # z_t-1
    seen: Tensor  # f + R z_t-1
    hidden: Tensor  # g of it
    raw: Tensor


def markov_path(
    f: Tensor, a: Tensor, first: Tensor, e: Tensor, recall: Tensor, out: Tensor, g: Activation
) -> tuple[Tensor, Tensor]:
    """z (K, B, T, D) and raw (K, B, T, 2 D).

    From f (K, B, T, F), a (K, B, T, 2 D), z_0 (K, B, D), e (K, B, T, D), R (F, D) and P (2 D, F).
    """
    k = len(first)
    steps_first = (each.flatten(0, 1).transpose(0, 1) for each in (f, a))
    rows = first.flatten(0, 1)
    found = _Path.apply(*steps_first, rows, e.flatten(0, 1).transpose(0, 1), recall, out, g)
    z, raw = (each.transpose(0, 1).unflatten(0, (k, -1)) for each in found)
    return z, raw


def _run(*inputs: Any) -> tuple[tuple[Tensor, Tensor], list[_Step]]:
    f, a, z, e, recall, out, g = inputs
    drawn = []
    kept = []
    for f_t, a_t, e_t in zip(f.unbind(0), a.unbind(0), e.unbind(0), strict=True):
        seen = torch.addmm(f_t, z, recall.mT)
        hidden = g.of(seen)
        raw = torch.addmm(a_t, hidden, out.mT)
        kept.append(_Step(z, seen, hidden, raw))
        z = torch.addcmul(*_moments(raw), e_t)
        drawn.append(z)
    return (torch.stack(drawn), torch.stack([step.raw for step in kept])), kept


def _moments(raw: Tensor) -> tuple[Tensor, Tensor]:
    loc, scale = normals(raw)
    return loc, scale


class _Path(torch.autograd.Function):
    """z and raw from f, a, z_0, e, R and P."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        found, ctx.kept = _run(*inputs)
        ctx.g = inputs[-1]
        ctx.save_for_backward(*inputs[:-1])
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # somebody wants the gradient of this gradient
            return differentiable_back(lambda *inputs: _run(*inputs, ctx.g)[0], ctx, *grads)

        of_seen, of_raw, of_first = _run_back(ctx, *grads)
        before = torch.cat([step.before for step in ctx.kept])  # (T·N, D)
        hidden = torch.cat([step.hidden for step in ctx.kept])
        of_recall = of_seen.flatten(0, 1).mT @ before
        of_out = of_raw.flatten(0, 1).mT @ hidden
        return of_seen, of_raw, of_first, None, of_recall, of_out, None


def _run_back(ctx: Any, of_z: Tensor, of_raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of f + R z_t-1 and of raw (T, N, ·), and that of z_0 (N, D)."""
    _, _, first, e, recall, out = ctx.saved_tensors
    later = torch.zeros_like(first)
    trail = []
    steps = zip(of_z.unbind(0), of_raw.unbind(0), e.unbind(0), ctx.kept, strict=True)
    for of_its_z, of_its_raw, e_t, step in reversed(list(steps)):
        of_loc = of_its_z + later
        raw_scale = step.raw.chunk(2, -1)[1]
        of_scale = back.softplus_backward(of_loc * e_t, raw_scale, 1.0, 20.0)
        of_both = of_its_raw + torch.cat([of_loc, of_scale], -1)
        of_seen = ctx.g.back(of_both @ out, step.seen, step.hidden)
        later = of_seen @ recall
        trail.append((of_seen, of_both))
    of_seens, of_raws = (torch.stack(each) for each in zip(*reversed(trail), strict=True))
    return of_seens, of_raws, later
