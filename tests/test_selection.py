"""The language of `--variants` and `--datasets`."""

from typing import Any

import pytest

from vaezoo.core import Model, Spec
from vaezoo.hooks import tags
from vaezoo.hyperparameters import Count, Fraction, Positive
from vaezoo.registry.entries import Function, Variant
from vaezoo.registry.loading import Plugin
from vaezoo.registry.registry import Registry
from vaezoo.registry.selection import Chosen, SelectionError, choose, heavy

PLUGIN = Plugin("d", "1", "m", "f", "h")


@tags("baseline")
def vae(spec: Spec) -> Model: ...  # type: ignore[empty-body]


@tags("recurrent")
def vrnn(
    spec: Spec,
    particles: Count = 1,
    name: str = "a",
    until: float | None = 1.0,
    sizes: tuple[int, ...] = (1,),
) -> Model: ...  # type: ignore[empty-body]


@tags("recurrent", "adversarial")
def seq_gan(spec: Spec) -> Model: ...  # type: ignore[empty-body]


def beta(spec: Spec, beta: Positive = 4.0, dropout: Fraction = 0.0) -> Model: ...  # type: ignore[empty-body]


def told(spec: Spec, target: Positive) -> Model: ...  # type: ignore[empty-body]


ALL = {
    f.__name__: Variant(f.__name__, Function(f), PLUGIN, in_all=f is not told)
    for f in (beta, seq_gan, told, vae, vrnn)
}


def choose_variants(text: str) -> list[Chosen[Variant]]:
    return choose(text, ALL, "variant")


def labels(text: str) -> list[str]:
    return [choice.label for choice in choose_variants(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vae", ["vae"]),
        ("vae,beta", ["vae", "beta"]),
        (" vae , beta ", ["vae", "beta"]),
        ("v*", ["vae", "vrnn"]),
        ("?ae", ["vae"]),
        ("recurrent", ["seq_gan", "vrnn"]),
        ("all", ["beta", "seq_gan", "vae", "vrnn"]),
        ("*", ["beta", "seq_gan", "vae", "vrnn"]),
        ("not:*gan", ["beta", "vae", "vrnn"]),
        ("not:recurrent,all", ["beta", "vae"]),
        ("all,not:vae,not:adversarial", ["beta", "vrnn"]),
        ("vae,all", ["vae", "beta", "seq_gan", "vrnn"]),
        ("vae,vae,v*", ["vae", "vrnn"]),
        ("beta[beta=1,4,8]", ["beta[beta=1.0]", "beta[beta=4.0]", "beta[beta=8.0]"]),
        ("beta,beta[beta=4]", ["beta"]),
        ("beta[beta=4],beta", ["beta[beta=4.0]"]),
        (
            "beta[beta=1,dropout=0,0.5]",
            ["beta[beta=1.0,dropout=0.0]", "beta[beta=1.0,dropout=0.5]"],
        ),
        (
            "beta[dropout=0,1,beta=1,2]",
            [f"beta[dropout={d},beta={b}]" for d in ("0.0", "1.0") for b in ("1.0", "2.0")],
        ),
        ("told[target=2]", ["told[target=2.0]"]),
        ("tag:recurrent", ["seq_gan", "vrnn"]),
        ("vae,tag:adversarial", ["vae", "seq_gan"]),
        ("all,not:tag:recurrent", ["beta", "vae"]),
        ("vrnn[name='x,y']", ["vrnn[name='x,y']"]),
        ('vrnn[name="it\'s"]', ['vrnn[name="it\'s"]']),
        ("vrnn[until=none]", ["vrnn[until=none]"]),
        ("vrnn[name=none]", ["vrnn[name=none]"]),
        ("vrnn[sizes=(1, 2),(3,4)]", ["vrnn[sizes=(1, 2)]", "vrnn[sizes=(3, 4)]"]),
    ],
)
def test_a_selection_names_these_rows_in_this_order(text: str, expected: list[str]):
    assert labels(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "beta[beta=1e-3,4]",
        "vrnn[name='x,y']",
        'vrnn[name="it\'s"]',
        "vrnn[sizes=(1,2)]",
        "vrnn[until=none]",
        "vae",
    ],
)
def test_a_label_names_the_row_again(text: str):
    for choice in choose_variants(text):
        (again,) = choose_variants(choice.label)
        assert (again.label, again.values) == (choice.label, choice.values)


