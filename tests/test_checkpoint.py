"""A model comes back as it was, and a file that is not one is refused in one sentence."""

import json
import os
import pickle
import stat
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vaezoo.core import VAE, Model, Recipe, Spec, Unsupported
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.registry import registry
from vaezoo.training import checkpoint
from vaezoo.training.checkpoint import CheckpointError

SPEC = Spec((1, 8, 8), n_train=64, classes=10, latent=3, hidden=8)
SOME = ("vae", "beta", "gmm", "flow_prior", "vrnn", "wae_gan", "bn")


def model_of(name: str = "vae", **given: Any) -> Model:
    return registry.load_registry().variants[name](SPEC, **given)


def outputs(model: Model) -> list[torch.Tensor]:
    x, c = torch.ones(3, 1, 8, 8), torch.eye(10)[:3]
    model.eval()
    torch.manual_seed(0)
    return [model.infer(x, c, 2).log_px, model.sample(3, c)]


@pytest.mark.parametrize("name", SOME)
def test_a_model_comes_back_as_it_was(name: str, tmp_path: Path):
    model = model_of(name)
    for parameter in model.parameters():
        parameter.data.add_(0.01)
    again = checkpoint.load(checkpoint.save(model, tmp_path / "m.safetensors"))
    assert again.recipe == model.recipe
    assert not again.training
    assert again.state_dict().keys() == model.state_dict().keys()
    for mine, theirs in zip(outputs(model), outputs(again), strict=True):
        assert torch.equal(mine, theirs)


def test_a_mixed_model_comes_back_with_its_parts(tmp_path: Path):
    model = model_of("mix", posterior="iaf", prior="gmm", loss="renyi", **{"prior.components": 4})
    again = checkpoint.load(checkpoint.save(model, tmp_path / "m.safetensors"))
    assert again.recipe == model.recipe
    assert type(again.loss) is type(model.loss)
    assert torch.equal(outputs(model)[0], outputs(again)[0])


def test_buffers_that_training_changed_come_back(tmp_path: Path):
    model = model_of("bn")
    buffers = dict(model.named_buffers())
    assert buffers
    for buffer in buffers.values():
        if buffer.is_floating_point():
            buffer.data.add_(0.5)
    again = dict(
        checkpoint.load(checkpoint.save(model, tmp_path / "m.safetensors")).named_buffers()
    )
    assert all(torch.equal(buffer, again[name]) for name, buffer in buffers.items())


