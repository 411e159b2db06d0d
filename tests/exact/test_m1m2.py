"""M1+M2: its density by enumeration of the classes and quadrature over both codes, and which labels
it reads.
"""

import math

import pytest
import torch
from torch.nn import functional as F
from vaezoo_plugins.m1m2 import M1M2, balanced, m1m2

import vaezoo
from vaezoo.core import Spec
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

SPEC = Spec((3,), n_train=60, latent=1, hidden=8, classes=3)


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(60, 3, generator=torch.Generator().manual_seed(0)).round().double()
    return x, F.one_hot(x.sum(1).long() % 3, 3).double()


def model(is_trained: bool) -> M1M2:
    with seeded("m1m2"):
        made = m1m2(SPEC, labels=12, epochs=20).double().eval()
        if is_trained:
            made.fit_prior(*rows())
        with torch.no_grad():
            for net in (made.first.encoder.net.out, made.second.read):
                net[-1].bias[1:] += 1  # wide posteriors, so that weights have no long tail
    return made


@torch.no_grad()
def log_p_code(made: M1M2, z1: torch.Tensor) -> torch.Tensor:
    """log p(z₁, y), (C, N), for codes (N, 1), by quadrature over z₂."""
    z2, cell = quadrature.grid(1, 8.0, 801)
    found = []
    for y in torch.eye(3).double():
        p = made.second.p_z1(z2[:, None], y.expand(len(z2), 1, 3))
        log_joint = p.log_prob(z1) + made.second.prior().log_prob(z2)[:, None]
        found.append(quadrature.log_integral(log_joint, cell) - math.log(3))
    return torch.stack(found)


@pytest.mark.certifies("m1m2", claim="log p(x) = log Σ_y ∫∫ p(y) p(z₂) p(z₁|y, z₂) p(x|z₁)")
@pytest.mark.parametrize("is_trained", [False, True])
def test_weights_have_the_mean_of_the_likelihood(is_trained):
    """n = 40,000, z-score below 4."""
    made, n = model(is_trained), 40_000
    x = rows()[0][:5]
    z1, cell = quadrature.grid(1, 10.0, 2001)
    with torch.no_grad(), seeded(1):
        log_code = log_p_code(made, z1).logsumexp(0)
        log_x = made.first.decoder(z1[:, None].expand(-1, 5, -1)).log_prob(x)
        exact = quadrature.log_integral(log_code[:, None] + log_x, cell)
        w = (made.infer(x, k=n).log_w - exact).exp()
    assert w.std(0).max() < 5
    assert ((w.mean(0) - 1).abs() < 4 * w.std(0) / math.sqrt(n)).all()


@pytest.mark.certifies("m1m2", claim="-L(z₁, y) ≤ log p(z₁, y) and -U(z₁) ≤ log p(z₁)")
@pytest.mark.parametrize("is_trained", [False, True])
def test_both_bounds_are_below_what_they_bound_and_u_is_the_expected_l_less_the_entropy(is_trained):
    """Means of 4,000 bounds, z-score below 4."""
    made, z1 = model(is_trained), torch.tensor([[-1.5], [0.2], [1.0]]).double()
    exact = log_p_code(made, z1)
    with torch.no_grad(), seeded(1):
        bounds = torch.stack([made.second.bounds(z1) for _ in range(4000)])
    assert (bounds.mean(0) < exact + 4 * bounds.std(0) / math.sqrt(4000)).all()

    with torch.no_grad():
        with seeded(2):
            l_of = -made.second.bounds(z1)
        with seeded(2):
            found = made.second.loss(z1, torch.eye(3).double(), torch.zeros(3).bool())
        with seeded(2):
            known = made.second.loss(z1, torch.eye(3).double(), torch.ones(3).bool())
        log_q = made.second.classifier(z1).log_softmax(-1)
    entropy = -(log_q.exp() * log_q).sum(1)
    expected = (log_q.exp() * l_of.T).sum(1) - entropy
    torch.testing.assert_close(found, expected.mean(), atol=1e-12, rtol=0)
    torch.testing.assert_close(known, l_of.diagonal().mean(), atol=1e-12, rtol=0)
    q, mean = log_q.exp(), bounds.mean(0)
    assert ((q * (mean.T - log_q)).sum(1) < exact.logsumexp(0) + 1e-2).all()


@pytest.mark.certifies("m1m2", claim="as many labels as asked for are read, the classes in balance")
def test_only_the_labels_of_a_balanced_few_are_read():
    x, c = rows()
    labelled = balanced(c, 12)
    of_class = c[labelled].sum(0)
    assert (len(labelled), len(labelled.unique())) == (12, 12)
    assert of_class.max() - of_class.min() <= 1
    is_labelled = torch.zeros(60).bool()
    is_labelled[labelled] = True
    loc, _ = model(False)._posteriors(x)
    wrong = torch.where(is_labelled[:, None], c, c.roll(1, -1))
    second = model(False).second
    for known, is_same in ((wrong, True), (c.roll(1, -1), False)):
        with seeded(3):
            expected = second.loss(loc, c, is_labelled) + second.error(loc[labelled], c[labelled])
        with seeded(3):
            found = second.loss(loc, known, is_labelled)
            found = found + second.error(loc[labelled], known[labelled])
        assert torch.equal(found, expected) == is_same


def test_rare_classes_give_all_their_rows_and_the_others_fill_up():
    c = F.one_hot(torch.tensor([0] * 2 + [1] * 30 + [2] * 30), 3).double()
    assert c[balanced(c, 20)].sum(0).tolist() == [2, 9, 9]
    assert len(balanced(c, 1000)) == 62


def test_the_second_stage_leaves_the_first_alone_and_tightens_the_bound():
    made, (x, c) = model(False), rows()
    before = {name: value.clone() for name, value in made.first.state_dict().items()}
    with torch.no_grad(), seeded(4):
        loose = made.infer(x, k=200).log_w.mean()
        made.fit_prior(x, c)
        assert made.infer(x, k=200).log_w.mean() > loose + 0.05
    assert all(torch.equal(v, before[k]) for k, v in made.first.state_dict().items())


@pytest.mark.certifies(
    "m1m2", claim="unlabelled rows raise the accuracy over a classifier on the labelled ones alone"
)
def test_unlabelled_rows_help_the_classifier():
    """0.79 against 0.72, of 300 test rows; with α = 0.1 0.75."""
    data = vaezoo.dataset("digits")
    c = data.condition("train")
    labelled = balanced(c, 100)
    x, y = data.train[labelled].flatten(1), data.labels["train"][labelled]
    with seeded("alone"):
        alone = torch.nn.Sequential(
            torch.nn.Linear(64, 128), torch.nn.SiLU(), torch.nn.Linear(128, 10)
        )
        adam = torch.optim.Adam(alone.parameters(), 3e-3)
        for _ in range(150):
            adam.zero_grad()
            F.cross_entropy(alone(x), y).backward()
            adam.step()
        made = vaezoo.variants()["m1m2"](data.spec, alpha=1.0)
    vaezoo.fit(made, data, epochs=100)
    right = {"alone": alone(data.test.flatten(1)), "m1m2": made.classify(data.test)}
    accuracy = {
        name: (log_q.argmax(1) == data.labels["test"]).float().mean().item()
        for name, log_q in right.items()
    }
    assert accuracy["m1m2"] > accuracy["alone"] + 0.02, accuracy
