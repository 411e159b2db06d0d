"""The states of a GRU over many steps, with a gradient written by hand.

    r = σ(k_r + U_r s),  u = σ(k_u + U_u s),  n = tanh(k_n + r (U_n s + b)),  s' = (1 - u) n + u s

where k is what the inputs give, for all steps at once (Cho et al. 2014, arXiv:1406.1078, with r
where PyTorch has it). Inside, T steps come first, then N rows and H numbers of state.

Autograd keeps a node for each operation of each step, and adds up the gradient of U step by step.
Here the way back is a loop over s alone, and U's gradient is one product for all steps. Where no
gradient is asked for, PyTorch's own loop is as fast and is taken.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .steps import reverse_steps

__all__ = [
    "by_hand",
    "differentiable_back",
    "from_the_end",
    "gru_states",
    "gru_states_of_one",
    "on_plain_cpu",
]

Parts = tuple[Tensor, Tensor, Tensor]  # for r, u and n
Gates = tuple[Tensor, Tensor, Tensor, Tensor]  # r, u, n and U_n s + b of a step


def gru_states(rnn: nn.GRU, x: Tensor, first: Tensor | None = None) -> Tensor:
    """(N, T, F) -> (N, T, H): the state of a one-layer GRU after each step, from `first` (N, H)."""
    if not by_hand(x):
        return _native(rnn, x, first)
    return _states(rnn, _known(rnn, x.transpose(0, 1)), first)


def gru_states_of_one(rnn: nn.GRU, x: Tensor, steps: int, first: Tensor) -> Tensor:
    """(N, F) -> (N, T, H): the same where every step reads one x."""
    if not on_plain_cpu(x):
        return _native(rnn, x[:, None].expand(-1, steps, -1), first)
    r, u, n = (k.expand(steps, -1, -1) for k in _known(rnn, x))
    return _states(rnn, (r, u, n), first)


def from_the_end(rnn: nn.GRU, x: Tensor, mask: Tensor | None) -> Tensor:
    """(N, T, F) -> (N, T, H): the same from each row's last step in `mask` (N, T) back to the
    first.

    States at padding mean nothing.
    """
    if mask is None:
        return gru_states(rnn, x.flip(1)).flip(1)
    if not by_hand(x):
        return reverse_steps(_native(rnn, reverse_steps(x, mask)), mask)
    r, u, n = _known(rnn, x.flip(1).transpose(0, 1))
    padding = ~mask.flip(1).T[..., None]  # (T, N, 1)
    held = u.masked_fill(padding, torch.inf)  # u = 1: the state stays what it is
    return _states(rnn, (r, held, n), None).flip(1)


def on_plain_cpu(x: Tensor) -> bool:
    """Whether x is on the CPU and no transform of torch.func is at work, of which neither what is
    written by hand nor another layout of memory can be a part. A GPU has kernels of its own.
    """
    return x.device.type == "cpu" and not torch._C._are_functorch_transforms_active()


def by_hand(x: Tensor) -> bool:
    """Whether a gradient is to be written by hand: one is asked for, where that is faster."""
    return torch.is_grad_enabled() and on_plain_cpu(x)


def _native(rnn: nn.GRU, x: Tensor, first: Tensor | None = None) -> Tensor:
    if torch._C._are_functorch_transforms_active():
        return _step_by_step(rnn, _known(rnn, x.transpose(0, 1)), first)
    return rnn(x, None if first is None else first[None].contiguous())[0]


def _parts(rnn: nn.GRU, name: str) -> Parts:
    """What r, u and n have of a parameter (3 H, …)."""
    r, u, n = cast(Tensor, getattr(rnn, f"{name}_l0")).chunk(3)
    return r, u, n


def _known(rnn: nn.GRU, x: Tensor) -> Parts:
    """k_r, k_u and k_n (…, H), from inputs (…, F)."""
    w_r, w_u, w_n = _parts(rnn, "weight_ih")
    b_r, b_u, b_n = _parts(rnn, "bias_ih")
    c_r, c_u, _ = _parts(rnn, "bias_hh")
    return F.linear(x, w_r, b_r + c_r), F.linear(x, w_u, b_u + c_u), F.linear(x, w_n, b_n)


def _states(rnn: nn.GRU, known: Parts, first: Tensor | None) -> Tensor:
    """(T, N, H) three times -> (N, T, H)."""
    if first is None:
        first = known[0].new_zeros(known[0].shape[1:])
    b = _parts(rnn, "bias_hh")[2]
    return _States.apply(*known, first, *_parts(rnn, "weight_hh"), b).transpose(0, 1)


def _step_by_step(rnn: nn.GRU, known: Parts, first: Tensor | None) -> Tensor:
    """The same of operations that every transform of torch.func knows; PyTorch's loop is one that
    vmap does not.
    """
    first = known[0].new_zeros(known[0].shape[1:]) if first is None else first
    b = _parts(rnn, "bias_hh")[2]
    states, _ = _run(*known, first, *_parts(rnn, "weight_hh"), b)
    return torch.stack(states[1:], 1)


def _run(*inputs: Tensor) -> tuple[list[Tensor], list[Gates]]:
    """s_0 … s_T, and the gates of each step."""
    k_r, k_u, k_n, s, u_r, u_u, u_n, b = inputs
    u_r, u_u, u_n = u_r.mT, u_u.mT, u_n.mT
    states = [s]
    gates = []
    for at_r, at_u, at_n in zip(k_r.unbind(0), k_u.unbind(0), k_n.unbind(0), strict=True):
        r = torch.addmm(at_r, s, u_r).sigmoid_()
        u = torch.addmm(at_u, s, u_u).sigmoid_()
        back = torch.addmm(b, s, u_n)
        n = torch.addcmul(at_n, r, back).tanh_()
        s = torch.lerp(n, s, u)
        states.append(s)
        gates.append((r, u, n, back))
    return states, gates


def _stacked(states: list[Tensor]) -> Tensor:
    """s_1 … s_T, (T, N, H)."""
    return torch.stack(states[1:])


class _States(torch.autograd.Function):
    """s_1 … s_T (T, N, H) from k_r, k_u, k_n, s_0, U_r, U_u, U_n and b."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        states, gates = _run(*inputs)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*inputs)
            ctx.states = states
            ctx.gates = gates
        return _stacked(states)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # somebody wants the gradient of this gradient
            return differentiable_back(lambda *inputs: _stacked(_run(*inputs)[0]), ctx, grad)
        of_r, of_u, of_n, of_back, of_first = _run_back(ctx, grad)
        before = torch.cat(ctx.states[:-1])  # (T·N, H)
        weights = (each.flatten(0, 1).mT @ before for each in (of_r, of_u, of_back))
        return of_r, of_u, of_n, of_first, *weights, of_back.sum((0, 1))


