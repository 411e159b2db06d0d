"""Samplers that are fitted after training: what they learn, whom they refuse, and what the decoder
makes of their draws.
"""

import math

import pytest
import torch
from torch import Tensor

from vaezoo.core import Spec, Unsupported
from vaezoo.hyperparameters import resolve
from vaezoo.registry import registry
from vaezoo.samplers import PRIOR, Sampler, decode, draw_codes, prior_in_words

KNOWN = registry.load_registry()
IMAGE = Spec((1, 8, 8), n_train=64, classes=3, latent=4, hidden=16)
SEQUENCE = Spec((7, 5), n_train=64, latent=4, hidden=16, network="rnn")
N = 4000


def fitted(name: str, z: Tensor, **values: object) -> Sampler:
    torch.manual_seed(0)
    recipe = KNOWN.samplers[name]
    sampler = recipe(IMAGE, resolve(recipe.build, values, name))
    assert sampler is not None
    sampler.fit(z, 0)
    return sampler


def two_clumps() -> Tensor:
    """(N, 2): half of the rows around (-3, 0), half around (3, 0), the coordinates correlated
    within each.
    """
    g = torch.Generator().manual_seed(1)
    e = torch.randn(N, 2, generator=g) @ torch.tensor([[0.5, 0.4], [0.0, 0.3]])
    return e + torch.tensor([3.0, 0.0]) * torch.where(torch.arange(N) % 2 == 0, 1.0, -1.0)[:, None]


