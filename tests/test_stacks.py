"""A seed in a stack is the seed alone: draws, minibatches, early stopping, weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.func import vmap

from tests.conftest import IMAGE, SEQUENCE
from tests.test_resume import VARIANTS, data_of
from vaezoo.core import Model, Unsupported
from vaezoo.data.data import Data
from vaezoo.seeds import seeded
from vaezoo.training import fit, resume
from vaezoo.training.budget import Budget, Diverged
from vaezoo.training.resume import Bookmark
from vaezoo.training.stacks import Seat, fit_stacked, train_stack, why_alone
from vaezoo.training.stacks.draws import OwnDraws
from vaezoo.training.training import finish

BUDGET = Budget(epochs=8, batch=16, patience=2, learning_rate=1e-2)
SEEDS = [0, 3]
PLACES = 3  # one stays empty
WHOLE = replace(SEQUENCE, has_gaps=False)
# What each has beside weights that Adam moves, see `tests.test_resume`.
STACKED = ["vae", "iwae", "vamp", "geco", "vq", "vae_gan", "factor", "vrnn"]


def built(variant: str, data: Data, seed: int) -> Model:
    with seeded("weights", seed):
        return VARIANTS[variant](data.spec)


def data_for(variant: str) -> Data:
    return data_of(WHOLE if variant == "vrnn" else IMAGE)


def stacked(
    variant: str, data: Data, seeds: list[int], budget: Budget = BUDGET, **more
) -> list[Seat]:
    seats = [Seat(built(variant, data, seed), seed) for seed in seeds]
    train_stack(seats, data, PLACES, budget, **more)
    for seat in seats:
        finish(seat.model, data, seat.rows, seat.seed)
    return seats


def assert_is_alone(seat: Seat, variant: str, data: Data, budget: Budget = BUDGET, **more) -> int:
    """The epochs that the seed takes alone, after which the seat is the same to 1e-5."""
    model = built(variant, data, seat.seed)
    history = fit(model, data, seed=seat.seed, budget=budget, **more)
    course = seat.course.history
    assert len(course.rows) == len(history.rows)
    assert course.best_epoch == history.best_epoch
    for row, own in zip(history.rows, course.rows, strict=True):
        assert row | {"seconds": 0} == pytest.approx(own | {"seconds": 0}, rel=1e-5, abs=1e-5)
    weights = seat.model.state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-5, atol=1e-5, msg=name)
    return len(history.rows)


@pytest.mark.parametrize("variant", STACKED)
def test_a_stacked_seed_is_the_seed_alone(variant: str):
    data = data_for(variant)
    assert why_alone(built(variant, data, 0), data.spec, BUDGET) == ""
    for seat in stacked(variant, data, SEEDS):
        assert_is_alone(seat, variant, data)


def test_a_seed_that_stops_early_stays_as_it_was_while_others_go_on():
    data = data_of(IMAGE)
    budget = replace(BUDGET, epochs=20)
    seats = stacked("vae", data, [0, 3, 7], budget)
    epochs = {assert_is_alone(seat, "vae", data, budget) for seat in seats}
    assert len(epochs) > 1


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stacked_seed_of_any_variant_is_the_seed_alone(variant: str):
    """Of two epochs: rounding grows where Adam divides what is rounding by itself, as it does with
    the bias before a batch norm.
    """
    for data in (data_of(IMAGE), data_of(WHOLE)):
        try:
            model = built(variant, data, 0)
        except (Unsupported, TypeError):
            continue
        if why := why_alone(model, data.spec, BUDGET):
            pytest.skip(why)
        budget = replace(BUDGET, epochs=2, learning_rate=1e-4)
        for seat in stacked(variant, data, SEEDS, budget):
            assert_is_alone(seat, variant, data, budget)


def test_schedule_warm_up_and_clipping_are_each_seeds_own():
    data = data_of(IMAGE)
    budget = replace(BUDGET, schedule="cosine", warmup=4, clip=1.0)
    for seat in stacked("beta", data, SEEDS, budget):
        assert_is_alone(seat, "beta", data, budget)


def test_each_seed_leaves_out_its_own_steps():
    """A step of a place is left out where its own gradient is large, not where another's is."""
    data = data_of(IMAGE)
    budget = replace(BUDGET, skip=1.8)
    seats = stacked("beta", data, SEEDS, budget)
    for seat in seats:
        assert_is_alone(seat, "beta", data, budget)
    counts = [seat.course.history.skipped for seat in seats]
    steps = sum(len(seat.course.history.rows) * seat.rows.batches for seat in seats)
    assert 0 < sum(counts) < steps


