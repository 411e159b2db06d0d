"""The conformance kit finds each fault it is there for: one broken variant a rule."""

import pytest

from vaezoo.author.check import RULES, check
from vaezoo.registry.registry import load

HEAD = """
import math, torch
from torch import nn
from vaezoo.core import VAE, Encoder, Unsupported
from vaezoo.distributions import Drawable, normal
from vaezoo.hooks import hookimpl
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, Read, StandardNormal, Write, split_normal

def vae(spec, encoder=None, loss=None, decoder=None):
    return VAE(encoder or Gaussian(spec), decoder or Write(spec), StandardNormal(spec), loss or ELBO())

@hookimpl
def vaezoo_variants():
    return [broken]
"""
DOC = '    """A broken one.\n\n    Paper: none.\n    """\n'

FAULTS = {
    "builds": "def broken(spec):\n" + DOC + "    raise Unsupported()\n",
    "names_its_paper": "def broken(spec):\n    '''Without a source.'''\n    return vae(spec)\n",
    "takes_any_batch": (
        "class Bad(ELBO):\n"
        "    def combine(self, r, kl, t):\n        return {'loss': r + kl, 'extra': kl * math.inf}\n"
        "def broken(spec):\n" + DOC + "    return vae(spec, loss=Bad())\n"
    ),
    "learns": (
        "class Bad(ELBO):\n"
        "    def combine(self, r, kl, t):\n        return {'loss': 2 * (r + kl).detach() - r - kl}\n"
        "def broken(spec):\n" + DOC + "    return vae(spec, loss=Bad())\n"
    ),
    "trains_every_parameter": (
        "def broken(spec):\n"
        + DOC
        + "    model = vae(spec)\n    model.extra = nn.Parameter(torch.zeros(2))\n    return model\n"
    ),
    "has_a_sound_bound": (
        "class Wrong(Drawable):\n"
        "    def __init__(self, q):\n        super().__init__(q.batch_shape, q.event_shape)\n        self.q = q\n"
        "    def draw(self, shape):\n        z = self.q.rsample(shape)\n        return z, self.q.log_prob(z) - 3\n"
        "    def centre(self):\n        return self.q.mean\n"
        "from torch.distributions import register_kl, Independent, kl_divergence\n"
        "@register_kl(Wrong, Independent)\n"
        "def _(q, p):\n    return kl_divergence(q.q, p)\n"
        "class Bad(Gaussian):\n"
        "    def forward(self, x, c=None):\n        return Wrong(super().forward(x, c))\n"
        "def broken(spec):\n" + DOC + "    return vae(spec, Bad(spec))\n"
    ),
    "repeats_itself": (
        "import random\n"
        "class Bad(ELBO):\n"
        "    def combine(self, r, kl, t):\n        return {'loss': r + kl + random.random()}\n"
        "def broken(spec):\n" + DOC + "    return vae(spec, loss=Bad())\n"
    ),
    "evaluates_without_a_trace": (
        "class Bad(ELBO):\n"
        "    def __init__(self):\n        super().__init__()\n        self.register_buffer('n', torch.zeros(()))\n"
        "    def combine(self, r, kl, t):\n        self.n.add_(1)\n        return {'loss': r + kl}\n"
        "def broken(spec):\n" + DOC + "    return vae(spec, loss=Bad())\n"
    ),
    "samples_the_data": (
        "class Bad(VAE):\n"
        "    def sample(self, n, c=None, mean=False):\n        return super().sample(n, c, mean)[None]\n"
        "def broken(spec):\n"
        + DOC
        + "    return Bad(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())\n"
    ),
    "ignores_padding": (
        "class Bad(Gaussian):\n"
        "    def forward(self, x, c=None):\n"
        "        q = super().forward(x, c)\n"
        "        return normal(q.mean + x.isnan().float().sum() / 100, q.stddev)\n"
        "def broken(spec):\n" + DOC + "    return vae(spec, Bad(spec))\n"
    ),
    "saves_and_loads": (
        "class Bad(Gaussian):\n"
        "    def __init__(self, spec):\n        super().__init__(spec)\n        self.shift = id(self) % 1000 / 1000\n"
        "    def forward(self, x, c=None):\n"
        "        q = super().forward(x, c)\n        return normal(q.mean + self.shift, q.stddev)\n"
        "def broken(spec):\n" + DOC + "    return vae(spec, Bad(spec))\n"
    ),
    "stacks": (
        "class Bad(ELBO):\n"
        "    def combine(self, r, kl, t):\n        return {'loss': r + kl if r > 0 else r + 2 * kl}\n"
        "def broken(spec):\n" + DOC + "    return vae(spec, loss=Bad())\n"
    ),
    "takes_any_batch: shape": (
        "class Bad(ELBO):\n"
        "    def combine(self, r, kl, t):\n        return {'loss': r + kl, 'extra': torch.ones(3)}\n"
        "def broken(spec):\n" + DOC + "    return vae(spec, loss=Bad())\n"
    ),
    "trains_every_parameter: not finite": (
        "class Bad(ELBO):\n"
        "    def combine(self, r, kl, t):\n        return {'loss': r + kl + (kl - kl).abs().sqrt()}\n"
        "def broken(spec):\n" + DOC + "    return vae(spec, loss=Bad())\n"
    ),
    "samples_the_data: gradient": (
        "class Bad(VAE):\n"
        "    def sample(self, n, c=None, mean=False):\n"
        "        return self.decoder(self.prior().sample((1, n)), c).mean[0]\n"
        "def broken(spec):\n"
        + DOC
        + "    return Bad(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())\n"
    ),
    "is_silent": "def broken(spec):\n" + DOC + "    print('building')\n    return vae(spec)\n",
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_is_found_by_its_rule(tmp_path, fault):
    """A fault is a rule, with words of what was seen where the rule finds several."""
    rule, _, words = fault.partition(": ")
    (tmp_path / "faulty.py").write_text(HEAD + FAULTS[fault])
    findings = check(load(tmp_path).variants["broken"], fast=True)
    broken = {f.rule for f in findings if not f.passed}
    assert rule in broken
    assert any(words in f.seen for f in findings if f.rule == rule and not f.passed)
    assert broken <= {rule, "learns", "repeats_itself", "saves_and_loads", "stacks"}, [
        f for f in findings if not f.passed
    ]
    assert all(f.seen and f.mend for f in findings if not f.passed)


def test_every_rule_has_a_fault_that_it_finds():
    assert {rule.__name__ for rule in RULES} == {fault.partition(":")[0] for fault in FAULTS}


def test_a_sound_variant_breaks_no_rule():
    assert [f for f in check(load().variants["vae"], fast=True) if not f.passed] == []