def _run_back(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
    """The gradients of k_r, k_u, k_n and U_n s + b (T, N, H), and that of s_0 (N, H)."""
    _, _, _, first, u_r, u_u, u_n, _ = ctx.saved_tensors
    of_gates = []
    later = torch.zeros_like(first)
    steps = zip(grad.unbind(0), ctx.states[:-1], ctx.gates, strict=True)
    for g, s, (r, u, n, back) in reversed(list(steps)):
        g = g + later
        kept = g * u
        of_n = torch.ops.aten.tanh_backward(g - kept, n)
        of_back = of_n * r
        of_r = torch.ops.aten.sigmoid_backward(of_n * back, r)
        of_u = torch.ops.aten.sigmoid_backward(g * (s - n), u)
        of_gates.append((of_r, of_u, of_n, of_back))
        later = torch.addmm(kept, of_r, u_r).addmm_(of_u, u_u).addmm_(of_back, u_n)
    return *(torch.stack(each) for each in zip(*reversed(of_gates), strict=True)), later


def differentiable_back(
    run: Callable[..., Tensor | tuple[Tensor, ...]], ctx: Any, *grads: Tensor
) -> tuple[Tensor | None, ...]:
    """What `backward` gives, by autograd over the steps run again."""
    # views, for one input may have been made of another: what it owes to that is not asked here
    inputs = [x.view_as(x) for x in ctx.saved_tensors]
    needed = [x for x, is_needed in zip(inputs, ctx.needs_input_grad, strict=False) if is_needed]
    found = iter(torch.autograd.grad(run(*inputs), needed, grads, create_graph=True))
    return tuple(next(found) if is_needed else None for is_needed in ctx.needs_input_grad)
