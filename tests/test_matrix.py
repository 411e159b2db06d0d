"""Parts that are put together work, or are refused with a reason before any training;
docs/matrix.md says which.
"""

import re
from pathlib import Path

import pytest
import torch

from vaezoo.author.case import SPECS
from vaezoo.author.matrix import DOCUMENT, attempt, document, markdown, pairs
from vaezoo.core import Unsupported
from vaezoo.registry import registry

KNOWN = registry.load_registry()
PAGE = (Path(__file__).parent.parent / "docs" / "matrix.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["image", "sequence"])
def test_every_posterior_with_every_prior_works_or_says_why_not(kind):
    cells = list(pairs(KNOWN, "encoder", "prior", kind))
    assert not [cell for cell in cells if cell.answer == "failed"], markdown(
        cells, "encoder", "prior"
    )
    assert all(cell.reason for cell in cells if cell.answer != "bound")


def test_iwae_refuses_what_has_no_density():
    loss = KNOWN.parts["loss"]["iwae"].build()
    for name in ("vq", "fsq", "rae_l2"):
        with pytest.raises(Unsupported, match=r"has none: determin"):
            loss.check(KNOWN.variants[name](SPECS["image"]))
    assert attempt(KNOWN, {"encoder": "deterministic", "loss": "iwae"}, "image")[0] == "refused"


def test_a_vamp_prior_over_a_flow_without_an_inverse_is_refused_with_that_reason():
    answer, reason = attempt(KNOWN, {"encoder": "planar", "prior": "vamp", "loss": "iwae"}, "image")
    assert answer == "refused"
    assert "its own draws" in reason


@pytest.mark.parametrize(
    "parts", [{"prior": "gmm"}, {"prior": "normal", "likelihood": "continuous_bernoulli"}]
)
def test_sylvester_flows_go_with_other_priors_losses_and_likelihoods(parts):
    mix = KNOWN.variants["mix"]
    spec = SPECS["grey image"] if "likelihood" in parts else SPECS["image"]
    model = mix(spec, **mix.resolve({"encoder": "sylvester", "loss": "iwae", **parts}))
    x = torch.rand(3, *spec.shape)
    assert torch.isfinite(model(x if "likelihood" in parts else x.round())["loss"])


def test_the_page_has_every_part_and_no_failure():
    assert "FAILS |" not in PAGE
    assert not re.search(r"FAILS \[", PAGE)
    for rows, columns, kind in DOCUMENT:
        section = PAGE.split(f"## {rows.capitalize()} × {columns}, {kind}s\n")[1].split("\n## ")[0]
        head, _, *body = re.findall(r"^\| ?(.+?) ?\|$", section, re.MULTILINE)
        assert head.split(" | ")[1:] == list(KNOWN.parts[columns]), "run `make docs`"
        assert [row.split(" | ")[0] for row in body] == list(KNOWN.parts[rows]), "run `make docs`"


@pytest.mark.slow
def test_the_page_is_what_the_command_writes():
    assert document(KNOWN) == PAGE
