"""Paths whose gradient is written by hand, against autograd over the plain loop: what they give,
gradients, gradients of gradients.
"""

import math

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.dkf import dmm
from vaezoo_plugins.srnn import srnn
from vaezoo_plugins.vrnn import vrnn

from vaezoo.core import Spec
from vaezoo.seeds import seeded
from vaezoo.stepwise import CarriedState, Stepwise, carried

SPEC = Spec((6, 3), has_gaps=True, latent=2, hidden=5)
BUILDERS = pytest.mark.parametrize("build", [vrnn, srnn, dmm])
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


def made(build, dtype: torch.dtype) -> tuple[Stepwise, Tensor]:
    """A model and four sequences of 6, 4, 1 and 6 steps, the last with a gap."""
    with seeded("weights", build.__name__):
        model = build(SPEC).to(dtype)
    with seeded("x"):
        x = torch.bernoulli(torch.full((4, *SPEC.shape), 0.4, dtype=dtype))
    x[1, 4:] = math.nan
    x[2, 1:] = math.nan
    x[3, 2, 1] = math.nan
    return model, x


def flat(path: tuple) -> list[Tensor]:
    """States, z, μ, σ and raw of a path."""
    states, z, q, raw = path
    return [states, z, *q, raw]


def both(model: Stepwise, x: Tensor, k: int) -> list[list[Tensor]]:
    """The path by hand and by the plain loop, from the same noise."""
    seen = model.sight(x)
    found = []
    for path in (model.path, lambda *a: Stepwise.path(model, *a)):
        with seeded("noise"):
            found.append(flat(path(seen, k)))
    assert _is_by_hand(found[0][1])
    assert not _is_by_hand(found[1][1])
    return found


def _is_by_hand(x: Tensor) -> bool:
    """Whether a gradient by hand is in the graph of x."""
    seen = set()
    ahead = [x.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        ahead += [following for following, _ in node.next_functions]
    return any("_Path" in node.name() for node in seen)


@BUILDERS
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_a_path_by_hand_is_that_of_the_loop_with_its_gradients(build, k, dtype):
    model, x = made(build, dtype)
    ours, theirs = both(model, x, k)
    for found, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE[dtype])
    with seeded("cotangents"):
        v = [torch.randn_like(each) for each in theirs]
    weights = list(model.parameters())
    gradients = [_gradient(each, weights, v, create_graph=True) for each in (ours, theirs)]
    plain = _gradient(ours, weights, v)
    for again, found, wanted in zip(plain, *gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=10 * TOLERANCE[dtype])
        torch.testing.assert_close(again, wanted, rtol=1e-4, atol=10 * TOLERANCE[dtype])
    if dtype == torch.float64:
        _second_derivatives_agree(gradients, weights)


def _gradient(
    of: list[Tensor], by: list[Tensor], v: list[Tensor] | None = None, create_graph: bool = False
) -> tuple[Tensor, ...]:
    return torch.autograd.grad(
        of, by, v, retain_graph=True, create_graph=create_graph, materialize_grads=True
    )


def _second_derivatives_agree(gradients: list[tuple[Tensor, ...]], weights: list[Tensor]) -> None:
    squares = [sum(g.square().sum() for g in each) for each in gradients]
    second = [_gradient([each], weights) for each in squares]
    for found, wanted in zip(*second, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@BUILDERS
def test_a_path_goes_on_from_a_carried_state(build):
    model, x = made(build, torch.float64)
    carry = CarriedState()
    with carried(carry):
        model(x[:, :2])
    with carried(carry):
        ours, theirs = both(model, x[:, 2:], 1)
    assert carry.state.any()
    for found, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)


@BUILDERS
def test_a_path_without_gradient_is_the_loops_to_the_bit(build):
    model, x = made(build, torch.float32)
    with torch.no_grad():
        seen = model.sight(x)
        with seeded("noise"):
            ours = flat(model.path(seen, 2))
        with seeded("noise"):
            theirs = flat(Stepwise.path(model, seen, 2))
    assert all(torch.equal(found, wanted) for found, wanted in zip(ours, theirs, strict=True))
