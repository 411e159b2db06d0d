"""What `mix` composes trains: every parameter moves, evaluation sees the prior that was trained, a
critic keeps its learning rate. What cannot is refused when it is built, with the true reason.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.lars import LARS

import vaezoo
from vaezoo.core import Model, Spec, Unsupported
from vaezoo.distributions import draw
from vaezoo.likelihoods import Likelihood
from vaezoo.registry import registry
from vaezoo.training.budget import Budget
from vaezoo.training.checkpoint import load, save
from vaezoo.training.descent import Stepper

KNOWN = registry.load_registry()
MIX = KNOWN.variants["mix"]
PAGE = (Path(__file__).parent.parent / "docs" / "matrix.md").read_text(encoding="utf-8")
KINDS = ("encoder", "prior", "decoder", "loss")
TABLES = (  # of the page: whose pairs must train
    ("loss", "encoder"),
    ("prior", "encoder"),
    ("loss", "prior"),
    ("decoder", "encoder"),
)
SPEC = Spec((1, 4, 4), n_train=16, levels=4, latent=2, hidden=4)
GREY = replace(SPEC, likelihood="continuous_bernoulli")
LIKELIHOODS = tuple(KNOWN.parts["likelihood"])
ROWS = (torch.arange(6 * 16).reshape(6, 1, 4, 4) % 5 % 2).float()  # 0 and 1, which all can take
BUDGET = Budget(learning_rate=1e-2)
Pair = tuple[tuple[str, str], tuple[str, str]]


def working(rows: str, columns: str) -> list[Pair]:
    """The pairs that the page says train."""
    section = PAGE.split(f"## {rows.capitalize()} × {columns}, grey images\n")[1].split("\n## ")[0]
    head, _, *body = re.findall(r"^\| ?(.+?) ?\|$", section, re.MULTILINE)
    found: list[Pair] = []
    for line in body:
        row, *answers = line.split(" | ")
        for column, answer in zip(head.split(" | ")[1:], answers, strict=True):
            if not answer.startswith("–"):
                found.append(((rows, row), (columns, column)))
    return found


def built(parts: dict[str, str], spec: Spec = SPEC) -> Model:
    torch.manual_seed(0)
    return MIX(spec, **parts).train()


def unmoved(model: Model, rows: Tensor = ROWS) -> list[str]:
    """The parameters that steps leave where they were, of those that are to be trained. Two steps
    move all, but for what begins at 0 and waits: beside `lagging` a prior learns at every eleventh.
    """
    torch.manual_seed(1)
    before = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    stepper = Stepper(model, BUDGET)
    left = list(before)
    for progress in (0.3, 0.9, *[0.95] * 10):
        terms = stepper.learn(rows, None, progress)
        assert all(value.isfinite() for value in terms.values()), terms
        after = dict(model.named_parameters())
        left = [name for name in left if torch.equal(before[name], after[name])]
        if progress > 0.3 and not left:
            break
    stepper.release()
    return left


def must_judge_by_its_prior(model: Model) -> None:
    """p(z) of training, of evaluation and of `model.prior` is one, and the ELBO by the closed KL is
    the mean of the log weights.
    """
    with torch.no_grad():
        z, _ = draw(model.eval().encoder(ROWS), (256,))
        by_evaluation = model.prior().log_prob(z)
        in_training = model.prior.train()().log_prob(z)
        if isinstance(model.prior, LARS):  # its constant, and no more, follows each step's draws
            moved = (in_training - by_evaluation).mean()
            assert abs(moved) < 0.01
            in_training = in_training - moved
        torch.testing.assert_close(in_training, by_evaluation)
        trace = model.eval().infer(ROWS, k=256)
        torch.testing.assert_close(trace.latents[0].log_p, model.prior().log_prob(trace.z))

    if not model.no_density:
        difference = trace.latents[0].kl - (trace.latents[0].log_q - trace.latents[0].log_p)
        error = difference.std(0) / 256**0.5 + 1e-4
        assert (difference.mean(0).abs() < 6 * error).all()


def compositions(pairs: list[Pair]) -> Iterator[tuple[dict[str, str], Model]]:
    """Whole models in which every pair is found once at least; the other parts are those that were
    used least until then, of those that go with the pair.
    """
    used: Counter[tuple[str, str]] = Counter()
    covered: set[Pair] = set()
    works = {frozenset(pair) for pair in pairs}
    for pair in pairs:
        if pair in covered:
            continue
        parts, model = completed(dict(pair), used, works)
        used.update(parts.items())
        covered |= set(product(parts.items(), parts.items()))
        yield parts, model


def works_as(parts: dict[str, str], table: tuple[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((kind, parts[kind]) for kind in table)


def completed(
    pair: dict[str, str], used: Counter[tuple[str, str]], works: set[frozenset[tuple[str, str]]]
) -> tuple[dict[str, str], Model]:
    free = [kind for kind in KINDS if kind not in pair]
    options = []
    for kind in free:
        options.append(sorted(KNOWN.parts[kind], key=lambda name, k=kind: used[k, name]))
    for chosen in product(*options):
        parts = {**pair, **dict(zip(free, chosen, strict=True))}
        if not all(works_as(parts, table) in works for table in TABLES):
            continue
        likelihood = min(LIKELIHOODS, key=lambda name: used["likelihood", name])
        for asked in ({"likelihood": likelihood}, {}):
            try:
                return {**parts, **asked}, built({**parts, **asked}, SPEC if asked else GREY)
            except Unsupported:
                continue
    raise AssertionError(f"the page says that {pair} composes, and nothing goes with it")


def test_every_parameter_moves_in_every_pair_that_the_page_says_trains():
    pairs = [pair for table in TABLES for pair in working(*table)]
    assert len(pairs) > 600
    judged = set()
    likelihoods = set()
    for parts, model in compositions(pairs):
        assert not unmoved(model), parts
        if (parts["encoder"], parts["prior"]) not in judged:
            must_judge_by_its_prior(model)
        judged.add((parts["encoder"], parts["prior"]))
        likelihoods.add(parts.get("likelihood"))
    assert likelihoods >= set(LIKELIHOODS)


@pytest.mark.slow
def test_every_loss_trains_every_model_that_it_is_built_with():
    """Also the variants that `model` names; `ensemble` trains a member at a time."""
    for name, loss in product(KNOWN.variants, KNOWN.parts["loss"]):
        if name not in ("mix", "ensemble"):
            for spec in (SPEC, replace(SPEC, shape=(5, 3), network="rnn", has_gaps=True)):
                try:
                    model = built({"model": name, "loss": loss}, spec)
                except Unsupported:
                    continue
                rows = ROWS if spec is SPEC else ROWS.flatten(1)[:, :15].reshape(6, 5, 3)
                assert not unmoved(model, rows), (name, loss, spec.shape)


REFUSED = [
    ({"prior": "vamp", "loss": "lagging"}, "decoder contains it"),
    ({"prior": "vamp", "loss": "piwae"}, "decoder contains it"),
    ({"prior": "gmm", "loss": "reconstruction"}, "does not train a prior"),
    ({"prior": "flow", "loss": "rae_l2"}, "does not train a prior"),
    ({"prior": "gmm", "loss": "info"}, "does not train a prior"),
    ({"encoder": "hamiltonian", "prior": "gmm", "loss": "rae_sn"}, "does not train a prior"),
    ({"encoder": "planar", "loss": "stl"}, "its own draws only"),
    ({"encoder": "hamiltonian", "loss": "lagging"}, "its own draws only"),
    ({"encoder": "sylvester", "loss": "tvo"}, "its own draws only"),
    ({"encoder": "iaf", "loss": "dip", "loss.kind": "ii"}, "needs the variance of q"),
    ({"encoder": "iaf", "loss": "free_bits"}, "KL of every dimension on its own"),
    ({"decoder": "gyroplanes"}, "the space 'ball', and the posterior's live in 'real'"),
    ({"decoder": "running", "likelihood": "normal"}, "moved by the loss sigma alone"),
    ({"model": "bvae", "loss": "iwae"}, "a chain's"),
    ({"model": "bayes", "loss": "iwae"}, "have a posterior"),
    ({"model": "two_stage", "loss": "iwae"}, "the second stage"),
    ({"model": "vrnn", "loss": "reconstruction"}, "no gradient of the loss reconstruction reaches"),
    ({"model": "ladder", "loss": "factor"}, "needs the encoder apart"),
    (
        {"decoder": "learned_variance", "likelihood": "student_t"},
        "student_t was asked for, and this decoder brings one of its own",
    ),
]
CLASSES = {"encoder": "categorical", "prior": "uniform_classes", "decoder": "codes"}


@pytest.mark.parametrize(("parts", "words"), REFUSED)
def test_what_cannot_be_trained_is_refused_when_it_is_built(parts: dict[str, str], words: str):
    with pytest.raises(Unsupported, match=re.escape(words)):
        built(parts, GREY)


@pytest.mark.parametrize("loss", ["stl", "dreg", "tvo", "lagging"])
def test_a_posterior_that_knows_its_density_everywhere_is_not_called_blind(loss: str):
    for parts in (
        {"encoder": "iaf"},
        {"encoder": "householder"},
        {"encoder": "vmf", "prior": "uniform_sphere"},
        {"encoder": "hamiltonian", "encoder.steps": 0},
    ):
        assert not unmoved(built({**parts, "loss": loss}))
    with pytest.raises(Unsupported, match="in training these are relaxed"):
        built({**CLASSES, "loss": loss})


@pytest.mark.parametrize("loss", ["factor", "wae_gan"])
def test_a_critic_reads_codes_of_any_width_and_precision(loss: str):
    for parts in (CLASSES, {"encoder": "wrapped", "prior": "wrapped_normal"}):
        assert not unmoved(built({**parts, "loss": loss}))


def rate_of_loss(model: Model) -> float:
    """The learning rate of the critic, over that of the rest."""
    stepper = Stepper(model, BUDGET)
    rates = [rate / BUDGET.learning_rate for rate in stepper.optimizer.rates]
    sizes = [tensor.numel() for tensor in stepper.optimizer.tensors]
    stepper.release()
    wanted = sum(p.numel() for p in model.loss.parameters())
    return dict(zip(sizes, rates, strict=True)).get(wanted, 1.0)


def test_a_critic_keeps_its_learning_rate_wherever_it_goes(tmp_path: Path):
    for name, factor in (("wae_gan", 0.5), ("vae_gan", 0.02)):
        assert rate_of_loss(KNOWN.variants[name](SPEC)) == pytest.approx(factor)
        assert rate_of_loss(built({"loss": name})) == pytest.approx(factor)
        assert rate_of_loss(built({"model": "vae", "loss": name})) == pytest.approx(factor)
    slow = built({"loss": "wae_gan", "loss.critic_lr": 0.1})
    again = load(save(slow, tmp_path / "slow.safetensors"), KNOWN)
    assert rate_of_loss(again) == pytest.approx(0.1)


def test_another_loss_does_not_inherit_a_critics_learning_rate():
    assert rate_of_loss(built({"model": "vae_gan", "loss": "factor"})) == 1.0


def test_the_prior_of_exemplars_is_the_same_for_every_loss():
    """tvo draws apart from `infer`: it trained by the buffer's first random codes."""
    model = built({"model": "exemplar", "loss": "tvo"})
    before = model.prior.codes.clone()
    assert not unmoved(model)
    assert not torch.equal(model.prior.codes[:6], before[:6])


