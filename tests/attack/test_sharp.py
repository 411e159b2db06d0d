"""Odd words on the command line: one sentence, exit code 2, soon, and nothing is written."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from vaezoo.cli import vaezoo
from vaezoo.core import Spec
from vaezoo.data.files import BadData
from vaezoo.registry.registry import load_registry
from vaezoo.training import checkpoint

SECONDS = 10.0  # of which all but one is a busy machine
LONG = 10**6


def run(*words: str) -> tuple[int, str, str]:
    start = time.process_time()
    done = CliRunner().invoke(vaezoo, list(words))
    assert time.process_time() - start < SECONDS
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    load_registry()


BENCH = ("plan", "--variants", "vae", "--datasets", "gaussian", "--seeds", "1")
TRAIN = ("train", "vae", "-d", "gaussian", "-o", "{}/m.safetensors", "--epochs", "1")
DEVICES = ("gpu", "tpu", "../x", "", "cuda:99", "cuda:-1", "meta", "mps", "xla", "cpu:1", "\x1b[2J")
ODD = {
    **{f"device {name!r}": (*BENCH, "--device", name) for name in DEVICES},
    **{f"train on {name!r}": (*TRAIN, "--device", name) for name in DEVICES},
    **{
        f"memory {size!r}": (*BENCH, "--memory", size)
        for size in ("lots", "0", "-1G", "", "1e400", "9" * 400, "nan", "8X", "١G")
    },
    "10^12 seeds": (*BENCH, "--seeds", str(10**12)),
    "10^400 seeds": (*BENCH, "--seeds", "1" + "0" * 400),
    "10^5000 seeds": (*BENCH, "--seeds", "1" + "0" * 5_000),
    "a million seeds": (*BENCH, "--seeds", ",".join(map(str, range(200_000)))),
    "seeds below zero": (*BENCH, "--seeds", "-5"),
    "seeds in words": (*BENCH, "--seeds", "x" * LONG),
    "out is a device": ("bench", *BENCH[1:], "--out", "/dev/null"),
    "out below a device": ("bench", *BENCH[1:], "--out", "/dev/null/a/b"),
    "out of 300 letters": ("bench", *BENCH[1:], "--out", "{}/" + "a" * 300),
    "infinite clip": (*BENCH, "--set", "clip=inf"),
    "infinite epsilon": (*BENCH, "--set", "adam_epsilon=inf"),
    "infinite rate": (*BENCH, "--set", "learning_rate=1e999"),
    "no rate": (*BENCH, "--set", "learning_rate=nan"),
    "infinite epochs": (*BENCH, "--set", "epochs=inf"),
    "a width of 10^12": (*BENCH, "--set", f"hidden={10**12}"),
    "a width of 10^400": (*BENCH, "--set", "hidden=1" + "0" * 400),
    "codes of 10^12": (*TRAIN, "--set", f"latent={10**12}"),
    "epochs of 10^400": (*BENCH, "--set", "epochs=1" + "0" * 400),
    "an infinite time": (*BENCH, "--timeout", "inf"),
    "no time": (*BENCH, "--timeout", "nan"),
    "a selector of a million letters": ("plan", "--variants", "x" * LONG),
    "a million commas": ("plan", "--variants", "," * LONG),
    "a million names": ("plan", "--variants", "vea," * (LONG // 10)),
    "a hundred thousand brackets": ("plan", "--variants", "vae" + "[" * 100_000 + "]" * 100_000),
    "brackets of a value": ("plan", "--variants", f"beta[beta={'(' * 100_000}{')' * 100_000}]"),
    "lists of a value": ("plan", "--variants", f"beta[beta={'[' * 100_000}{']' * 100_000}]"),
    "closed only": ("plan", "--variants", "vae" + "]" * 100_000),
    "a value of a million digits": ("plan", "--variants", f"beta[beta={'9' * LONG}]"),
    "a sweep without end": ("plan", "--variants", "beta[beta=" + "1," * 200_000 + "2]"),
    "letters of the right": ("plan", "--variants", "\u202e\x00\x1b[2J"),
    "half a letter": ("plan", "--variants", "\udcff"),
    "a set of a million": ("plan", "--datasets", "x" * LONG),
    "brackets of data": ("plan", "--datasets", "gaussian[dimensions=" + "(" * 100_000),
    "data of 10^12": ("data", f"gaussian[dimensions={10**12}]"),
    "a network of brackets": (*BENCH, "--set", "network=mlp" + "[" * 100_000),
    "a likelihood of letters": (*BENCH, "--set", "likelihood=" + "x" * LONG),
    "metrics of letters": (*BENCH, "--metrics", "x" * LONG),
    "a sampler of letters": (*BENCH, "--sampler", "x" * LONG),
    "an executor of letters": (*BENCH, "--executor", "x" * LONG),
    "a suite of letters": ("plan", "--suite", "x" * LONG),
    "a suite of zeros": ("plan", "--suite", "/dev/null"),
    "a show of letters": ("show", "x" * LONG),
    "a checkpoint of zeros": ("sample", "/dev/zero", "-o", "{}/x.npz"),
    "a folder as checkpoint": ("sample", "{}", "-o", "{}/x.npz"),
    "plugins in a file": ("list", "variants", "--plugins-dir", "/dev/null"),
    "data in a file": (*BENCH, "--data-dir", "/dev/null"),
    "a table that is none": ("data", "arrays[path={}/odd.csv]"),
    "a table trained on": ("train", "vae", "-d", "arrays[path={}/odd.csv]", "-o",
                           "{}/m.safetensors", "--epochs", "1"),
    "a file trained on": ("train", "vae", "-d", "arrays[path={}/odd.npz]", "-o",
                          "{}/m.safetensors", "--epochs", "1"),
    "no file trained on": ("train", "vae", "-d", "arrays[path=/nowhere/odd.npz]", "-o",
                           "{}/m.safetensors", "--epochs", "1"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_words_are_one_sentence(name: str, tmp_path: Path):
    (tmp_path / "odd.csv").write_bytes(b"\xff\xfe\x00a,b\n1,2,3\n")
    np.savez(tmp_path / "odd.npz", other=np.zeros(3))
    before = sorted(tmp_path.iterdir())
    code, out, err = run(*(word.replace("{}", str(tmp_path)) for word in ODD[name]))
    assert code == 2, (out[-300:], err[-300:])
    assert err.startswith("vaezoo: "), err[:300]
    assert len(err) < 4_000
    assert err.count("\n") == 1, err[:500]
    assert "\x1b" not in err
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_written_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = Spec((1, 8, 8), n_train=64, latent=2, hidden=4)
    path = checkpoint.save(load_registry().variants["vae"](spec), tmp_path / "m.safetensors")
    out = tmp_path / "x.npz"
    out.write_bytes(b"what was there")

    def full(file: object, **arrays: object) -> None:
        Path(str(getattr(file, "name", file))).write_bytes(b"half")
        raise OSError(28, "No space left on device", str(out))

    monkeypatch.setattr(np, "savez_compressed", full)
    assert run("sample", str(path), "-o", str(out))[0] == 2
    assert out.read_bytes() == b"what was there"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.safetensors", "x.npz"]


def test_bad_data_is_no_internal_error():
    with pytest.raises(BadData):
        load_registry().choose_datasets("arrays[path=/dev/null]")[0].entry.load(
            None, path="/dev/null"
        )
    assert torch.get_default_dtype() == torch.float32
