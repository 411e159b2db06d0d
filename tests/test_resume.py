"""A training that is killed and goes on gives the weights of one that was not, to the bit."""

import json
import os
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.conftest import CONV, IMAGE, SEQUENCE, labels_of, rows_of
from vaezoo.core import Model, Spec, Unsupported
from vaezoo.data import sealed
from vaezoo.data.data import Card, Data
from vaezoo.registry.registry import load_registry
from vaezoo.seeds import seeded
from vaezoo.training import fit, resume
from vaezoo.training.resume import Bookmark

CARD = Card("rows", "made here", "none", "none")
BUDGET = {"epochs": 5, "batch": 16, "patience": 3, "learning_rate": 1e-2}
VARIANTS = load_registry().variants
# What each has beside weights that Adam moves.
STATEFUL = {
    "vae": "nothing",
    "bn": "running moments",
    "geco": "a multiplier",
    "vq": "a codebook that is a mean",
    "cyclical": "a schedule of progress",
    "lagging": "steps of one part alone",
    "vae_gan": "a critic with a rate of its own",
    "bvae": "a chain of weights outside of Adam",
    "gumbel": "a temperature",
    "vamp": "parts that share the encoder",
    "vrnn": "steps",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch is kept."""
    monkeypatch.setattr(resume, "EVERY", 0.0)


def data_of(spec: Spec) -> Data:
    """Rows of noise; images are binarised anew in every epoch."""
    spec = replace(spec, hidden=8, n_train=48, is_dynamic=spec.is_image)
    x = rows_of(spec, 96)
    y = labels_of(spec, 96)
    splits = {"train": slice(48), "validation": slice(48, 72), "test": slice(72, None)}
    labels = {} if y is None else {name: y[at].argmax(1) for name, at in splits.items()}
    train = 0.2 + 0.6 * x[:48] if spec.is_image else x[:48]
    return Data("rows", spec, train, x[48:72], x[72:], CARD, labels)


def built(variant: str, data: Data) -> Model:
    with seeded("weights", 0):
        return VARIANTS[variant](data.spec)


def bookmark(path: Path) -> Bookmark:
    said: list[str] = []
    mark = Bookmark(path, {"key": "k"}, said.append)
    mark.said = said
    return mark


def killed(variant: str, data: Data, path: Path, epoch: int, **budget) -> None:
    """Trains in a process of its own, which SIGKILL ends when it has come to this epoch."""

    def report(at: int, *_: object) -> None:
        if at == epoch:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            fit(built(variant, data), data, report=report, bookmark=bookmark(path), **budget)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


def bits(model: Model) -> dict[str, torch.Tensor]:
    return dict(model.named_parameters()) | dict(model.named_buffers())


def assert_goes_on_to_the_bit(
    variant: str, data: Data, path: Path, epochs: list[int], **more: object
) -> None:
    asked = BUDGET | more
    whole = built(variant, data)
    history = fit(whole, data, **asked)
    for epoch in epochs:
        killed(variant, data, path, epoch, **asked)
    mark = bookmark(path)
    model = built(variant, data)
    again = fit(model, data, bookmark=mark, **asked)

    assert mark.said == [f"vaezoo: training goes on after epoch {epochs[-1]}"]
    for name, tensor in bits(whole).items():
        assert torch.equal(tensor, bits(model)[name]), name
    assert again.best_epoch == history.best_epoch
    for row, same in zip(history.rows, again.rows, strict=True):
        assert row | {"seconds": 0} == same | {"seconds": 0}


@pytest.mark.parametrize("variant", STATEFUL)
def test_a_killed_training_goes_on_to_the_bit(variant: str, tmp_path: Path):
    spec = SEQUENCE if variant == "vrnn" else IMAGE
    first = random.Random(variant).randint(1, 3)
    epochs = [first, first + 1] if variant == "vae" else [first]
    assert_goes_on_to_the_bit(variant, data_of(spec), tmp_path / "state", epochs)


def test_a_killed_training_in_bf16_goes_on_to_the_bit(tmp_path: Path):
    assert_goes_on_to_the_bit("vae_gan", data_of(IMAGE), tmp_path / "state", [2], precision="bf16")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image", "sequence", "conv"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_killed_training_of_any_variant_goes_on_to_the_bit(
    variant: str, kind: str, tmp_path: Path
):
    data = data_of({"image": IMAGE, "sequence": SEQUENCE, "conv": CONV}[kind])
    try:
        built(variant, data)
    except (Unsupported, TypeError) as why:
        pytest.skip(str(why))
    epoch = random.Random(f"{variant} {kind}").randint(1, 3)
    assert_goes_on_to_the_bit(variant, data, tmp_path / "state", [epoch])


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The file that a training left when it was killed in its second epoch."""
    killed("vae", data_of(IMAGE), tmp_path / "state", 2, **BUDGET)
    return tmp_path / "state"


def changed(path: Path, **facts: object) -> None:
    tensors, about = sealed.read(path)
    said = json.loads(about)
    said["identity"] |= facts
    sealed.write(path, tensors, json.dumps(said))


def laid_out_otherwise(path: Path) -> None:
    """With moments of other lengths, as another layout of the parameters has them."""
    tensors, about = sealed.read(path)
    moments = {name: x for name, x in tensors.items() if name.endswith(("exp_avg", "exp_avg_sq"))}
    longer = {name: torch.cat([x.flatten(), x.new_zeros(5)]) for name, x in moments.items()}
    sealed.write(path, tensors | longer, about)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "it is damaged"),
        (lambda path: path.write_bytes(b""), "it is damaged"),
        (lambda path: changed(path, key="other"), "its key is other, here it is k"),
        (lambda path: changed(path, torch="1.0"), "its torch is 1.0, here it is"),
        (lambda path: changed(path, device="cuda"), "its device is cuda, here it is cpu"),
        (lambda path: sealed.write(path, {}, sealed.read(path)[1]), "its tensors are not those of"),
        (laid_out_otherwise, "another version laid its optimiser out"),
    ],
)
def test_a_file_that_does_not_fit_is_ignored_with_one_line(left: Path, spoil, why: str):
    spoil(left)
    mark = bookmark(left)
    history = fit(built("vae", data_of(IMAGE)), data_of(IMAGE), bookmark=mark, epochs=1)
    assert len(mark.said) == 1
    assert mark.said[0].startswith("vaezoo: state is ignored, and training starts anew: ")
    assert why in mark.said[0]
    assert len(history.rows) == 1


