"""The conformance kit finds each fault it is there for: one broken variant a rule."""

import pytest

from tests.planted import WRONG_Q
from vaezoo.author.check import check
from vaezoo.author.rules import RULES
from vaezoo.registry.registry import load_registry

HEAD = """
import math, random, torch
from torch import nn
from torch.distributions import Independent, kl_divergence, register_kl
from vaezoo.core import VAE, Unsupported
from vaezoo.distributions import Drawable, normal
from vaezoo.hooks import hookimpl
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write

@hookimpl
def vaezoo_variants():
    return [broken]

def vae(spec, encoder=None, loss=None, of=VAE):
    encoder = encoder or Gaussian(spec)
    return of(encoder, Write(spec), StandardNormal(spec), loss or ELBO())
"""
TAIL = """
broken.__doc__ = broken.__doc__ or "A broken one.\\n\\nPaper: none."
"""


def of_loss(terms: str) -> str:
    """A variant whose loss gives these terms of r, kl and the progress t."""
    return f"""
class Bad(ELBO):
    def combine(self, r, kl, t):
        return {terms}

def broken(spec):
    return vae(spec, loss=Bad())
"""


FAULTS = {
    "builds": """
def broken(spec):
    raise Unsupported()
""",
    "names_its_paper": """
def broken(spec):
    'Without a source.'
    return vae(spec)
""",
    "takes_any_batch": of_loss("{'loss': r + kl, 'extra': kl * math.inf}"),
    "learns": of_loss("{'loss': 2 * (r + kl).detach() - r - kl}"),
    "trains_every_parameter": """
def broken(spec):
    model = vae(spec)
    model.extra = nn.Parameter(torch.zeros(2))
    return model
""",
    "has_a_sound_bound": WRONG_Q
    + """

@register_kl(Wrong, Independent)
def _(q, p):
    return kl_divergence(q.q, p)

class Bad(Gaussian):
    def forward(self, x, c=None):
        return Wrong(super().forward(x, c))

def broken(spec):
    return vae(spec, Bad(spec))
""",
    "refuses_nothing_once_trained": """
class Far(Gaussian):
    def forward(self, x, c=None):
        q = super().forward(x, c)
        return Wrong(q, q.mean.abs().mean() > 1)

class Wrong(Drawable):
    def __init__(self, q, is_far):
        super().__init__(q.batch_shape, q.event_shape)
        self.q = q
        self.is_far = is_far

    def draw(self, shape):
        z = self.q.rsample(shape)
        return z, self.q.log_prob(z) - 1e4 * self.is_far

    def centre(self):
        return self.q.mean

def broken(spec):
    return vae(spec, Far(spec))
""",
    "repeats_itself": of_loss("{'loss': r + kl + random.random()}"),
    "evaluates_without_a_trace": """
class Bad(ELBO):
    def __init__(self):
        super().__init__()
        self.register_buffer('n', torch.zeros(()))

    def combine(self, r, kl, t):
        self.n.add_(1)
        return {'loss': r + kl}

def broken(spec):
    return vae(spec, loss=Bad())
""",
    "samples_the_data": """
class Bad(VAE):
    def sample(self, n, c=None, mean=False):
        return super().sample(n, c, mean)[None]

def broken(spec):
    return vae(spec, of=Bad)
""",
    "ignores_padding": """
class Bad(Gaussian):
    def forward(self, x, c=None):
        q = super().forward(x, c)
        return normal(q.mean + x.isnan().float().sum() / 100, q.stddev)

def broken(spec):
    return vae(spec, Bad(spec))
""",
    "saves_and_loads": """
class Bad(Gaussian):
    def __init__(self, spec):
        super().__init__(spec)
        self.shift = id(self) % 1000 / 1000

    def forward(self, x, c=None):
        q = super().forward(x, c)
        return normal(q.mean + self.shift, q.stddev)

def broken(spec):
    return vae(spec, Bad(spec))
""",
    "stacks": of_loss("{'loss': r + kl if r > 0 else r + 2 * kl}"),
    "takes_any_batch: shape": of_loss("{'loss': r + kl, 'extra': torch.ones(3)}"),
    "trains_every_parameter: not finite": of_loss("{'loss': r + kl + (kl - kl).abs().sqrt()}"),
    "samples_the_data: gradient": """
class Bad(VAE):
    def sample(self, n, c=None, mean=False):
        return self.decoder(self.prior().sample((1, n)), c).mean[0]

def broken(spec):
    return vae(spec, of=Bad)
""",
    "is_silent": """
def broken(spec):
    print('building')
    return vae(spec)
""",
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_is_found_by_its_rule(tmp_path, fault):
    """A fault is a rule, with words of what was seen where the rule finds several."""
    rule, _, words = fault.partition(": ")
    (tmp_path / "faulty.py").write_text(HEAD + FAULTS[fault] + TAIL)
    findings = check(load_registry(tmp_path).variants["broken"], fast=True)
    broken = {f.rule for f in findings if not f.passed}
    assert rule in broken
    assert any(words in f.seen for f in findings if f.rule == rule and not f.passed)
    also = {"learns", "refuses_nothing_once_trained", "repeats_itself", "saves_and_loads", "stacks"}
    assert broken <= {rule} | also, [f for f in findings if not f.passed]
    assert all(f.seen and f.mend for f in findings if not f.passed)


def test_every_rule_has_a_fault_that_it_finds():
    assert {rule.__name__ for rule in RULES} == {fault.partition(":")[0] for fault in FAULTS}


def test_a_sound_variant_breaks_no_rule():
    assert [f for f in check(load_registry().variants["vae"], fast=True) if not f.passed] == []
