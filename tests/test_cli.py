"""Every verb answers, and every bad input is one sentence with its exit code."""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from vaezoo.cli import group, vaezoo
from vaezoo.core import Spec
from vaezoo.registry import registry
from vaezoo.training import Diverged, checkpoint
from vaezoo.training.resume import Bookmark

SPEC = Spec((1, 8, 8), n_train=64, classes=10, latent=3, hidden=8)


def call(*args: str) -> Result:
    return CliRunner().invoke(vaezoo, [str(arg) for arg in args], catch_exceptions=False)


def answer(*args: str) -> Any:
    result = call(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "vae.safetensors"
    return checkpoint.save(registry.load_registry().variants["vae"](SPEC), path)


@pytest.mark.parametrize(
    "kind", ["variants", "datasets", "metrics", "figures", "parts", "plugins", "suites"]
)
def test_list_names_what_there_is(kind: str):
    rows = answer("list", kind)
    assert call("list", kind).exit_code == 0
    if kind in ("variants", "datasets", "metrics", "figures"):
        assert [row["name"] for row in rows] == list(getattr(registry.load_registry(), kind))


def test_list_filters_by_glob_and_tag():
    assert {"vae"} <= {row["name"] for row in answer("list", "variants", "-q", "*vae")}
    assert {row["name"] for row in answer("list", "variants", "-q", "mi?")} == {"mix"}
    assert all(
        "recurrent" in row["tags"] for row in answer("list", "variants", "--tag", "recurrent")
    )
    assert call("list", "variants", "-q", "nothing_like_it").output == "none\n"


def test_list_plugins_shows_problems(tmp_path: Path):
    (tmp_path / "bad.py").write_text("from vaezoo.hooks import hookimpl\n1 / 0")
    result = call("list", "plugins", "--plugins-dir", str(tmp_path))
    assert "import: ZeroDivisionError: division by zero" in result.stdout
    assert result.stderr.startswith("vaezoo: plugin problem: loose file: ")
    assert result.exit_code == 0


def test_show_tells_ranges_paper_and_use():
    text = call("show", "beta").output
    assert "beta: float ≥ 0, default" in text or "beta: float > 0, default" in text
    assert "paper:" in text
    assert "prior: " in call("show", "mix").output
    assert answer("show", "digits")[0]["data set"] == "digits"
    assert "use: mix[encoder=gaussian]" in call("show", "gaussian").output


def test_show_tells_what_a_trial_did(tmp_path: Path):
    (tmp_path / "trial.json").write_text(
        json.dumps({"key": "ab12", "status": "done", "metrics": {"elbo": -30.5}})
    )
    assert "elbo: -30.5" in call("show", str(tmp_path)).output
    (tmp_path / "trial.json").write_text("{")
    result = call("show", str(tmp_path))
    assert (result.exit_code, "cannot be read" in result.stderr) == (2, True)


def test_data_prints_the_card():
    (card,) = answer("data", "digits")
    assert card["sizes"]["train"] == [1200, 1, 8, 8]
    assert "licence: CC BY 4.0" in call("data", "digits").output


def test_train_sample_encode_and_reconstruct(tmp_path: Path):
    path = tmp_path / "m.safetensors"
    trained = answer(
        "train", "beta[beta=2]", "-d", "digits", "-o", path, "--epochs", "2", "--set", "latent=3"
    )
    assert len(trained["history"]["rows"]) == 2
    recipe = checkpoint.load(path).recipe
    assert recipe is not None
    assert (recipe.variant, recipe.hyperparameters["beta"], recipe.spec.latent) == ("beta", 2.0, 3)
    assert call("sample", path, "-n", "5", "-o", tmp_path / "s.npz").exit_code == 0
    assert np.load(tmp_path / "s.npz")["x"].shape == (5, 1, 8, 8)
    assert (
        call(
            "encode", path, "-d", "digits", "-o", tmp_path / "c.npz", "--split", "validation"
        ).exit_code
        == 0
    )
    codes = np.load(tmp_path / "c.npz")
    assert (codes["z0"].shape, codes["labels"].shape) == ((297, 3), (297,))
    assert (
        call("reconstruct", path, "-d", tmp_path / "s.npz", "-o", tmp_path / "r.npz").exit_code == 0
    )
    assert np.load(tmp_path / "r.npz")["reconstruction"].shape == (5, 1, 8, 8)
    for verb in (("sample", path), ("reconstruct", path, "-d", "digits")):
        assert call(*verb, "-o", tmp_path / "p.png").exit_code == 0
        assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"


def test_a_picture_of_reconstructions_has_each_row_below_its_x(model: Path, tmp_path: Path):
    from matplotlib import image

    from vaezoo.data.sources.digits import digits

    assert (
        call(
            "reconstruct", str(model), "-d", "digits", "-n", "16", "-o", str(tmp_path / "p.png")
        ).exit_code
        == 0
    )
    picture = image.imread(tmp_path / "p.png")[..., 0]
    x = digits().test
    assert picture.shape == (4 * 64, 8 * 64)
    small = picture[::8, ::8]  # a pixel is a square of 8
    assert np.allclose(small[:8, 8:16], x[1, 0], atol=0.01)
    assert np.allclose(small[16:24, :8], x[8, 0], atol=0.01)


def test_the_same_seed_samples_the_same(model: Path, tmp_path: Path):
    for name in ("a", "b"):
        call("sample", str(model), "-o", str(tmp_path / f"{name}.npz"), "--seed", "3")
    assert np.array_equal(np.load(tmp_path / "a.npz")["x"], np.load(tmp_path / "b.npz")["x"])


def test_compare_tells_what_differs(tmp_path: Path):
    """Two rows of one run: A - B, paired by seed. A row of another budget is refused."""
    for name, variants, epochs in (("a", "vae,iwae", "1"), ("b", "vae", "2")):
        code = call("bench", "--variants", variants, "--datasets", "digits[rows=100]",
                   "--seeds", "2", "--epochs", epochs, "--metrics", "likelihood", "--no-figures",
                   "--out", str(tmp_path / name)).exit_code  # fmt: skip
        assert code == 0
    found = answer("compare", tmp_path / "a", tmp_path / "a", "--against", "vae")
    rows = {(row["variant"], row["column"]): row for row in found["shared"]}
    row = rows["iwae", "elbo"]
    gap = row["a"] - row["b"]
    assert row["n"] == 2
    assert abs(row["a - b"] - gap) < 1e-9
    assert gap != 0
    found = answer("compare", tmp_path / "a", tmp_path / "b")
    assert found["shared"] == []
    assert found["refused"] == [["vae", "digits[rows=100]", "epochs 1 in A, 2 in B"]]


BAD = [
    (["lst"], "no verb is called 'lst'; did you mean 'list'?"),
    (["list", "foo"], "'foo' is not one of"),
    (["list", "variants", "--tag", "foo"], "no variant has the tag 'foo'; the tags are"),
    (["list", "variants", "--bad"], "No such option '--bad'"),
    (["list", "variants", "--plugins-dir", "nix"], "nix does not exist"),
    (["show", "vax"], "nothing is called 'vax'; did you mean 'vae'"),
    (["data", "digts"], "no data set or tag is called 'digts'; did you mean 'digits'"),
    (["data", "digits", "--data-dir", "nix"], "the folder nix (--data-dir) does not exist"),
    (["bench", "--variants", "vea", "--dry-run"], "did you mean 'vae'"),
    (["bench", "--variants", "beta[beta=-1]", "--dry-run"], "beta[beta=-1] is out of range"),
    (["bench", "--datasets", "x*", "--dry-run"], "no data set matches 'x*'"),
    (["bench", "--seeds", "x", "--variants", "vae", "--dry-run"], "seeds are a count"),
    (["bench", "--epochs", "0"], "'--epochs'"),
    (["bench", "--set", "latnt=3", "--variants", "vae", "--dry-run"], "did you mean 'latent'"),
    (["bench", "--set", "latent", "--variants", "vae"], "--set takes KEY=VALUE"),
    (["bench", "--suite", "nix.toml", "--dry-run"], "there is no suite file nix.toml"),
    (
        ["bench", "--metrics", "elbow", "--variants", "vae", "--dry-run"],
        "there is no metric 'elbow'",
    ),
    (["report", "nix"], "is no folder of a run"),
    (["report", "nix", "--width", "broad"], "--width takes column, page, or points from 120"),
    (["report", "nix", "--format", "svg"], "--format takes tex, md, csv, html, xlsx, pdf"),
    (["compare", "nix", "nix"], "is no folder of a run"),
    (["train", "vae"], "Missing option '-d'"),
    (["train", "vae,beta", "-d", "digits", "-o", "m.safetensors"], "names 2 variants; name one"),
    (["train", "vae", "-d", "digits", "-o", "m.pt"], "ends in .safetensors"),
    (["train", "vae", "-d", "digits", "-o", "nix/m.safetensors"], "the folder nix does not exist"),
    (
        ["train", "vae", "-d", "digits", "-o", "m.safetensors", "--set", "latent=0"],
        "latent is int ≥ 1",
    ),
    (["train", "vae", "-d", "digits", "-o", "m.safetensors", "--device", "cuda:99"], "cuda"),
    (["sample", "nix.safetensors", "-o", "a.npz"], "there is no checkpoint nix.safetensors"),
    (["sample", "MODEL", "-o", "a.txt"], "--out must end in .npz or .csv or .parquet or .png"),
    (["sample", "MODEL", "-o", "nix/a.npz"], "the folder nix (--out) does not exist"),
    (["sample", "MODEL", "-o", "a.npz", "--label", "10"], "has 10 classes, counted from 0"),
    (["sample", "MODEL", "-o", "a.npz", "--label", "3"], "does not read labels"),
    (["encode", "MODEL", "-d", "nix.npz", "-o", "a.npz"], "there is no file nix.npz"),
    (
        ["encode", "MODEL", "-d", "pinwheel", "-o", "a.npz"],
        "has rows of shape (2,), and this model reads (1, 8, 8)",
    ),
    (["encode", "MODEL", "-d", "objects.npy", "-o", "a.npz"], "is no .npy file of plain numbers"),
]


@pytest.mark.parametrize(("args", "words"), BAD, ids=[" ".join(args) for args, _ in BAD])
def test_bad_input_is_one_sentence_and_exit_code_2(
    args: list[str], words: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    np.save("objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    result = call(*[str(model) if arg == "MODEL" else arg for arg in args])
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_a_training_that_diverges_is_exit_code_1(tmp_path: Path):
    result = call(
        "train", "vae", "-d", "digits", "-o", str(tmp_path / "m.safetensors"),
        "--set", "learning_rate=1e30", "--epochs", "3",
    )  # fmt: skip
    assert (result.exit_code, "was not finite at step" in result.stderr) == (1, True)
    assert not (tmp_path / "m.safetensors").exists()


def test_plan_is_bench_dry_run_and_prices_what_is_left(tmp_path: Path):
    asked = [
        "--variants", "vae,cb", "--datasets", "digits[rows=50]", "--seeds", "2", "--epochs", "2",
        "--metrics", "likelihood", "--out", tmp_path / "out",
    ]  # fmt: skip
    planned = answer("plan", *asked)
    dry = answer("bench", *asked, "--dry-run")
    assert [trial["key"] for trial in planned] == [trial["key"] for trial in dry]
    assert [bool(trial["price"]) for trial in planned] == [True, True, False, False]
    assert all(trial["price"]["most"] > 0 for trial in planned if not trial["skip"])
    assert not (tmp_path / "out").exists()

    text = call("plan", *asked).stdout
    assert "2 trials to train, 2 skipped" in text
    assert "At the limit of epochs" in text


def test_tables_are_printed_as_data_sets_finish(tmp_path: Path):
    """In the order of the data sets, each table once, the last data set's at the end."""
    result = call(
        "bench", "--variants", "vae", "--datasets", "digits[rows=50],digits[rows=100]",
        "--seeds", "1", "--epochs", "1", "--metrics", "likelihood", "--out", tmp_path / "out",
        "--jobs", "1", "--no-figures",
    )  # fmt: skip
    assert result.exit_code == 0
    heads = [line for line in result.stdout.splitlines() if line.startswith("## ")]
    assert heads == ["## Likelihood: digits[rows=50]", "## Likelihood: digits[rows=100]"]
    lines = result.output.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("## "))
    assert any("[2/2]" in line for line in lines[first:]), "before the second trial has ended"
    assert " left" in next(line for line in lines if "[1/2]" in line)


def test_train_that_was_stopped_goes_on_when_it_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("vaezoo.training.resume.EVERY", 0.0)
    command = ["train", "vae", "-d", "digits", "--epochs", "3", "--set", "hidden=8", "-o"]
    assert call(*command, tmp_path / "whole.safetensors").exit_code == 0

    def stop(self: object, epoch: int, *_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("vaezoo.cli.output.Epochs.__call__", stop)
        assert call(*command, tmp_path / "m.safetensors").exit_code == 130
    assert [path.name for path in tmp_path.glob(".*")] == [".m.safetensors.state"]
    other = call(*command, tmp_path / "m.safetensors", "--seed", "1")
    assert "training starts anew: its seed is 0, here it is 1" in other.stderr

    with monkeypatch.context() as patched:
        patched.setattr("vaezoo.cli.output.Epochs.__call__", stop)
        assert call(*command, tmp_path / "m.safetensors").exit_code == 130
    again = call(*command, tmp_path / "m.safetensors")
    assert "vaezoo: training goes on after epoch 1\n" in again.stderr
    whole, model = (tmp_path / f"{name}.safetensors" for name in ("whole", "m"))
    assert whole.read_bytes() == model.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_a_training_that_diverges_leaves_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def diverges(*_: object, bookmark: Bookmark, **more: object) -> None:
        bookmark.path.write_text("")
        raise Diverged("loss", 9, 2)

    monkeypatch.setattr("vaezoo.training.training.fit", diverges)
    assert call("train", "vae", "-d", "digits", "-o", tmp_path / "m.safetensors").exit_code == 1
    assert not list(tmp_path.iterdir())


def test_a_crash_is_exit_code_3_and_debug_shows_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def crash(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setenv("VAEZOO_CACHE", str(tmp_path))  # where nothing is kept
    monkeypatch.setattr("vaezoo.cli.remembered.registry_of", crash)
    result = call("list", "variants")
    assert (result.exit_code, result.stderr) == (
        3,
        "vaezoo: internal error, RuntimeError: a bug (--debug shows where)\n",
    )
    assert "Traceback" in call("list", "variants", "--debug").stderr


def test_an_interrupt_is_exit_code_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("VAEZOO_CACHE", str(tmp_path))
    monkeypatch.setattr("vaezoo.cli.remembered.registry_of", interrupt)
    assert call("list", "variants").exit_code == 130


def test_a_strict_load_is_exit_code_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "bad.py").write_text("from vaezoo.hooks import hookimpl\n1 / 0")
    monkeypatch.setenv("VAEZOO_STRICT_PLUGINS", "1")
    result = call("list", "variants", "--plugins-dir", str(tmp_path))
    assert (result.exit_code, "division by zero" in result.stderr) == (2, True)


def test_every_verb_takes_plugins_dir():
    def verbs(group: Any) -> list[Any]:
        return [
            v
            for c in group.commands.values()
            for v in (verbs(c) if hasattr(c, "commands") else [c])
        ]

    for verb in verbs(vaezoo):
        assert any("--plugins-dir" in option.opts for option in verb.params), verb.name


def test_help_loads_no_torch_and_is_quick():
    code = (
        "import sys, vaezoo.cli as c\n"
        "try: c.vaezoo(['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    )
    start = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert said.endswith("False\n")
    assert time.perf_counter() - start < 3  # 0.2 s on an idle machine


def test_python_m_vaezoo_is_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "vaezoo", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout[:2]) == (0, "0.")


def test_python_begins_as_the_design_says(tmp_path: Path):
    import vaezoo as package

    variants = package.variants()
    data = package.dataset("digits")
    built = variants["beta"](data.spec, beta=4.0)
    history = package.fit(built, data, epochs=1, seed=0)
    assert len(history.rows) == 1
    assert built.sample(16).shape == (16, 1, 8, 8)
    assert built.infer(data.test[:3], k=5).log_w.shape == (5, 3)
    package.save(built, tmp_path / "m.safetensors")
    assert package.load(tmp_path / "m.safetensors").recipe == built.recipe
    assert all(hasattr(package, name) for name in dir(package))
    with pytest.raises(AttributeError, match="no attribute 'nix'"):
        _ = package.nix


def test_quiet_says_nothing_on_stderr_and_json_lines_are_all_that_a_program_reads(tmp_path):
    words = ["bench", "--variants", "vae", "--seeds", "1", "--epochs", "1", "--metrics", "cost"]
    words += ["--no-figures", "--jobs", "1"]
    for kind, option in (("quiet", ["--quiet"]), ("json", ["--progress", "json"])):
        result = CliRunner().invoke(vaezoo, [*words, *option, "--out", str(tmp_path / kind)])
        assert result.exit_code == 0, result.output
        said = result.stderr.splitlines()
        assert [json.loads(line)["event"] for line in said][-1:] == ["end"] * (kind == "json")
        assert bool(said) == (kind == "json")


@pytest.mark.parametrize("name", [*group.MISTAKES, *group.FAILURES])
def test_every_error_with_an_exit_code_of_its_own_is_where_it_is_looked_for(name: str):
    """They are named, not imported: of what is not imported no error can come."""
    module, _, kind = name.rpartition(".")
    assert getattr(importlib.import_module(module), kind).__module__ == module


def test_a_folder_that_takes_nothing_is_said_before_a_plan_is_made():
    program = "import sys; from vaezoo.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program, "bench", "--out", "/proc/x"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "vaezoo: cannot write in /proc/x: No such file or directory" in done.stderr
    assert " torch\n" not in done.stderr, "what takes seconds was imported first"