def test_a_training_that_was_over_is_not_trained_again(tmp_path: Path):
    data, path = data_of(IMAGE), tmp_path / "state"
    model, again = built("vae", data), built("vae", data)
    rows = fit(model, data, bookmark=bookmark(path), **BUDGET).rows
    told: list[int] = []
    history = fit(
        again, data, bookmark=bookmark(path), report=lambda at, *_: told.append(at), **BUDGET
    )
    assert history.rows == rows, "the seconds too"
    assert told == list(range(1, len(rows) + 1)), "who draws the curve gets all of it"
    assert all(torch.equal(tensor, bits(again)[name]) for name, tensor in bits(model).items())


def test_a_short_training_leaves_no_file_and_a_long_one_one_a_minute(tmp_path: Path, monkeypatch):
    ticks = iter(range(0, 10**6, 25))
    written: list[Path] = []
    monkeypatch.setattr("vaezoo.training.training.time.perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(resume, "EVERY", 60.0)
    monkeypatch.setattr(sealed, "write", lambda path, *_: written.append(path))
    data, path = data_of(IMAGE), tmp_path / "state"
    for epochs, files in ((2, 0), (3, 1), (7, 3)):
        written.clear()
        mark = bookmark(path)
        fit(built("vae", data), data, bookmark=mark, epochs=epochs, patience=9)
        assert len(written) == files, "an epoch takes 25 s; the last file is that of the end"


def test_a_folder_that_takes_no_file_costs_no_training(tmp_path: Path):
    (tmp_path / "in the way").write_text("")
    mark = bookmark(tmp_path / "in the way" / "state")
    history = fit(built("vae", data_of(IMAGE)), data_of(IMAGE), bookmark=mark, epochs=1)
    assert len(history.rows) == 1
    assert "state cannot be written, and training goes on" in mark.said[0]
