"""Aggressive training: whose turn it is, when it ends, and what each side's gradient is."""

import math

import pytest
import torch
from vaezoo_plugins.lagging import Lagging, lagging, mutual_information

from vaezoo.core import Spec
from vaezoo.distributions import normal

SPEC = Spec((1, 8, 8), n_train=20, latent=3, hidden=8)
X = torch.bernoulli(
    torch.full((10, 1, 8, 8), 0.5, dtype=torch.float64), generator=torch.Generator().manual_seed(0)
)


def gradients(model, part):
    model.zero_grad()
    model(X)["loss"].backward()
    return torch.cat([p.grad.flatten() for p in getattr(model, part).parameters()])


@pytest.mark.certifies(
    "lagging", claim="the decoder learns at one step in inner + 1 and the encoder at every one"
)
def test_the_decoder_learns_at_one_step_in_inner_plus_1_and_the_encoder_at_every():
    torch.manual_seed(0)
    # in evaluation nothing counts: the step is set by hand
    model = lagging(SPEC, inner=2).double().eval()
    for step in range(6):
        model.loss.step.fill_(step)
        assert (gradients(model, "decoder").abs().sum() > 0) == (step % 3 == 0)
        assert gradients(model, "encoder").abs().sum() > 0
    model.loss.aggressive.fill_(0.0)
    assert all(gradients(model, "decoder").abs().sum() > 0 for model.loss.step[...] in range(3))


@pytest.mark.certifies("lagging", claim="each side gets the gradient of the ELBO")
@pytest.mark.parametrize(("part", "order"), [("encoder", 0), ("decoder", 1)])
def test_each_side_gets_the_gradient_of_the_bound_at_its_own_draw(part, order):
    torch.manual_seed(0)
    model = lagging(SPEC).double().eval()
    torch.manual_seed(1)
    joint = gradients(model, part)
    torch.manual_seed(1)
    draws = [model.infer(X) for _ in range(2)]
    loss = -draws[order].log_px.mean() + draws[order].kl.mean()
    own = torch.autograd.grad(loss, list(getattr(model, part).parameters()))
    torch.testing.assert_close(joint, torch.cat([g.flatten() for g in own]))


def test_the_loss_is_the_negative_elbo():
    terms = lagging(SPEC)(X.float())
    torch.testing.assert_close(terms["loss"], terms["distortion"] + terms["rate"])


def test_the_aggressive_phase_ends_after_the_first_epoch_whose_information_fell_and_never_returns():
    loss, states = Lagging(SPEC), []
    for information in (
        1.0,
        1.0,
        2.0,
        2.0,
        3.0,
        0.0,
        9.0,
        9.0,
    ):  # epochs of 2 steps: means 1, 2, 1.5, 9
        loss._observe(torch.tensor(information), 2)
        states.append(loss.aggressive.item())
    assert states == [1, 1, 1, 1, 1, 0, 0, 0]


def test_evaluation_changes_no_buffer():
    model = lagging(SPEC)
    model(X.float())
    before = {name: b.clone() for name, b in model.named_buffers()}
    model.eval()(X.float())
    assert before["loss.step"] == 1
    assert all(torch.equal(before[name], b) for name, b in model.named_buffers())


@pytest.mark.certifies(
    "lagging", claim="its I(x; z) is log B for posteriors far apart and 0 for equal ones"
)
def test_mutual_information_is_log_b_for_posteriors_far_apart_and_0_for_equal_ones():
    far = normal(100.0 * torch.arange(8.0)[:, None], torch.ones(8, 1))
    equal = normal(torch.zeros(8, 1), torch.ones(8, 1))
    assert mutual_information(far, far.sample()).item() == pytest.approx(math.log(8))
    assert mutual_information(equal, equal.sample()).item() == pytest.approx(0.0, abs=1e-6)
