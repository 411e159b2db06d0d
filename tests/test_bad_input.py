"""What is not x at all: each is one sentence, at the door; and a sequence of one step, which is x,
works everywhere.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import vaezoo
from vaezoo.cli import vaezoo as program
from vaezoo.core import Spec
from vaezoo.data.data import Data
from vaezoo.data.files import BadData
from vaezoo.evaluation import builtin_metrics, evaluate
from vaezoo.hyperparameters import HyperparameterError
from vaezoo.registry import registry
from vaezoo.training import checkpoint

IMAGES, GAPPY = Spec((1, 8, 8), classes=10, hidden=8), Spec((1, 8, 8), hidden=8, has_gaps=True)
SEQUENCES = Spec((5, 2), "normal", hidden=8, has_gaps=True, network="rnn")
RECURRENT = (
    "vrae", "storn", "vrnn", "srnn", "dkf", "dmm", "rvae[causal=true]", "rvae[causal=false]",
    "dsae", "kvae", "timevae", "rnn", "frames",
)  # fmt: skip
METRICS = ("likelihood", "samples", "prediction", "filter", "judges", "outliers", "reconstruction")


def with_value(shape: tuple[int, ...], value: float, *place: int) -> np.ndarray:
    x = np.zeros(shape)
    x[place] = value
    return x


FILES = {
    "whole": np.zeros((2, 1, 8, 8)),
    "channels": np.zeros((2, 3, 8, 8)),
    "none": np.zeros((0, 1, 8, 8)),
    "nan": with_value((2, 1, 8, 8), math.nan, 1, 0, 2, 2),
    "blank": with_value((2, 1, 8, 8), math.nan, 1),
    "infinite": with_value((2, 1, 8, 8), math.inf, 1, 0, 2, 2),
    "large": with_value((2, 1, 8, 8), 1e300, 1, 0, 2, 2),
    "words": np.full((2, 1, 8, 8), "1"),
    "complex": np.zeros((2, 1, 8, 8), complex),
    "long": np.zeros((2, 9, 2)),
    "short": np.zeros((2, 1, 2)),
    "wide": np.zeros((2, 5, 3)),
    "empty": np.zeros((2, 0, 2)),
    "unseen": with_value((2, 5, 2), math.nan, 1),
}  # fmt: skip
COMPLETE = "was trained on complete data and cannot read gaps: train it on data with gaps"
REFUSED = [
    ("vae", "channels", "channels.npy has rows of shape (3, 8, 8), and this model reads (1, 8, 8)"),
    ("vae", "none", "none.npy has no rows: its shape is (0, 1, 8, 8)"),
    ("vae", "nan", COMPLETE),
    (
        "vae",
        "infinite",
        "infinite.npy has an infinite value (or one too large for float32) in row 1 "
        "(counted from 0)",
    ),
    (
        "vae",
        "large",
        "large.npy has an infinite value (or one too large for float32) in row 1 (counted from 0)",
    ),
    ("vae", "words", "words.npy holds an array of type <U1; expected real numbers"),
    ("vae", "complex", "complex.npy holds an array of type complex128; expected real numbers"),
    ("missing", "none", "none.npy has no rows: its shape is (0, 1, 8, 8)"),
    ("missing", "infinite", "infinite.npy has an infinite value"),
    (
        "missing",
        "blank",
        "blank.npy: row 1 (counted from 0) is all NaN, an x of length 0; leave it out",
    ),
    (
        "vrnn",
        "long",
        "has rows of shape (9, 2), and this model reads (5, 2); "
        "pad shorter sequences with NaN and cut longer",
    ),
    (
        "vrnn",
        "short",
        "has rows of shape (1, 2), and this model reads (5, 2); pad shorter sequences with NaN",
    ),
    ("vrnn", "wide", "wide.npy has rows of shape (5, 3), and this model reads (5, 2)"),
    ("vrnn", "empty", "empty.npy has rows of shape (0, 2), and this model reads (5, 2)"),
    (
        "vrnn",
        "unseen",
        "unseen.npy: row 1 (counted from 0) is all NaN, an x of length 0; leave it out",
    ),
    (
        "cvae",
        "whole",
        "reads labels: it needs a condition c of width 10 for every row, and none was given",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files, and an untrained model of each of four variants."""
    made = tmp_path_factory.mktemp("bad")
    for name, x in FILES.items():
        np.save(made / f"{name}.npy", x)
    (made / "table.csv").write_text("a,b\n1,2\n")
    for name, spec in {"vae": IMAGES, "cvae": IMAGES, "missing": GAPPY, "vrnn": SEQUENCES}.items():
        checkpoint.save(registry.load_registry().variants[name](spec), made / f"{name}.safetensors")
    return made