def z_scores(drawn: Tensor, true: Tensor) -> Tensor:
    """By how many standard errors the means of z and of its products differ, in two samples."""

    def moments(z: Tensor) -> Tensor:
        return torch.cat([z, torch.stack([z[:, 0] ** 2, z[:, 0] * z[:, 1], z[:, 1] ** 2], 1)], 1)

    a, b = moments(drawn), moments(true)
    return (a.mean(0) - b.mean(0)).abs() / (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()


FITS = {  # name -> hyperparameters that learn two clumps quickly
    "gaussian": {},
    "mixture": {"components": 2},
    "flow": {"steps": 250, "transforms": 2, "hidden": 32, "learning_rate": 5e-3},
    "vae": {"steps": 600, "hidden": 32, "learning_rate": 5e-3},
}


@pytest.fixture(scope="module", params=FITS)
def drawn(request) -> tuple[str, Tensor]:
    """A sampler's name, and draws of it after a fit to two clumps."""
    return request.param, fitted(request.param, two_clumps(), **FITS[request.param]).sample(N)


def test_moments_of_the_codes_are_kept(drawn):
    (name, x), z = drawn, two_clumps()
    if name in ("gaussian", "mixture"):
        assert z_scores(x, z).max() < 5  # five moments; 5 standard errors are 3e-6 by chance
    assert torch.allclose(x.mean(0), z.mean(0), atol=0.4)
    assert torch.allclose(x.T.cov(), z.T.cov(), rtol=0.3, atol=0.15)


def test_one_gaussian_fills_the_gap_between_two_clumps_and_the_others_do_not(drawn):
    name, x = drawn
    in_the_gap = float((x[:, 0].abs() < 1.5).float().mean())
    if name == "gaussian":
        assert in_the_gap > 0.33
    else:
        # a continuous map of N(0, I) joins the two
        assert in_the_gap < (0.28 if name == "vae" else 0.08)


def test_a_gaussian_fills_as_much_of_the_gap_as_its_formula_says():
    x = fitted("gaussian", two_clumps()).sample(N)[:, 0]
    p = math.erf(1.5 / math.sqrt(2 * 9.25))
    assert abs((x.abs() < 1.5).float().mean() - p) < 5 * math.sqrt(p * (1 - p) / N) + 0.01


@pytest.mark.parametrize("name", ["gaussian", "mixture", "flow", "vae"])
def test_one_seed_gives_one_fit(name):
    few = {"steps": 20} if name in ("flow", "vae") else {}
    first, again = (fitted(name, two_clumps(), **few).sample(50) for _ in range(2))
    assert torch.equal(first, again)


def test_a_mixture_of_fewer_codes_than_components_is_fitted():
    assert fitted("mixture", torch.randn(4, 3)).sample(7).shape == (7, 3)


@pytest.mark.parametrize(
    ("variant", "spec", "words"),
    [
        ("vq", IMAGE, "codebook"),
        ("fsq", IMAGE, "codebook"),
        ("vmf", IMAGE, "sphere"),
        ("poincare", IMAGE, "ball"),
        ("two_stage", IMAGE, "no such parts"),
        ("ladder", IMAGE, "no such parts"),
        ("vrnn", SEQUENCE, "no such parts"),
        ("dmm", SEQUENCE, "no such parts"),
    ],
)
def test_codes_that_are_not_one_real_vector_are_refused_with_a_reason(variant, spec, words):
    model = KNOWN.variants[variant](spec)
    with pytest.raises(Unsupported, match=words):
        draw_codes(model.eval(), [(torch.zeros(2, *spec.shape), None)])


@pytest.mark.parametrize("variant", ["vae", "rae_l2", "iaf", "vamp", "sylvester", "wae_mmd"])
def test_codes_are_those_of_the_encoder_and_the_decoder_reads_them(variant):
    model = KNOWN.variants[variant](IMAGE).eval()
    rows = [((torch.rand(n, 1, 8, 8) > 0.5).float(), None) for n in (5, 3)]
    z = draw_codes(model, rows)
    assert z.shape == (8, 4)
    assert decode(model, z, None, mean=True).shape == (8, 1, 8, 8)
    assert set(decode(model, z, None, mean=False).unique().tolist()) <= {0.0, 1.0}


def test_draws_of_the_posterior_have_its_spread():
    """The aggregate posterior, not the means: for an untrained encoder the spread is that of q(z|x)
    and of its means.
    """
    model, x = KNOWN.variants["vae"](IMAGE).eval(), (torch.rand(N, 1, 8, 8) > 0.5).float()
    with torch.no_grad():
        q = model.encoder(x)
    expected = q.mean.var(0) + q.variance.mean(0)
    z = draw_codes(model, [(x, None)])
    assert torch.allclose(z.var(0), expected, rtol=5 * math.sqrt(2 / N))


def test_a_prior_that_is_fitted_after_training_is_said_to_be():
    words = {
        name: prior_in_words(KNOWN.variants[name](IMAGE))
        for name in ("vae", "vamp", "rae_l2", "two_stage", "vq")
    }
    assert words["vae"] == words["vamp"] == PRIOR
    assert {words[name] for name in ("rae_l2", "two_stage", "vq")} == {
        "prior, itself fitted after training"
    }


def test_unknown_samplers_and_hyperparameters_are_one_sentence():
    with pytest.raises(registry.SelectionError, match="did you mean 'mixture'"):
        KNOWN.choose_samplers("prior,mixtur")
    with pytest.raises(registry.SelectionError, match="components is int"):
        KNOWN.choose_samplers("mixture[components=0]")
    assert [c.label for c in KNOWN.choose_samplers("prior,mixture[components=2,5]")] == [
        "prior", "mixture[components=2]", "mixture[components=5]",
    ]  # fmt: skip


STRANGER = '''
import torch
from vaezoo.hooks import Part, hookimpl
from vaezoo.samplers import Sampler


class Copies(Sampler):
    """Codes of the training set themselves."""

    def fit(self, z, seed):
        self.z = z

    def sample(self, n):
        return self.z[torch.randint(len(self.z), (n,))]


@hookimpl
def vaezoo_parts():
    return [Part("copies", Copies)]
'''


def test_a_stranger_adds_a_sampler_with_one_file(tmp_path):
    (tmp_path / "copies.py").write_text(STRANGER, encoding="utf-8")
    known = registry.load_registry(tmp_path)
    assert known.samplers["copies"].source_hash
    sampler = known.samplers["copies"](IMAGE, {})
    sampler.fit(torch.ones(3, 4), 0)
    assert torch.equal(sampler.sample(2), torch.ones(2, 4))
