"""The trainer: bit-equal repeats, no look at the test split, early stopping, divergence with its
step and term.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from tests.conftest import IMAGE, rows_of
from vaezoo.core import VAE, Loss, Model, Unsupported
from vaezoo.data.data import Card, Data
from vaezoo.data.files import BadData
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.training import Budget, Diverged, descent, fit, training
from vaezoo.training.adam import FlatAdam
from vaezoo.training.descent import Stepper
from vaezoo.training.schedules import FACTORS, cosine, staircase

CARD = Card("bits", "made here", "none", "none")


def bits(**changes) -> Data:
    """Images of one colour, so that there is something to learn."""
    x = rows_of(IMAGE, 700)[..., :1, :1].expand(-1, 1, 8, 8).clone()
    return replace(Data("bits", IMAGE, x[:400], x[400:600], x[600:], CARD), **changes)


def vae(loss: Loss | None = None) -> VAE:
    torch.manual_seed(0)
    return VAE(Gaussian(IMAGE), Write(IMAGE), StandardNormal(IMAGE), loss or ELBO())


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(
        torch.equal(p, q)
        for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_one_seed_trained_twice_is_bit_equal():
    one, two, other = vae(), vae(), vae()
    rows = fit(one, bits(), epochs=3, seed=1).rows
    again = fit(two, bits(), epochs=3, seed=1).rows
    fit(other, bits(), epochs=3, seed=2)
    assert equal(one, two)
    assert not equal(one, other)
    for row, same in zip(rows, again, strict=True):
        assert {k: v for k, v in row.items() if k != "seconds"} == {
            k: v for k, v in same.items() if k != "seconds"
        }


def test_the_mode_is_set_as_the_model_itself_sets_it():
    class Own(torch.nn.Linear):
        def train(self, mode: bool = True) -> "Own":
            self.seen = mode
            return super().train(mode)

    plain = vae()
    unlike = torch.nn.Sequential(torch.nn.ReLU(), Own(1, 1))
    for model in (plain, unlike):
        for is_training in (False, True):
            training.set_mode(model, is_training=is_training)
            assert all(part.training is is_training for part in model.modules())
    assert unlike[1].seen


def test_a_scripted_part_is_in_the_mode_that_it_is_set_to():
    model = vae()
    parts = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.9))
    model.scripted = torch.jit.script(parts)
    x = torch.ones(64, 4)
    training.set_mode(model, is_training=False)
    assert torch.equal(model.scripted(x), model.scripted(x))
    training.set_mode(model, is_training=True)
    assert not torch.equal(model.scripted(x), model.scripted(x))


def test_tensors_of_one_rate_move_together_as_each_alone():
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(n, generator=generator) for n in (3, 50, 7)]
    rates = [0.1, 0.01, 0.1]
    together, alone = ([tensor.clone() for tensor in start] for _ in range(2))
    one = FlatAdam(together, rates)
    others = [FlatAdam([tensor], [rate]) for tensor, rate in zip(alone, rates, strict=True)]
    for _ in range(5):
        for a, b in zip(together, alone, strict=True):
            a.grad = b.grad = torch.randn(a.shape, generator=generator)
        one.step(0.5)
        for other in others:
            other.step(0.5)
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))
    assert not torch.equal(together[0], start[0])


def test_the_staircase_is_burdas():
    stairs = [i for i in range(8) for _ in range(3**i)]  # a stair for each of the 3,280 epochs
    found = [staircase(epoch / 3280) for epoch in range(3280)]
    assert found == [10.0 ** (-stair / 7) for stair in stairs]


def test_the_cosine_falls_from_1_to_0():
    assert [cosine(t) for t in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.0])


def step_alike(
    stepper: Stepper,
    expected: Model,
    optimizer: torch.optim.Optimizer,
    points: Sequence[float],
    atol: float,
) -> None:
    """The stepper moves its model as torch's optimizer, with the schedule's rates, moves another
    of the same weights, by the same noise, at each of these points of a training.
    """
    budget = stepper.budget
    x = bits().train[:32]
    for progress in points:
        torch.manual_seed(0)
        stepper.learn(x, None, progress)
        rate = budget.learning_rate * FACTORS[budget.schedule](progress)
        optimizer.param_groups[0]["lr"] = rate
        torch.manual_seed(0)
        optimizer.zero_grad()
        expected(x, None, progress)["loss"].backward()
        optimizer.step()
    for a, b in zip(stepper.model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "staircase"])
def test_a_step_under_a_schedule_is_adams_at_that_rate(schedule):
    model, expected = vae(), vae()
    budget = Budget(epochs=3, schedule=schedule, clip=1e9)
    adam = torch.optim.Adam(expected.parameters(), lr=budget.learning_rate)
    step_alike(Stepper(model, budget), expected, adam, (0.0, 0.4, 0.9), 1e-6)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_adamax_is_torchs(schedule):
    model, expected = vae(), vae()
    budget = Budget(epochs=3, schedule=schedule, clip=1e9, optimizer="adamax", adam_epsilon=1e-4)
    adamax = torch.optim.Adamax(expected.parameters(), lr=budget.learning_rate, eps=1e-4)
    step_alike(Stepper(model, budget), expected, adamax, (0.0, 0.2, 0.4, 0.9), 1e-7)


class Drawn(Loss):
    """-E log w, by draws."""

    def forward(self, model, x, c, progress):
        return {"loss": -model.infer(x, c, 3).log_w.mean()}


@pytest.mark.parametrize(("loss", "draws"), [(ELBO(), 1), (Drawn(), 3)])
def test_warmup_weighs_the_kl_by_the_part_of_its_epochs_that_is_over(loss, draws):
    model, expected = vae(loss), vae(loss)
    budget = Budget(epochs=10, warmup=4, clip=1e9)
    stepper = Stepper(model, budget)
    adam = torch.optim.Adam(expected.parameters(), lr=budget.learning_rate)
    x = bits().train[:32]
    for progress, beta in ((0.0, 0.0), (0.1, 0.25), (0.3, 0.75), (0.4, 1.0), (0.9, 1.0)):
        torch.manual_seed(0)
        stepper.learn(x, None, progress)
        torch.manual_seed(0)
        adam.zero_grad()
        trace = expected.infer(x, k=draws)
        latent = trace.latents[0]
        rate = trace.kl if draws == 1 else latent.log_q - latent.log_p
        (beta * rate - trace.log_px).mean().backward()
        adam.step()
    for a, b in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_warmup_ends_with_its_epochs_and_validation_has_the_whole_kl():
    model = vae()
    rows = fit(model, bits(), epochs=4, warmup=2, seed=1).rows
    for row in rows:
        whole = row["validation_distortion"] + row["validation_rate"]
        assert row["validation_loss"] == pytest.approx(whole)
    with torch.no_grad():
        assert model.infer(bits().test).kl.mean() > 0  # nothing stays of the weight


def test_warmup_is_refused_where_a_loss_reads_its_kl_elsewhere():
    class Own(ELBO):
        def forward(self, model, x, c, progress):
            trace = model.infer(x, c)
            latent = trace.latents[0]
            loss = (latent.log_q - latent.log_p - trace.log_px).mean()
            return {"loss": loss, "rate": trace.kl.mean()}

    with pytest.raises(Unsupported, match=r"warmup=2 weighs the KL.*the loss Own reads none"):
        fit(vae(Own()), bits(), epochs=4, warmup=2)
    fit(vae(Own()), bits(), epochs=1)


def norm_of(model: Model, x: torch.Tensor) -> float:
    torch.manual_seed(0)
    loss = model(x, None, 0.5)["loss"]
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return float(torch.cat([one.flatten() for one in gradients]).norm())


@pytest.mark.parametrize(("factor", "skipped"), [(0.999, 1.0), (1.001, 0.0)])
def test_a_step_is_left_out_where_its_gradient_is_as_large_as_skip(factor, skipped):
    """Child 2021, §3.1. The norm is that before clipping, and clipping is as it was."""
    model = vae()
    x = bits().train[:32]
    norm = norm_of(model, x)
    before = copy.deepcopy(model)
    plain = copy.deepcopy(model)
    stepper = Stepper(model, Budget(skip=factor * norm, clip=norm / 2))
    torch.manual_seed(0)
    assert stepper.learn(x, None, 0.5)["skipped_updates"] == skipped
    other = Stepper(plain, Budget(clip=norm / 2))
    torch.manual_seed(0)
    assert "skipped_updates" not in other.learn(x, None, 0.5)
    assert equal(model, before if skipped else plain)
    assert bool(stepper.optimizer.moments[0]["step"]) == (not skipped)


def test_the_steps_that_were_left_out_are_counted_in_each_epoch():
    model, start = vae(), vae()
    history = fit(model, bits(), epochs=2, batch=100, skip=1e-9)
    assert [row["train_skipped_updates"] for row in history.rows] == [4, 4]
    assert history.skipped == 8
    assert equal(model, start)
    history = fit(model, bits(), epochs=2, batch=100, skip=1e9)
    assert history.skipped == 0
    assert fit(vae(), bits(), epochs=1).skipped is None


def test_a_gradient_that_is_no_number_is_left_out():
    class Root(Loss):
        def forward(self, model, x, c, progress):
            zero = sum(p.square().sum() for p in model.parameters()) * 0.0
            return {"loss": zero.sqrt()}  # of which the slope is 0/0

    model, start = vae(Root()), vae(Root())
    fit(model, bits(), epochs=1, skip=1.0)
    assert equal(model, start)


def test_steps_of_one_pass_are_the_pass_to_the_bit():
    plain, counted = vae(), vae()
    fit(plain, bits(), epochs=3, batch=128)
    fit(counted, bits(), epochs=3, batch=128, steps=3)  # 400 rows
    assert equal(plain, counted)


@pytest.mark.parametrize(("rows", "steps"), [(8, 7), (400, 1)])
def test_an_epoch_has_the_steps_that_were_asked_for_however_few_rows_there_are(rows, steps):
    taken = []

    class Counted(ELBO):
        def forward(self, model, x, c, progress):
            taken.append(progress)
            return super().forward(model, x, c, progress)

    data = bits()
    data = replace(data, train=data.train[:rows])
    fit(vae(Counted()), data, epochs=2, batch=4, steps=steps)
    trained = [one for one in taken if one < 1]
    assert trained == [(epoch + i / steps) / 2 for epoch in (0, 1) for i in range(steps)]


def test_training_leaves_the_global_generator_as_it_was():
    torch.manual_seed(7)
    expected = torch.rand(3)
    model = vae()
    torch.manual_seed(7)
    fit(model, bits(), epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_loss_falls_and_the_test_split_is_not_looked_at():
    model, blind = vae(), vae()
    history = fit(model, bits(), epochs=15, learning_rate=5e-3)
    assert history.rows[-1]["validation_loss"] < history.rows[0]["validation_loss"] - 2
    fit(blind, bits(test=torch.full((3, 1, 8, 8), math.nan)), epochs=15, learning_rate=5e-3)
    assert equal(model, blind)


class Scripted(Loss):
    """A validation loss read from a list, one entry an epoch; in training, something every
    parameter has a part in.
    """

    def __init__(self, values):
        super().__init__()
        self.values, self.seen = list(values), []

    def forward(self, model, x, c, progress):
        if model.training:
            return {"loss": sum(p.square().sum() for p in model.parameters())}
        self.seen.append(copy.deepcopy(model.state_dict()))
        return {"loss": torch.tensor(self.values[len(self.seen) - 1])}


def test_training_stops_after_its_patience_and_returns_to_the_best_epoch():
    model = vae(Scripted([5.0, 3.0, 4.0, 3.5, 3.1, 0.0]))
    history = fit(model, bits(), epochs=6, patience=3)
    assert (history.best_epoch, len(history.rows)) == (2, 5)
    best = model.loss.seen[1]
    assert all(torch.equal(value, best[name]) for name, value in model.state_dict().items())


class Breaks(ELBO):
    """Becomes NaN at a given moment of training."""

    def combine(self, distortion, rate, progress):
        terms = super().combine(distortion, rate, progress)
        return {**terms, "extra": distortion * (math.nan if progress >= 0.5 else 1)}


def test_a_term_that_is_not_finite_ends_training_with_its_step_and_name():
    with pytest.raises(Diverged, match=r"extra was not finite at step 7 \(epoch 3\)") as caught:
        fit(vae(Breaks()), bits(), epochs=4)  # 3 steps an epoch
    assert (caught.value.term, caught.value.step, caught.value.epoch) == ("extra", 7, 3)


def test_validation_uses_the_loss_as_it_stands_at_the_end_whatever_the_epoch():
    seen = []

    class Watches(ELBO):
        def combine(self, distortion, rate, progress):
            seen.append((distortion.requires_grad, progress))
            return super().combine(distortion, rate, progress)

    fit(vae(Watches()), bits(), epochs=2)
    assert {progress for training, progress in seen if not training} == {1.0}
    assert [progress for training, progress in seen if training] == pytest.approx(
        [0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6]
    )


def test_dynamic_data_is_binarised_anew_in_every_epoch_and_the_same_for_every_variant():
    seen: dict[int, list[torch.Tensor]] = {}

    class Keeps(ELBO):
        def forward(self, model, x, c, progress):
            if model.training:
                seen.setdefault(id(self), []).append(x)
            return super().forward(model, x, c, progress)

    probabilities = torch.rand(128, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    grey = bits(train=probabilities, spec=replace(IMAGE, is_dynamic=True))
    losses = [Keeps(), Keeps(beta=4)]
    for loss in losses:
        fit(vae(loss), grey, epochs=2)
    first, second = (torch.cat(seen[id(loss)]) for loss in losses)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(
        first[:128].sum((1, 2, 3)).sort()[0], first[128:].sum((1, 2, 3)).sort()[0]
    )
    assert torch.equal(first, second)


def test_a_part_can_learn_at_its_own_rate():
    still = vae()
    still.lr = {"decoder": 0.0}
    before = copy.deepcopy(still.state_dict())
    fit(still, bits(), epochs=1)
    moved = {
        name.split(".")[0]
        for name, value in still.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved == {"encoder"}


@pytest.mark.parametrize(
    ("key", "value"),
    [("epochs", 0), ("batch", -1), ("learning_rate", math.nan), ("patience", "many")],
)
def test_a_budget_out_of_range_is_refused(key, value):
    with pytest.raises(ValueError, match=key):
        Budget(**{key: value})


def test_a_validation_loss_that_is_never_a_number_ends_as_diverged():
    class Blind(ELBO):
        def forward(self, model, x, c, progress):
            terms = super().forward(model, x, c, progress)
            return terms if model.training else {**terms, "loss": terms["loss"] * math.nan}

    with pytest.raises(Diverged, match=r"validation_loss was not finite at step 6 \(epoch 2\)"):
        fit(vae(Blind()), bits(), epochs=2)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("large", [1, 100, 10**9])
@pytest.mark.parametrize("clip", [0.3, 1e9])
def test_steps_are_those_of_torch_with_its_clipping(monkeypatch, kind, large, clip):
    """Whether parameters lie in one flat tensor, in tensors of their own, or in both."""
    monkeypatch.setattr(descent, "LARGE", large)
    model = vae().to(kind)
    twin = copy.deepcopy(model)
    x = rows_of(IMAGE, 16).to(kind)
    stepper = Stepper(model, Budget(clip=clip, adam_epsilon=1e-4))
    adam = torch.optim.Adam(twin.parameters(), 1e-3, eps=1e-4)
    for step in range(4):
        torch.manual_seed(step)
        stepper.learn(x, None, 0.5)
        torch.manual_seed(step)
        adam.zero_grad()
        twin(x, None, 0.5)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), clip)
        adam.step()
    stepper.release()
    tolerance = 1e-12 if kind == torch.float64 else 2e-6
    for found, expected in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("large", [1, 10**9])
def test_a_parameter_that_a_loss_left_out_still_moves_by_its_momentum(monkeypatch, large):
    monkeypatch.setattr(descent, "LARGE", large)
    model = vae()
    stepper = Stepper(model, Budget())
    weight = model.encoder.net.out[-1].weight
    stepper.learn(rows_of(IMAGE, 16), None, 0.5)
    before = weight.detach().clone()
    stepper.step(model.decoder(torch.zeros(1, 2, model.decoder.width)).mean.mean())
    assert (weight != before).any()


def test_a_prior_with_nothing_to_fit_asks_for_no_codes(monkeypatch):
    model = vae()
    monkeypatch.setattr(Gaussian, "forward", lambda *_: pytest.fail("the encoder was asked"))
    model.fit_prior(rows_of(IMAGE, 16))


def test_data_that_is_changed_in_place_is_checked_again():
    data = bits()
    fit(vae(), data, epochs=1)
    data.train[3, 0, 0, 0] = math.nan
    with pytest.raises(BadData, match="has NaN"):
        fit(vae(), data, epochs=1)
    data.train[3, 0, 0, 0] = math.inf
    with pytest.raises(BadData, match="infinite"):
        fit(vae(), data, epochs=1)


def test_finite_numbers_whose_sum_is_not_are_sound():
    data = bits()
    replace(data, train=torch.full_like(data.train, 3e38)).must_be_sound("train")