def refusal(*args: object) -> str:
    """The one line that a bad call writes on stderr."""
    result = CliRunner().invoke(program, [str(arg) for arg in args], catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize("verb", ["encode", "reconstruct", "impute"])
@pytest.mark.parametrize(("variant", "file", "words"), REFUSED)
def test_a_file_that_a_model_cannot_read_is_refused(
    folder: Path, verb: str, variant: str, file: str, words: str
):
    model, path, out = folder / f"{variant}.safetensors", folder / f"{file}.npy", folder / "out.npz"
    where = [path] if verb == "impute" else ["-d", path]
    found = refusal(verb, model, *where, "-o", out)
    assert (COMPLETE if verb == "impute" and variant in ("vae", "cvae") else words) in found
    assert not out.exists()


def test_data_with_gaps_is_refused_by_a_model_of_complete_data_and_a_table_gets_a_hint(
    folder: Path,
):
    model = folder / "vae.safetensors"
    assert COMPLETE in refusal("encode", model, "-d", "holes[of=digits]", "-o", folder / "out.npz")
    words = refusal("encode", model, "-d", folder / "table.csv", "-o", folder / "out.npz")
    assert "table.csv has rows of shape (2,), and this model reads (1, 8, 8)" in words


def test_what_has_no_labels_is_refused_where_labels_are_read(folder: Path):
    data = vaezoo.dataset("digits")
    model = vaezoo.variants()["cvae"](replace(data.spec, hidden=8))
    for attempt in (lambda: model.infer(data.test[:2]), lambda: model.sample(2)):
        with pytest.raises(
            ValueError,
            match=r"reads labels: it needs a condition c .*for every row, and none was given",
        ):
            attempt()
    with pytest.raises(ValueError, match="reads labels: it needs a condition c"):
        vaezoo.fit(model, replace(data, labels={}), epochs=1)
    with pytest.raises(ValueError, match="needs labels as a condition; this data has none"):
        vaezoo.variants()["cvae"](replace(data.spec, classes=0))
    assert "needs labels as a condition" in refusal(
        "train", "cvae", "-d", "gaussian", "-o", folder / "new.safetensors"
    )


@pytest.mark.parametrize("name", ["lgssm[steps=0]", "lgssm[missing=1]", "gaussian[rows=0]"])
def test_generated_data_of_nothing_is_refused(name: str):
    with pytest.raises((HyperparameterError, ValueError), match="is out of range"):
        vaezoo.dataset(name)


def digits_with(split: str, x: torch.Tensor, **changes: object) -> Data:
    """Without labels, whose number would no longer be that of the rows."""
    data = vaezoo.dataset("digits")
    return replace(data, spec=replace(data.spec, hidden=8, **changes), labels={}, **{split: x})


X = torch.zeros(20, 1, 8, 8)
UNSOUND = {
    "NaN": (
        X.index_fill(0, torch.tensor(3), math.nan),
        {},
        "has NaN, and its spec says that there are no gaps",
    ),
    "a row of NaN": (
        X.index_fill(0, torch.tensor(3), math.nan),
        {"has_gaps": True},
        "row 3 is all NaN, an x of length 0",
    ),
    "all NaN": (X * math.nan, {"has_gaps": True}, "row 0 is all NaN"),
    "infinite": (X.index_fill(0, torch.tensor(3), math.inf), {}, "has an infinite value"),
    "no rows": (X[:0], {}, r"has shape \(0, 1, 8, 8\); its spec says \(N, 1, 8, 8\)"),
    "channels": (
        X.expand(-1, 3, -1, -1),
        {},
        r"has shape \(20, 3, 8, 8\); its spec says \(N, 1, 8, 8\)",
    ),
}


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("case", UNSOUND)
def test_nothing_is_trained_on_data_that_is_not_what_its_spec_says(split: str, case: str):
    x, changes, words = UNSOUND[case]
    data = digits_with(split, x, **changes)
    with pytest.raises(BadData, match=rf"digits \({split}\).*{words}"):
        vaezoo.fit(vaezoo.variants()["vae"](data.spec), data, epochs=1)


@pytest.mark.parametrize("name", RECURRENT)
def test_a_sequence_of_one_step_is_trained_on_and_measured(name: str, tmp_path: Path):
    data = vaezoo.dataset("lgssm[steps=1,rows=40]")
    data = replace(data, spec=replace(data.spec, hidden=8, latent=2))
    (choice,) = registry.load_registry().choose_variants(name)
    model = choice.entry(data.spec, **choice.values)
    history = vaezoo.fit(model, data, epochs=1)
    assert math.isfinite(history.rows[-1]["validation_loss"])
    chosen = [metric for metric in builtin_metrics() if metric.name in METRICS]
    answer = evaluate(model, data, metrics=chosen, cache=tmp_path)
    assert all(map(math.isfinite, answer.values()))
    assert {"elbo", "nll", "fid", "mse", "discriminative_score"} <= set(answer)
    assert not [reason for reason in answer.reasons.values() if "failed" in reason]
    nothing_ahead = "sequences of one step: there is no next one to predict"
    assert answer.reasons["predictive_score"] == answer.reasons["one_step_error"] == nothing_ahead
    assert model.sample(3).shape == (3, 1, 4)
