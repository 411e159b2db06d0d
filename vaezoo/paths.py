"""Paths of latents that a recurrent state q sees, with a gradient written by hand.

    raw = p + P silu(f + R s),  z = μ(raw) + σ(raw) e,  s' = GRU(s; k + W silu(V z + v))

where f, what q sees of x, and k, what the state sees of it, are there for all steps. Inside, T
steps come first, then N = K B rows. As in `gru`, the way back is a loop over s alone, and the
gradient of a matrix is one product for all steps.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .gru import by_hand, differentiable_back
from .recurrent import Gates
from .stepwise import Path, Seen, Stepwise, noise_of_steps, normals

__all__ = ["gated_path"]

back = torch.ops.aten  # of an activation, from the gradient and what was kept


def gated_path(
    model: Stepwise,
    seen: Seen,
    k: int,
    recall: nn.Linear,
    posterior: nn.Linear,
    embed: nn.Linear,
    gates: Gates,
) -> Path:
    """`Stepwise.path` of a model with `q` = normals(posterior(silu(feature + recall(state)))) and
    `advance` = gates(state, inputs, silu(embed(z))).
    """
    if not by_hand(seen.features):
        return Stepwise.path(model, seen, k)
    state = model.begin(k, len(seen.x), seen.features)
    found = _Path.apply(
        _steps_first(seen.features, k),
        _steps_first(seen.inputs, k),
        state.flatten(0, 1),
        _noise(state, seen.x.shape[1], posterior.out_features // 2),
        *_weights(recall, posterior, embed, gates),
    )
    # (T, K·B, ·) -> (K, B, T, ·)
    states, z, raw = (each.transpose(0, 1).unflatten(0, (k, -1)) for each in found)
    model.end(states[:, :, -1])
    before = states[:, :, :-1]
    return before, z, normals(raw), model.emit(before, z)


def _noise(state: Tensor, steps: int, width: int) -> Tensor:
    """e (T, K·B, D), like a state (K, B, S)."""
    e = noise_of_steps(state[:, :, None, :1].expand(-1, -1, steps, width))  # (K, B, T, D)
    return e.flatten(0, 1).transpose(0, 1)


def _steps_first(each: Tensor, k: int) -> Tensor:
    """(B, T, F) -> (T, K·B, F)."""
    return each.expand(k, *each.shape).flatten(0, 1).transpose(0, 1)


class _Weights(NamedTuple):
    """The matrices and biases of the formula, for z and for s'."""

    recall: Tensor  # R
    out: Tensor  # P
    out_bias: Tensor
    embed: Tensor  # V
    embed_bias: Tensor
    drawn: Tensor  # W
    state: Tensor  # of s, in the GRU
    state_bias: Tensor


def _weights(recall: nn.Linear, posterior: nn.Linear, embed: nn.Linear, gates: Gates) -> _Weights:
    """Of the layers that `gated_path` is given."""
    return _Weights(
        recall=recall.weight,
        out=posterior.weight,
        out_bias=posterior.bias,
        embed=embed.weight,
        embed_bias=embed.bias,
        drawn=gates.w_drawn,
        state=gates.w_state,
        state_bias=gates.b_state,
    )


class _Drawn(NamedTuple):
    """z_t, and what the way back needs of it."""

    s: Tensor
    e: Tensor
    seen: Tensor  # f + R s
    hidden: Tensor  # silu of it
    raw: Tensor
    z: Tensor


class _Moved(NamedTuple):
    """s_t+1, and what the way back needs of it."""

    embedded: Tensor  # V z + v
    hidden: Tensor  # silu of it
    ru: Tensor
    n: Tensor
    behind: Tensor  # U_n s + b
    s: Tensor


def _draw(s: Tensor, f: Tensor, e: Tensor, w: _Weights) -> _Drawn:
    seen = torch.addmm(f, s, w.recall.mT)
    hidden = F.silu(seen)
    raw = torch.addmm(w.out_bias, hidden, w.out.mT)
    loc, scale = normals(raw)
    return _Drawn(s, e, seen, hidden, raw, torch.addcmul(loc, scale, e))


def _move(s: Tensor, z: Tensor, known: Tensor, w: _Weights) -> _Moved:
    embedded = torch.addmm(w.embed_bias, z, w.embed.mT)
    hidden = F.silu(embedded)
    ahead = torch.addmm(known, hidden, w.drawn.mT)
    behind = torch.addmm(w.state_bias, s, w.state.mT)
    ahead_ru, ahead_n = ahead.split([2 * s.shape[-1], s.shape[-1]], -1)
    behind_ru, behind_n = behind.split([2 * s.shape[-1], s.shape[-1]], -1)
    ru = torch.sigmoid(ahead_ru + behind_ru)
    r, u = ru.chunk(2, -1)
    n = torch.addcmul(ahead_n, r, behind_n).tanh()
    return _Moved(embedded, hidden, ru, n, behind_n, torch.lerp(n, s, u))