class Shared(VAE):
    """Its prior holds the encoder, as VampPrior does."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())
        self.prior.reader = self.encoder


def test_shared_tensors_are_written_once_and_are_shared_again(tmp_path: Path):
    (tmp_path / "twin.py").write_text(
        "from vaezoo.core import Spec, VAE\nfrom vaezoo.hooks import hookimpl\n"
        "from tests.test_checkpoint import Shared\n"
        "def twin(spec: Spec) -> VAE:\n    return Shared(spec)\n"
        "@hookimpl\ndef vaezoo_variants(): return [twin]\n"
    )
    loaded = registry.load_registry(tmp_path)
    model = loaded.variants["twin"](SPEC)
    path = checkpoint.save(model, tmp_path / "m.safetensors")
    assert not any(name.startswith("prior.reader") for name in load_file(path))
    again = checkpoint.load(path, loaded)
    assert isinstance(again, VAE)
    assert again.prior.reader is again.encoder
    assert torch.equal(outputs(model)[0], outputs(again)[0])


def test_loading_leaves_the_random_state_as_it_was(tmp_path: Path):
    path = checkpoint.save(model_of(), tmp_path / "m.safetensors")
    before = torch.random.get_rng_state()
    checkpoint.load(path)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_saving_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = checkpoint.save(model_of(), tmp_path / "m.safetensors")
    before = path.read_bytes()

    def full(tensors: Any, file: str, metadata: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save(model_of("beta"), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_a_checkpoint_has_the_permissions_of_any_new_file(tmp_path: Path):
    path, other = checkpoint.save(model_of(), tmp_path / "m.safetensors"), tmp_path / "other"
    other.write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def parts_of(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["vaezoo"])
        del about["digest"]  # as an older version wrote it
        return about, load_file(path)


def edited(path: Path, **changes: Any) -> Path:
    """The checkpoint with some entries of its recipe changed."""
    about, tensors = parts_of(path)
    about["recipe"] |= changes
    save_file(tensors, path, {"vaezoo": json.dumps(about)})
    return path


def test_changed_source_is_warned_of(tmp_path: Path):
    path = edited(checkpoint.save(model_of(), tmp_path / "m.safetensors"), source_hash="0" * 64)
    with pytest.warns(UserWarning, match=r"the source of 'vae' .* has changed"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"variant": "vea"},
            "needs the variant 'vea' of vaezoo .*, which is not here; did you mean 'vae'",
        ),
        (
            {"variant": "zzz", "distribution": "", "version": ""},
            "a loose file: give its folder with --plugins-dir",
        ),
        (
            {"hyperparameters": {"beta": 1}},
            "cannot be rebuilt by this 'vae': vae has no hyperparameter 'beta'",
        ),
        (
            {"spec": {"shape": [1, 8, 8], "latent": 5, "hidden": 8}},
            r"of shape \(\d+,.*\), and the variant .* now has \(",
        ),
        ({"spec": {"shape": [1, 8, 8], "colour": 5}}, "fields unknown to vaezoo .*: colour"),
        (
            {"spec": {"shape": [1, 8, 8], "likelihood": "poison"}},
            "no likelihood is called 'poison'",
        ),
        ({"hyperparameters": 3}, "a recipe that cannot be read"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(changes: dict[str, Any], words: str, tmp_path: Path):
    path = edited(checkpoint.save(model_of(), tmp_path / "m.safetensors"), **changes)
    with pytest.raises(CheckpointError, match=words):
        checkpoint.load(path)


def test_missing_and_additional_tensors_are_refused(tmp_path: Path):
    path = checkpoint.save(model_of(), tmp_path / "m.safetensors")
    about, tensors = parts_of(path)
    header, first = {"vaezoo": json.dumps(about)}, next(iter(tensors))
    save_file({name: t for name, t in tensors.items() if name != first}, path, header)
    with pytest.raises(CheckpointError, match=f"lacks the tensor {first}"):
        checkpoint.load(path)
    save_file(tensors | {"more": torch.ones(1)}, path, header)
    with pytest.raises(CheckpointError, match="holds the tensor more"):
        checkpoint.load(path)


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch bomb",)


def test_what_is_no_checkpoint_is_refused_and_no_pickle_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    whole = checkpoint.save(model_of(), tmp_path / "m.safetensors").read_bytes()
    torch.save({"a": torch.ones(1)}, "zip.pt")
    save_file({"a": torch.ones(1)}, "foreign.safetensors")
    files = {
        "pickle": (pickle.dumps(Bomb()), "pickle or a zip"),
        "zip": (Path("zip.pt").read_bytes(), "pickle or a zip"),
        "cut": (whole[: len(whole) // 2], "cut short"),
        "header": (whole[:20], "cut short"),
        "empty": (b"", "cut short"),
        "text": (b"hello, this is no checkpoint", "cut short"),
        "huge": (struct.pack("<Q", 2**60) + b"{}", "cut short"),
        "foreign": (Path("foreign.safetensors").read_bytes(), "it holds no recipe"),
    }
    for name, (content, words) in files.items():
        path = Path(f"{name}.bin")
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=words):
            checkpoint.load(path)
    assert not Path("bomb").exists()
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        checkpoint.load("nix.safetensors")


def test_a_newer_format_is_named(tmp_path: Path):
    path = checkpoint.save(model_of(), tmp_path / "m.safetensors")
    about, tensors = parts_of(path)
    save_file(tensors, path, {"vaezoo": json.dumps(about | {"format": 99})})
    with pytest.raises(
        CheckpointError, match=r"has checkpoint format 99, and vaezoo .* reads up to 2"
    ):
        checkpoint.load(path)


def test_where_and_what_cannot_be_saved_is_said(tmp_path: Path):
    bare = VAE(Gaussian(SPEC), Write(SPEC), StandardNormal(SPEC), ELBO())
    with pytest.raises(CheckpointError, match="has no recipe"):
        checkpoint.save(bare, tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=r"ends in \.safetensors; 'm\.pt' does not"):
        checkpoint.save(model_of(), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="does not exist"):
        checkpoint.save(model_of(), tmp_path / "nix" / "m.safetensors")
    bare.recipe = Recipe("vae", {"a": float("nan")}, SPEC, "", "", "")
    with pytest.raises(CheckpointError, match="cannot be written as JSON"):
        checkpoint.save(bare, tmp_path / "m.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.load_registry().variants)
def test_every_variant_can_be_saved_and_loaded(name: str, tmp_path: Path):
    loaded, spec = registry.load_registry(), replace(SPEC, shape=(1, 16, 16))
    try:
        model = loaded.variants[name](spec)
    except Unsupported as why:
        pytest.skip(str(why))
    again = checkpoint.load(checkpoint.save(model, tmp_path / "m.safetensors"))
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key]), key
