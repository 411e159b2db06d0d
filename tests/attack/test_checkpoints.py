"""A checkpoint from a stranger is refused in one sentence, soon, and nothing in it is run."""

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from vaezoo.core import Spec
from vaezoo.registry.registry import load_registry
from vaezoo.training import checkpoint
from vaezoo.training.checkpoint import CheckpointError

SPEC = Spec((1, 8, 8), n_train=64, classes=10, latent=3, hidden=8)
SECONDS = 5.0  # of which all but a fraction is a busy machine

Header = dict[str, str]
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = load_registry().variants["vae"](SPEC)
    return checkpoint.save(model, tmp_path_factory.mktemp("m") / "m.safetensors")


def opened(path: Path) -> tuple[Header, Tensors]:
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        return file.metadata(), tensors


def forged(whole: Path, folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The checkpoint as an older version wrote it, with no digest, and a recipe that is changed."""
    header, tensors = opened(whole)
    about = json.loads(header["vaezoo"])
    del about["digest"]
    about = change(about) or about
    text = about if isinstance(about, str) else json.dumps(about)
    save_file(tensors, folder / "forged.safetensors", {"vaezoo": text})
    return folder / "forged.safetensors"


def refusal(path: Path) -> str:
    start = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    assert time.process_time() - start < SECONDS
    said = str(caught.value)
    assert said.isprintable(), said
    assert len(said) < 500
    return said


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_in_any_place_is_refused(whole: Path, tmp_path: Path):
    path = tmp_path / "m.safetensors"
    content = whole.read_bytes()
    for at in range(0, len(content), len(content) // 40):
        path.write_bytes(content)
        flip(path, at)
        refusal(path)


def test_a_file_cut_anywhere_is_refused(whole: Path, tmp_path: Path):
    path = tmp_path / "m.safetensors"
    content = whole.read_bytes()
    for length in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:length])
        refusal(path)
    path.write_bytes(content + b"more")
    refusal(path)


TENSORS: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "not a number": (
        lambda t: {n: v if v.dim() < 2 else v * torch.nan for n, v in t.items()},
        "not a number",
    ),
    "infinite": (
        lambda t: {n: v if v.dim() < 2 else v / 0 for n, v in t.items()},
        "not a number or infinite",
    ),
    "double": (lambda t: {n: v.double() for n, v in t.items()}, "float64"),
    "half": (lambda t: {n: v.bfloat16() for n, v in t.items()}, "bfloat16"),
    "whole numbers": (lambda t: {n: v.long() for n, v in t.items()}, "int64"),
    "complex": (lambda t: {n: v.to(torch.complex64) for n, v in t.items()}, "complex64"),
    "none": (lambda t: {}, "lacks the tensor"),
    "flat": (lambda t: {n: v.flatten() for n, v in t.items()}, "of shape"),
    "empty": (lambda t: {n: v[:0] for n, v in t.items()}, "of shape"),
    "other names": (lambda t: {f"\x1b[31m{n}": v for n, v in t.items()}, "lacks the tensor"),
    "more": (lambda t: t | {"\x1b]0;x\a" + "x" * 10_000: torch.ones(1)}, "holds the tensor"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_other_tensors_are_refused_with_a_digest_and_without(
    name: str, whole: Path, tmp_path: Path
):
    change, words = TENSORS[name]
    path = tmp_path / "m.safetensors"
    header, tensors = opened(whole)
    changed = change(tensors)
    save_file(changed, path, header)
    assert "digest" in refusal(path)
    about = {k: v for k, v in json.loads(header["vaezoo"]).items() if k != "digest"}
    save_file(changed, path, {"vaezoo": json.dumps(about)})
    assert words in refusal(path)


def test_a_buffer_that_is_no_number_is_refused(tmp_path: Path):
    """Such as the variance that batch normalisation has seen."""
    model = load_registry().variants["bn"](SPEC)
    buffers = [one for _, one in model.named_buffers() if one.is_floating_point() and one.numel()]
    for buffer in buffers:
        buffer.fill_(torch.nan)
    assert "not a number" in refusal(checkpoint.save(model, tmp_path / "m.safetensors"))


def test_a_recipe_of_another_hand_is_refused_by_the_digest(whole: Path, tmp_path: Path):
    header, tensors = opened(whole)
    path = tmp_path / "m.safetensors"
    save_file(tensors, path, header | {"vaezoo": header["vaezoo"].replace('"vae"', '"beta"')})
    assert "digest" in refusal(path)


def test_a_checkpoint_of_an_older_version_has_no_digest_and_loads(whole: Path, tmp_path: Path):
    path = forged(whole, tmp_path, lambda about: about)
    assert checkpoint.load(path).recipe == checkpoint.load(whole).recipe


def put(*keys: str, to: Any) -> Callable[[dict[str, Any]], None]:
    """Sets one field of what is said about a model."""

    def change(about: dict[str, Any]) -> None:
        place = about
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


def without(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(about: dict[str, Any]) -> None:
        place = about
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


DEEP = "[" * 100_000 + "]" * 100_000
spec = ("recipe", "spec")
HEADERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a width of gigabytes": put(*spec, "hidden", to=25_000),
    "a width beyond memory": put(*spec, "hidden", to=10**9),
    "a width of 400 digits": put(*spec, "hidden", to=10**400),
    "a width below zero": put(*spec, "hidden", to=-3),
    "a width of nothing": put(*spec, "hidden", to=0),
    "a width in words": put(*spec, "hidden", to="8"),
    "a width that is a fraction": put(*spec, "hidden", to=8.5),
    "a width that is no number": put(*spec, "hidden", to=float("nan")),
    "a width that is infinite": put(*spec, "hidden", to=float("inf")),
    "a width that is true": put(*spec, "hidden", to=True),
    "a width that is a list": put(*spec, "hidden", to=[8]),
    "no width": put(*spec, "hidden", to=None),
    "codes of gigabytes": put(*spec, "latent", to=10**8),
    "an image of gigabytes": put(*spec, "shape", to=[1, 30_000, 30_000]),
    "no shape": put(*spec, "shape", to=[]),
    "a shape in words": put(*spec, "shape", to="188"),
    "a shape below zero": put(*spec, "shape", to=[1, -8, -8]),
    "a shape of many axes": put(*spec, "shape", to=[1] * 1_000),
    "a shape of floats": put(*spec, "shape", to=[1.0, 8.0, 8.5]),
    "classes beyond memory": put(*spec, "condition", to=10**9),
    "another likelihood": put(*spec, "likelihood", to="normal[" + "[" * 10_000),
    "a likelihood that is code": put(*spec, "likelihood", to="__import__('os').system('true')"),
    "a likelihood that is a list": put(*spec, "likelihood", to=["bernoulli"]),
    "a network of letters": put(*spec, "network", to="x" * 100_000),
    "a spec that is null": put(*spec, to=None),
    "a spec that is a list": put(*spec, to=[1, 8, 8]),
    "no spec": without(*spec),
    "no recipe": without("recipe"),
    "a recipe that is a list": put("recipe", to=[]),
    "a variant that is null": put("recipe", "variant", to=None),
    "a variant that is a list": put("recipe", "variant", to=["vae"]),
    "a variant that is a path": put("recipe", "variant", to="../../etc/passwd"),
    "a variant of escapes": put("recipe", "variant", to="\x1b[2J\x07\u202evae"),
    "a variant of a million letters": put("recipe", "variant", to="v" * 10**6),
    "no variant": without("recipe", "variant"),
    "hyperparameters that are a list": put("recipe", "hyperparameters", to=[["a", 1]]),
    "hyperparameters that are null": put("recipe", "hyperparameters", to=None),
    "a hyperparameter spec": put("recipe", "hyperparameters", to={"spec": 1}),
    "a hyperparameter with no name": put("recipe", "hyperparameters", to={"": 1}),
    "a source that is a number": put("recipe", "source_hash", to=5),
    "no source": without("recipe", "source_hash"),
    "no distribution": without("recipe", "distribution"),
    "a further field": put("recipe", "colour", to="red"),
    "shared that is a list": put("shared", to=["a"]),
    "shared with lists": put("shared", to={"a": ["b"]}),
    "shared with what is not there": put("shared", to={"a": "b"}),
    "no format": without("format"),
    "a format in words": put("format", to="one"),
    "a format that is null": put("format", to=None),
    "a format that is true": put("format", to=True),
    "versions that are a list": put("versions", to=["1"]),
    "a reader that is a list": put("reader", to=[1]),
    "a reader in words": put("reader", to={"mean": "many"}),
    "a reader of null": put("reader", to={"mean": [None]}),
    "a reader of many columns": put("reader", to={"mean": [1.0] * 100}),
    "a reader of no width": put("reader", to={"deviation": [0.0]}),
    "a reader from the future": put("reader", to={"log": True}),
    "null": lambda about: "null",
    "a list": lambda about: "[1, 2]",
    "a number": lambda about: "1" * 5_000,
    "nothing": lambda about: " ",
    "no JSON": lambda about: "{'format': 1}",
    "a hundred thousand brackets": lambda about: DEEP,
    "a hundred thousand brackets inside": lambda about: json.dumps(about)[:-1] + f', "a": {DEEP}}}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_an_odd_header_is_one_sentence(name: str, whole: Path, tmp_path: Path):
    refusal(forged(whole, tmp_path, HEADERS[name]))


@pytest.mark.parametrize(
    ("variant", "given"),
    [
        ("gmm", {"components": 10**8}),
        ("iaf", {"depth": 10**7}),
        ("vamp", {"components": 10**9}),
    ],
)
def test_a_hyperparameter_beyond_memory_is_refused_before_it_is_built(
    variant: str, given: dict[str, Any], whole: Path, tmp_path: Path
):
    def change(about: dict[str, Any]) -> None:
        about["recipe"] |= {"variant": variant, "hyperparameters": given}

    refusal(forged(whole, tmp_path, change))


def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path):
    path = tmp_path / "m.safetensors"
    for shape, end in (([2**40], 2**42), ([4], 2**62), ([-1], 4), ([1], 0)):
        words = {"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}
        header = json.dumps(words).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 16)
        refusal(path)


def test_a_folder_a_pipe_and_a_dangling_link_are_no_checkpoints(tmp_path: Path):
    import os

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "link", Path("/dev/zero")):
        refusal(path)
    refusal(Path("\0"))
    refusal(Path("x" * 5_000))
