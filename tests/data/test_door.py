"""What a `Data` must be is said at one door, in one sentence each."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import vaezoo
from vaezoo.cli import vaezoo as program
from vaezoo.core import Spec
from vaezoo.data.data import Card, Data
from vaezoo.data.files import BadData
from vaezoo.registry.entries import Dataset
from vaezoo.registry.loading import Plugin

X = torch.rand(30, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(10) % 2
SPEC = Spec((4,), "normal", n_train=10, classes=2, latent=2, hidden=4)


def made(**changes: object) -> Data:
    labels = {"train": Y, "validation": Y, "test": Y}
    data = Data("made", SPEC, X[:10], X[10:20], X[20:], Card("", "", "", ""), labels)
    spec = {name: changes.pop(name) for name in list(changes) if hasattr(SPEC, name)}
    return replace(data, spec=replace(SPEC, **spec), **changes)


def labels(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"train": Y, "validation": Y, "test": Y} | changes


REFUSED = {
    "bytes": ({"train": (X[:10] * 255).to(torch.uint8)}, r"torch.uint8; .* write .float\(\) / 255"),
    "whole numbers": ({"test": X[20:].long()}, r"\(test\) is of torch.int64; expected"),
    "arrays": ({"train": X[:10].numpy()}, "is of type ndarray; expected a torch.Tensor"),
    "two shapes": ({"validation": X[10:20, :3]}, r"shape \(10, 3\); its spec says \(N, 4\)"),
    "too few labels": ({"labels": labels(train=Y[:9])}, "has 10 rows and labels of shape"),
    "columns of labels": ({"labels": labels(train=Y[:, None])}, r"labels of shape \(10, 1\)"),
    "labels of one split": ({"labels": {"train": Y}}, r"\(validation\) has no labels, and other"),
    "labels as numbers": ({"labels": labels(test=Y.float())}, "labels of torch.float32; .*long"),
    "a label too large": ({"labels": labels(test=Y + 1)}, r"has the label 2, .* expected 0 … 1"),
    "a label below 0": ({"labels": labels(train=Y - 1)}, "has the label -1, .* classes=2"),
    "one class": ({"classes": 1, "labels": labels(train=Y * 0)}, "one class|has the label 1"),
    "no classes": ({"classes": 0}, "has labels, and its spec says classes=0"),
    "factors of other rows": ({"factors": {"train": torch.zeros(3, 2)}}, "rows and 3 of factors"),
    "no probabilities": (
        {"train": X[:10] * 255, "is_dynamic": True, "likelihood": "bernoulli",
         "validation": X[10:20].round(), "test": X[20:].round()},
        r"binarised in every minibatch and has 2\d\d",
    ),
    "grey values as bits": (
        {"train": X[:10] * 255, "likelihood": "bernoulli"},
        "likelihood=bernoulli is for 0 and 1",
    ),
    "times": ({"test": X[20:] + 1.7e9}, "such as 1.7e.09, which float32 does not"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_is_trained_on_what_is_no_data(case: str):
    changes, words = REFUSED[case]
    data = made(**changes)
    model = vaezoo.variants()["vae"](data.spec)
    with pytest.raises(BadData, match=words) as caught:
        vaezoo.fit(model, data, epochs=1)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(("made", "likelihood="))


def test_what_is_data_is_trained_on():
    for data in (made(), made(labels={}, classes=0), made(train=X[:10].double().float())):
        assert vaezoo.fit(vaezoo.variants()["vae"](data.spec), data, epochs=1).rows


def test_a_plugins_data_set_is_looked_at_when_it_is_loaded():
    def short() -> Data:
        return made(n_train=99)

    entry = Dataset("short", short, Plugin("short", "", "", "", ""))
    with pytest.raises(BadData, match="10 rows to train on, and its spec says n_train=99; write"):
        entry.load()


PLUGIN = """
import torch
from vaezoo.core import Spec
from vaezoo.data import Card, Data
from vaezoo.hooks import hookimpl

def noise(scale: float = 1.0):
    x = scale * torch.rand(30, 4)
    spec = Spec((4,), "normal", n_train=COUNT)
    return Data("noise", spec, x[:10], x[10:20], x[20:], Card("noise", "here", "none", "CARD"))

@hookimpl
def vaezoo_datasets():
    return [noise]
"""


def check(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(program, ["check", *map(str, words)], catch_exceptions=False)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"COUNT": "10", "torch.rand(": "torch.ones("}, 0, "1 data sets keep the contract"),
        ({"COUNT": "10"}, 1, "is_the_same_again: loaded twice it is not the same"),
        ({"COUNT": "7"}, 1, "is_sound: noise has 10 rows to train on, and its spec says n_train=7"),
        (
            {"COUNT": "10", "torch.rand(": "torch.ones(", "CARD": ""}, 1,
            "has_a_card: its card has no processing",
        ),
        (
            {"COUNT": "10", '"normal"': '"bernoulli"'}, 1,
            "has_values_of_its_likelihood: likelihood=bernoulli is for 0 and 1",
        ),
    ],
    ids=["whole", "random", "counted", "card", "values"],
)  # fmt: skip
def test_check_knows_the_data_sets_of_a_plugin(
    changes: dict[str, str], code: int, words: str, tmp_path: Path
):
    text = PLUGIN
    for old, new in changes.items():
        text = text.replace(old, new)
    (tmp_path / "noise.py").write_text(text)
    found = check(tmp_path / "noise.py")
    assert found[0] == code
    assert words in found[1]


def test_check_knows_data_sets_by_name_and_own_files(tmp_path: Path):
    assert check("digits")[0] == 0
    (tmp_path / "x.csv").write_text("a,b\n" + "".join(f"{i}.5,{i % 4}\n" for i in range(20)))
    assert "1 data sets keep the contract" in check(tmp_path / "x.csv")[1]
