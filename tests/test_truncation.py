"""Truncated back-propagation: a sequence read in pieces has the loss of the whole, and no gradient
crosses a border.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vaezoo.core import Model, Spec, Unsupported
from vaezoo.data.data import Card, Data
from vaezoo.registry import registry
from vaezoo.seeds import seeded
from vaezoo.stepwise import CarriedState, carried
from vaezoo.training.training import fit

VARIANTS = registry.load_registry().variants
SPEC = Spec((9, 3), n_train=12, has_gaps=True, latent=2, hidden=8, network="rnn")
LENGTHS = torch.tensor([6, 2, 9, 4, 3, 5, 2, 8, 7, 1, 4, 6])
# The q of these sees no step outside the piece, so that pieces and whole have one bound; the
# others' q sees its piece alone.
EXACT = ["vrnn", "rnn", "frames"]
STEPS = [*EXACT, "storn", "srnn", "dkf", "dmm", "rvae"]


def sequences() -> Tensor:
    with seeded("sequences"):
        x = torch.bernoulli(torch.full((12, 9, 3), 0.4))
    x[torch.arange(9) >= LENGTHS[:, None]] = math.nan
    return x


def music() -> Data:
    x = sequences()
    return Data("twelve", SPEC, x, x[:5], x[:5], Card("twelve", "made here", "none", "none"))


def made(name: str, **hyperparameters) -> Model:
    with seeded("weights"):
        return VARIANTS[name](SPEC, **hyperparameters).double()


def in_pieces(model: Model, x: Tensor, steps: int) -> Tensor:
    """The sum of the losses of the pieces, with its gradient."""
    carry, total = CarriedState(), x.new_zeros(())
    for piece in x.split(steps, 1):
        with carried(carry):
            total = total + model(piece)["loss"]
    return total


@pytest.mark.parametrize("steps", [1, 4, 9])
@pytest.mark.parametrize("name", EXACT)
def test_pieces_add_up_to_the_loss_of_the_whole(name, steps):
    model, x = made(name), sequences().double()
    with seeded("noise"):
        whole = model(x)["loss"]
    with seeded("noise"):  # a step's noise is drawn at that step, so that pieces see the same
        torch.testing.assert_close(in_pieces(model, x, steps), whole, rtol=0, atol=1e-10)


def test_particles_are_carried_too():
    model, x = made("vrnn", particles=3), sequences().double()
    carry = CarriedState()
    with carried(carry):
        model(x[:, :4])
    assert carry.state.shape == (3, 12, 8)
    state = carry.state
    with carried(carry):
        model.loss.filter(model, x[:, 4:])
        assert torch.equal(model.begin(3, 12, x), state)
        # another loss may ask for another number
        assert torch.equal(model.begin(4, 12, x), state[[0, 1, 2, 0]])
    assert not torch.equal(carry.state, state)


def test_gradients_are_those_of_a_recurrence_whose_state_is_detached_at_the_borders():
    model, x = made("rnn"), sequences().double().nan_to_num(0.0)
    in_pieces(model, x, 4).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    state, states = torch.zeros(1, 12, 8).double(), []
    for piece in x.split(4, 1):
        inner = state
        for t in range(piece.shape[1]):
            states.append(inner[0])
            inner = model.rnn(piece[:, t : t + 1], inner)[1]
        state = inner.detach()
    logits = model.out(torch.stack(states, 1))
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum") / 12
    loss.backward()
    for name, p in model.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(found[name], p.grad, rtol=0, atol=1e-10)
    whole = made("rnn")
    whole(x)["loss"].backward()
    # longer dependencies do differ
    assert (whole.rnn.weight_hh_l0.grad - found["rnn.weight_hh_l0"]).abs().max() > 1e-4


@pytest.mark.parametrize("name", STEPS)
def test_no_gradient_crosses_a_border(name):
    model, x = made(name), sequences().double().nan_to_num(0.0)
    early, carry = x[:, :4].clone().requires_grad_(), CarriedState()
    with carried(carry):
        model(early)
    with carried(carry):
        model(x[:, 4:])["loss"].backward()
    assert early.grad is None or not early.grad.any()


@pytest.mark.parametrize("name", STEPS)
def test_training_in_pieces_reports_the_loss_of_a_sequence_and_lowers_it(name):
    with seeded("weights"):
        model = VARIANTS[name](SPEC)
    history = fit(model, music(), epochs=10, batch=12, learning_rate=0.02, truncate=4)
    first, last = history.rows[0], history.rows[-1]
    assert last["train_loss"] < first["train_loss"]
    # of one sequence of 4.75 steps in the mean, not of a piece: 3 bits a step cost 2.1 nats before
    # anything is learned
    assert first["train_loss"] == pytest.approx(
        first["validation_loss"] * 57 / 12 / (24 / 5), rel=0.25
    )


def test_without_learning_the_terms_are_those_of_whole_sequences():
    rows = []
    for truncate in (0, 4):
        with seeded("weights"):
            model = VARIANTS["vrnn"](SPEC)
        budget = {"epochs": 1, "batch": 12, "learning_rate": 1e-12}
        rows.append(fit(model, music(), truncate=truncate, **budget).rows[0])
    assert rows[0]["train_loss"] == pytest.approx(rows[1]["train_loss"], rel=1e-5)


def test_a_model_that_has_no_state_is_refused_unless_no_sequence_is_cut():
    with seeded("weights"):
        model = VARIANTS["vrae"](SPEC)
    with pytest.raises(Unsupported, match="truncate=4 reads sequences piece by piece"):
        fit(model, music(), epochs=1, batch=12, truncate=4)
    fit(model, music(), epochs=1, batch=12, truncate=9)


def test_images_are_not_cut():
    spec = Spec((1, 8, 4), n_train=4, latent=2, hidden=8)
    x = torch.zeros(4, 1, 8, 4)
    with pytest.raises(Unsupported, match="no state"):
        fit(
            VARIANTS["vrnn"](spec),
            replace(music(), spec=spec, train=x, validation=x, test=x),
            epochs=1,
            truncate=4,
        )