def test_hyperparameters_have_the_annotated_type():
    (choice,) = choose_variants("vrnn[particles=3,name=7,until=2]")
    assert choice.values == {"particles": 3, "name": "7", "until": 2.0, "sizes": (1,)}
    assert isinstance(choice.values["particles"], int)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vea", "'vea'; did you mean 'vae'"),
        ("recurent", "did you mean 'recurrent'"),
        ("xyzzy", "there are beta, seq_gan"),
        ("tag:vae", "no variant has the tag 'vae'"),
        ("tag:recurent", "did you mean 'recurrent'"),
        ("x*", "no variant matches 'x*'"),
        ("not:x*,vae", "no variant matches 'x*'"),
        ("not:vea", "did you mean 'vae'"),
        ("vae,not:vae", "leaves no variant"),
        ("", "empty name"),
        ("vae,,beta", "empty name"),
        ("vae,", "empty name"),
        ("not:", "names nothing"),
        ("[beta=1]", "names nothing"),
        ("beta[beta=1", "lacks a closing ]"),
        ("beta]", "closes ']' where it is not open"),
        ("beta[(1]", "closes ']'"),
        ("vrnn[name='x]", "lacks a closing '"),
        ("beta[beta=1]x", "behind the closing bracket"),
        ("beta[]", "key=value"),
        ("beta[beta]", "key=value"),
        ("beta[beta=]", "key=value"),
        ("beta[=1]", "key=value"),
        ("beta[beta=1,,2]", "key=value"),
        ("beta[beta=1,beta=2]", "twice"),
        ("not:beta[beta=1]", "no hyperparameters"),
        ("beta[gama=1]", "no hyperparameter 'gama'; it has beta, dropout"),
        ("beta[bata=1]", "did you mean 'beta'"),
        ("beta[beta=-1]", "beta is float > 0"),
        ("beta[beta=nan]", "beta is float > 0"),
        ("beta[dropout=1.5]", "dropout is float"),
        ("beta[beta=1,x]", "beta[beta=x]"),
        ("vae[beta=1]", "no hyperparameter 'beta'; it has none"),
        ("v*[particles=2]", "vae has no hyperparameter"),
        ("told", "needs target=…"),
        ("t*", "means only told, which needs a value"),
    ],
)
def test_a_bad_selection_is_one_clear_sentence(text: str, words: str):
    with pytest.raises(SelectionError) as caught:
        choose_variants(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_any_text_is_chosen_or_refused_but_never_crashes():
    import random

    rng, letters = random.Random(0), ["vae", "beta", "beta=1", "not:", "all", *"*?[](),='\"x. "]
    for _ in range(3000):
        text = "".join(rng.choices(letters, k=rng.randint(0, 9)))
        result: Any
        try:
            result = choose_variants(text)
        except SelectionError as error:
            result = str(error)
        assert result


@tags("hierarchical", "heavy")
def deep(spec: Spec) -> Model: ...  # type: ignore[empty-body]


WITH_HEAVY = {**ALL, "deep": Variant("deep", Function(deep), PLUGIN)}
OTHERS = ["beta", "seq_gan", "vae", "vrnn"]


@pytest.mark.parametrize(
    ("text", "expected", "left"),
    [
        ("all", OTHERS, ["deep"]),
        ("all,tag:heavy", [*OTHERS, "deep"], []),
        ("all,deep", [*OTHERS, "deep"], []),
        ("not:recurrent", ["beta", "vae"], ["deep"]),
        ("all,not:tag:heavy", OTHERS, []),
        ("vae,all", ["vae", "beta", "seq_gan", "vrnn"], ["deep"]),
        ("*", [*OTHERS, "deep"], []),
        ("hierarchical", ["deep"], []),
        ("vae", ["vae"], []),
    ],
)
def test_all_leaves_out_what_is_heavy_and_says_so(text: str, expected: list[str], left: list[str]):
    chosen = choose(text, WITH_HEAVY, "variant")
    assert sorted(one.label for one in chosen) == sorted(expected)
    assert heavy(text, WITH_HEAVY, "variant") == left
    said = Registry(variants=WITH_HEAVY).left_out(text)
    assert ("all,tag:heavy" in said) == bool(left)
    assert all(name in said for name in left)