def _run(*inputs: Tensor) -> tuple[tuple[Tensor, ...], list[tuple[_Drawn, _Moved]]]:
    """States (T + 1, N, S), z (T, N, D) and raw (T, N, 2 D); and what is kept of each step."""
    w = _Weights(*inputs[4:])
    s = inputs[2]
    states = [s]
    kept = []
    steps = zip(inputs[0].unbind(0), inputs[1].unbind(0), inputs[3].unbind(0), strict=True)
    for f, known, e in steps:
        drawn = _draw(s, f, e, w)
        moved = _move(s, drawn.z, known, w)
        kept.append((drawn, moved))
        s = moved.s
        states.append(s)
    z = torch.stack([drawn.z for drawn, _ in kept])
    raw = torch.stack([drawn.raw for drawn, _ in kept])
    return (torch.stack(states), z, raw), kept


class _Path(torch.autograd.Function):
    """States, z and raw from f (T, N, F), k (T, N, 3 S), s_1 (N, S), e (T, N, D) and weights."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, ...]:
        found, ctx.kept = _run(*inputs)
        ctx.save_for_backward(*inputs)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # somebody wants the gradient of this gradient
            return differentiable_back(lambda *inputs: _run(*inputs)[0], ctx, *grads)

        of_seen, of_raw, of_embedded, of_ahead, of_behind, of_first = _run_back(ctx, *grads)
        # what the matrices were applied to, (T·N, ·)
        s = torch.cat([drawn.s for drawn, _ in ctx.kept])
        hidden = torch.cat([drawn.hidden for drawn, _ in ctx.kept])
        z = torch.cat([drawn.z for drawn, _ in ctx.kept])
        embedded = torch.cat([moved.hidden for _, moved in ctx.kept])
        return (
            of_seen,
            of_ahead,
            of_first,
            None,
            _of_matrix(of_seen, s),
            _of_matrix(of_raw, hidden),
            of_raw.sum((0, 1)),
            _of_matrix(of_embedded, z),
            of_embedded.sum((0, 1)),
            _of_matrix(of_ahead, embedded),
            _of_matrix(of_behind, s),
            of_behind.sum((0, 1)),
        )


def _of_matrix(of_out: Tensor, inputs: Tensor) -> Tensor:
    """The gradient of A (O, I) in A x, from that of all products (T, N, O) and all x (T·N, I)."""
    return of_out.flatten(0, 1).mT @ inputs


def _run_back(ctx: Any, of_states: Tensor, of_z: Tensor, of_raw: Tensor) -> tuple[Tensor, ...]:
    """The gradients of all that enters a silu, raw or a gate (T, N, ·), and that of s_1."""
    w = _Weights(*ctx.saved_tensors[4:])
    *before, g = of_states.unbind(0)
    trail = []
    steps = zip(before, of_z.unbind(0), of_raw.unbind(0), ctx.kept, strict=True)
    for of_s, of_its_z, of_its_raw, (drawn, moved) in reversed(list(steps)):
        of_embedded, of_ahead, of_behind, through = _move_back(g, drawn.s, moved, w)
        of_drawn = torch.addmm(of_its_z, of_embedded, w.embed)
        of_seen, of_all_raw = _draw_back(of_drawn, of_its_raw, drawn, w)
        g = torch.addmm(of_s + through, of_behind, w.state).addmm_(of_seen, w.recall)
        trail.append((of_seen, of_all_raw, of_embedded, of_ahead, of_behind))
    return *(torch.stack(each) for each in zip(*reversed(trail), strict=True)), g


def _move_back(g: Tensor, s: Tensor, moved: _Moved, w: _Weights) -> tuple[Tensor, ...]:
    """The gradients of V z + v, of k + W silu(…) and of U s + b, and that of s by the lerp."""
    r, u = moved.ru.chunk(2, -1)
    through = g * u
    of_n = back.tanh_backward(g - through, moved.n)
    of_ru = torch.cat([of_n * moved.behind, g * (s - moved.n)], -1)
    of_ru = back.sigmoid_backward(of_ru, moved.ru)
    of_ahead = torch.cat([of_ru, of_n], -1)
    of_behind = torch.cat([of_ru, of_n * r], -1)
    of_embedded = back.silu_backward(of_ahead @ w.drawn, moved.embedded)
    return of_embedded, of_ahead, of_behind, through


def _draw_back(of_z: Tensor, of_raw: Tensor, drawn: _Drawn, w: _Weights) -> tuple[Tensor, Tensor]:
    """The gradients of f + R s and of raw."""
    raw_scale = drawn.raw.chunk(2, -1)[1]
    of_raw_scale = back.softplus_backward(of_z * drawn.e, raw_scale, 1.0, 20.0)
    of_raw = of_raw + torch.cat([of_z, of_raw_scale], -1)
    return back.silu_backward(of_raw @ w.out, drawn.seen), of_raw