def test_a_stack_in_bf16_is_the_seed_alone_in_bf16():
    """But for what bfloat16 rounds otherwise in another order: three digits."""
    data = data_of(IMAGE)
    budget = replace(BUDGET, epochs=2)
    (seat,) = stacked("vae", data, [3], budget, precision="bf16")
    model = built("vae", data, 3)
    history = fit(model, data, seed=3, budget=budget, precision="bf16")
    for row, own in zip(history.rows, seat.course.history.rows, strict=True):
        assert row | {"seconds": 0} == pytest.approx(own | {"seconds": 0}, rel=2e-3)


def test_a_stack_of_seats_that_were_kept_at_different_epochs_goes_on_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(resume, "EVERY", 0.0)
    data = data_of(IMAGE)
    whole = stacked("vae", data, SEEDS)

    def seats(stop_at: int = 0) -> list[Seat]:
        def report(epoch: int, *_: object) -> None:
            if epoch == stop_at:
                raise KeyboardInterrupt

        found = []
        for seed in SEEDS:
            mark = Bookmark(tmp_path / str(seed), {"key": seed}, lambda _: None, beside=2)
            found.append(Seat(built("vae", data, seed), seed, report, mark))
        return found

    with pytest.raises(KeyboardInterrupt):  # the first seat is kept after epoch 3, the other not
        train_stack(seats(3), data, PLACES, BUDGET)
    again = seats()
    train_stack(again, data, PLACES, BUDGET)
    for seat, own in zip(again, whole, strict=True):
        for name, tensor in own.model.state_dict().items():
            assert torch.equal(seat.model.state_dict()[name], tensor), name


def test_a_seed_that_diverges_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch):
    data = data_of(IMAGE)
    broken = Seat(built("vae", data, 0), 0)
    with torch.no_grad():
        next(broken.model.parameters()).fill_(torch.nan)
    sound = Seat(built("vae", data, 3), 3)
    train_stack([broken, sound], data, PLACES, BUDGET)
    assert broken.failed
    assert broken.failed.epoch == 1
    # Its place has numbers again, of which a factorisation among the seats can be taken.
    assert all(p.isfinite().all() for p in broken.model.parameters())
    assert_is_alone(sound, "vae", data)
    with torch.no_grad():
        next(broken.model.parameters()).fill_(torch.nan)
    with pytest.raises(Diverged, match=r"epoch 1"):
        fit_stacked(broken.model, data, seed=0, places=PLACES, budget=BUDGET)


def test_what_cannot_be_stacked_says_why():
    data = data_of(SEQUENCE)
    model = built("vrnn", data, 0)
    assert "several lengths" in why_alone(model, data.spec, BUDGET)
    assert "truncate=4" in why_alone(model, WHOLE, replace(BUDGET, truncate=4))
    assert "adamax" in why_alone(model, WHOLE, replace(BUDGET, optimizer="adamax"))
    image = data_of(IMAGE)
    assert "decoder's weights" in why_alone(built("bvae", image, 0), image.spec, BUDGET)
    with pytest.raises(Unsupported, match=r"several lengths.*without --stack"):
        stacked("vrnn", data, SEEDS)


P = torch.linspace(0.1, 0.9, 24).view(2, 3, 4)


@pytest.mark.parametrize(
    "drawn",
    [
        lambda p: torch.randn(5, 3) + p.sum(),
        lambda p: torch.randn_like(p),
        lambda p: torch.rand(7) * p.sum(),
        lambda p: torch.rand_like(p) * p,
        lambda p: torch.bernoulli(p),
        lambda p: torch.poisson(10 * p),
        lambda p: torch.multinomial(p, 2),
        lambda p: torch.multinomial(p[0], 2),
        lambda p: torch.randint(9, (6,)) + p.sum(),
        lambda p: torch.randint(3, 9, (6,)) + p.sum(),
        lambda p: p[torch.randperm(3)],
        lambda p: torch.randn_like(p) + torch.bernoulli(p),
    ],
)
def test_each_place_draws_what_its_seed_draws_alone(drawn):
    generators = [torch.Generator().manual_seed(s) for s in (5, 6)]
    with OwnDraws(generators):
        together = vmap(drawn, randomness="different")(P)
    for s, seed in enumerate((5, 6)):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            assert torch.equal(together[s], drawn(P[s]))


def test_a_draw_without_a_generator_is_refused():
    with OwnDraws([torch.Generator()]), pytest.raises(Unsupported, match="takes no generator"):
        torch.native_dropout(torch.ones(1, 3), 0.5, True)
