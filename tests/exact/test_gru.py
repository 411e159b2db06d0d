"""The GRU whose gradient is written by hand, against PyTorch's: states, gradients, gradients of
gradients.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from vaezoo.gru import from_the_end, gru_states, gru_states_of_one
from vaezoo.seeds import seeded
from vaezoo.steps import reverse_steps

ROWS = 4
STEPS = 6
LENGTHS = torch.tensor([6, 3, 1, 5])
MASK = torch.arange(STEPS) < LENGTHS[:, None]
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
PRECISIONS = pytest.mark.parametrize("dtype", list(TOLERANCE))


def made(dtype: torch.dtype) -> tuple[nn.GRU, Tensor, Tensor]:
    """A GRU, inputs (B, T, F) and a first state (B, H)."""
    with seeded("gru"):
        rnn = nn.GRU(3, 5, batch_first=True).to(dtype)
        x = torch.randn(ROWS, STEPS, 3, dtype=dtype, requires_grad=True)
        first = torch.randn(ROWS, 5, dtype=dtype, requires_grad=True)
    return rnn, x, first


def must_agree(ours: Tensor, theirs: Tensor, inputs: list[Tensor]) -> None:
    """Values, first and second derivatives."""
    tolerance = TOLERANCE[ours.dtype]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
    with seeded("cotangent"):
        v = torch.randn_like(theirs)
    first, expected = (
        torch.autograd.grad(each, inputs, v, create_graph=True) for each in (ours, theirs)
    )
    plain = torch.autograd.grad(ours, inputs, v, retain_graph=True)
    for found, again, wanted in zip(first, plain, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)
        torch.testing.assert_close(again, wanted, rtol=0, atol=tolerance)
    second, expected = (
        torch.autograd.grad(sum(g.square().sum() for g in each), inputs, retain_graph=True)
        for each in (first, expected)
    )
    for found, wanted in zip(second, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=10 * tolerance)


@PRECISIONS
def test_states_and_gradients_are_those_of_pytorchs_gru(dtype):
    rnn, x, first = made(dtype)
    ours = gru_states(rnn, x, first)
    assert "_States" in str(ours.grad_fn.next_functions)  # it is ours that is tested
    must_agree(ours, rnn(x, first[None])[0], [x, first, *rnn.parameters()])


def test_inputs_made_of_the_weights_owe_them_their_own_gradient():
    rnn, x, _ = made(torch.float64)
    first = rnn.weight_hh_l0[:ROWS].tanh()
    read = x * rnn.bias_hh_l0[-3:]
    ours = gru_states(rnn, read, first)
    must_agree(ours, rnn(read, first[None])[0], [x, *rnn.parameters()])


@PRECISIONS
def test_one_input_for_all_steps_is_that_input_repeated(dtype):
    rnn, x, first = made(dtype)
    one = x[:, 0]
    repeated = one[:, None].expand(-1, STEPS, -1)
    ours = gru_states_of_one(rnn, one, STEPS, first)
    must_agree(ours, rnn(repeated, first[None])[0], [x, first, *rnn.parameters()])


@PRECISIONS
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
def test_from_the_end_is_the_gru_over_each_rows_steps_reversed(dtype, mask):
    rnn, x, _ = made(dtype)
    there = torch.ones_like(MASK) if mask is None else mask
    ours = from_the_end(rnn, x, mask)
    theirs = reverse_steps(rnn(reverse_steps(x, there))[0], there)
    must_agree(ours[there], theirs[there], [x, *rnn.parameters()])


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
def test_without_gradient_the_states_are_pytorchs_to_the_bit(mask):
    rnn, x, first = made(torch.float32)
    with torch.no_grad():
        assert torch.equal(gru_states(rnn, x, first), rnn(x, first[None])[0])
        there = torch.ones_like(MASK) if mask is None else mask
        theirs = reverse_steps(rnn(reverse_steps(x, there))[0], there)
        assert torch.equal(from_the_end(rnn, x, mask)[there], theirs[there])


def test_stacked_seeds_have_the_gradients_of_each():
    models = [nn.GRU(3, 5, batch_first=True).double() for _ in range(2)]
    x = made(torch.float64)[1].detach()
    parameters, buffers = stack_module_state(models)

    def loss(p: dict[str, Tensor], b: dict[str, Tensor]) -> Tensor:
        return functional_call(_Summed(models[0]), (_inside(p), _inside(b)), (x,))

    stacked = vmap(grad(loss))(parameters, buffers)
    for i, model in enumerate(models):
        alone = torch.autograd.grad(_Summed(model)(x), list(model.parameters()))
        for found, wanted in zip(stacked.values(), alone, strict=True):
            torch.testing.assert_close(found[i], wanted, rtol=0, atol=1e-10)


class _Summed(nn.Module):
    def __init__(self, rnn: nn.GRU) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Tensor) -> Tensor:
        return from_the_end(self.rnn, x, MASK)[MASK].square().sum()


def _inside(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"rnn.{name}": value for name, value in tensors.items()}
