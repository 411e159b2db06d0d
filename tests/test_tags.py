"""The tags by which variants and data sets are chosen: ours are from one list, and true."""

import json

import pytest
from click.testing import CliRunner

from vaezoo.cli import vaezoo
from vaezoo.core import Spec, Unsupported
from vaezoo.hooks import TAGS, tags
from vaezoo.registry import load_registry
from vaezoo.registry.entries import Function, Variant

REGISTRY = load_registry()
VECTOR = Spec((16,), n_train=64, classes=3)
SEQUENCE = Spec((5, 4), n_train=64, classes=3)


def builds(variant: Variant, spec: Spec) -> bool:
    try:
        variant(spec)
    except Unsupported:
        return False
    return True


def test_our_tags_are_from_the_list_and_none_of_the_list_is_unused():
    entries = [*REGISTRY.variants.values(), *REGISTRY.datasets.values()]
    used = {tag for entry in entries for tag in entry.tags}
    assert used == set(TAGS)


def test_every_tag_has_one_sentence():
    for tag, sentence in TAGS.items():
        assert sentence.endswith("."), tag
        assert sentence.count(".") == 1, tag
        assert len(sentence) <= 90, tag


def test_recurrent_is_what_takes_sequences_and_refuses_vectors():
    recurrent = {name for name, v in REGISTRY.variants.items() if "recurrent" in v.tags}
    needs_steps = {
        name
        for name, variant in REGISTRY.variants.items()
        if builds(variant, SEQUENCE) and not builds(variant, VECTOR)
    }
    assert recurrent == needs_steps


def test_a_variant_is_static_or_recurrent():
    def untagged(spec): ...

    def with_steps(spec): ...

    assert Function(untagged).tags == {"static"}
    assert Function(tags("recurrent")(with_steps)).tags == {"recurrent"}


def test_one_tag_chooses_all_variants_that_disentangle():
    chosen = {one.entry.name for one in REGISTRY.choose_variants("disentanglement")}
    family = {
        "ada_gvae",
        "annealed",
        "beta",
        "beta_tc",
        "controlvae",
        "dip1",
        "dip2",
        "factor",
        "info",
        "joint",
    }
    assert chosen == family


@pytest.mark.parametrize("tag", ["prior", "missing", "image"])
def test_list_tags_says_what_a_tag_means_and_who_has_it(tag):
    answer = CliRunner().invoke(vaezoo, ["list", "tags", "--json"], catch_exceptions=False)
    (row,) = [row for row in json.loads(answer.output) if row["name"] == tag]
    assert row["what"] == TAGS[tag]
    entries = REGISTRY.variants | REGISTRY.datasets
    assert row["entries"] == [name for name, entry in entries.items() if tag in entry.tags]


def test_a_list_of_one_tag_says_what_the_tag_means():
    answer = CliRunner().invoke(vaezoo, ["list", "variants", "--tag", "collapse"])
    assert answer.output.startswith(f"collapse: {TAGS['collapse']}\n")