def test_a_vamp_prior_moves_no_statistics_of_its_encoder():
    model = built({"encoder": "batch_normalised", "prior": "vamp"})
    before = model.encoder.mean.clone()
    model.prior()
    assert torch.equal(model.encoder.mean, before)
    assert model.encoder.training


def test_the_scale_of_any_decoder_learns_by_likelihood_and_is_not_decayed():
    ball = {"encoder": "wrapped", "prior": "wrapped_normal", "decoder": "gyroplanes"}
    for loss in ("geco", "logcosh", "vae_gan"):
        model = built({**ball, "loss": loss, "likelihood": "normal"})
        assert not unmoved(model)
    model = built({"loss": "reconstruction", "loss.error": "squared", "likelihood": "normal"})
    assert not unmoved(model)

    decayed = built({"decoder": "timevae", "loss": "rae_l2", "likelihood": "normal"})
    (head,) = (part for part in decayed.decoder.modules() if isinstance(part, Likelihood))
    penalty = decayed.loss.penalty(decayed, torch.zeros(1, 6, 2), None)
    assert torch.autograd.grad(penalty, head.log_scale, allow_unused=True) == (None,)


def test_two_mixes_share_nothing():
    asked = {"prior": "gmm", "loss": "factor"}
    first = built(asked)
    second = built(asked)
    before = {name: value.clone() for name, value in second.state_dict().items()}
    assert not unmoved(first)
    assert all(torch.equal(value, before[name]) for name, value in second.state_dict().items())


def test_building_leaves_the_model_and_the_generator_as_they_were():
    """The step that `mix` tries moves no buffer and draws no number of the caller's."""
    model = built({"loss": "lagging", "encoder": "batch_normalised"})
    assert model.loss.step == 0
    assert torch.equal(model.encoder.variance, torch.ones(2))
    assert all(p.grad is None for p in model.parameters())
    torch.manual_seed(3)
    wanted = vaezoo.variants()["vae"](SPEC), torch.rand(1)
    torch.manual_seed(3)
    found = MIX(SPEC), torch.rand(1)
    assert torch.equal(wanted[1], found[1])
    for ours, theirs in zip(found[0].parameters(), wanted[0].parameters(), strict=True):
        assert torch.equal(ours, theirs)
