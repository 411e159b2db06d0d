"""Likelihoods and networks as parts: named in text, added by a stranger's file, checked once."""

import hashlib
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import vaezoo
from vaezoo.bench.plan import Plan, Request, make_plan
from vaezoo.bench.workers.probe import InProcess
from vaezoo.bodies import MLP, network
from vaezoo.core import Spec, Unsupported
from vaezoo.data.files import BadData
from vaezoo.distributions import DiscretisedLogistic, Levels
from vaezoo.hyperparameters import HyperparameterError
from vaezoo.likelihoods import head
from vaezoo.networks import Read, Write, start_at_mean
from vaezoo.parts import canonical_text, find, names
from vaezoo.registry import load_registry

STRANGER = '''
import torch
from torch import nn
from torch.distributions import Laplace, constraints

from vaezoo.bodies import Network, raw_shape
from vaezoo.hooks import Part, hookimpl
from vaezoo.hyperparameters import Positive
from vaezoo.likelihoods import Likelihood, moments


class LaplaceHead(Likelihood):
    """Laplace(raw, scale)."""

    support = constraints.real
    values = "the real numbers"

    def __init__(self, spec, scale: Positive = 1.0):
        super().__init__(spec)
        self.scale = scale

    def each(self, raw):
        return Laplace(raw, torch.full_like(raw, self.scale), validate_args=False)

    def independent(self, train):
        mean, deviation = moments(train)
        return Laplace(mean, deviation / 2**0.5, validate_args=False)


class _Flat(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.net = nn.Linear(spec.size, spec.hidden)

    def forward(self, x):
        return self.net(x.flatten(1))


class _Out(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.shape = raw_shape(spec)
        self.net = nn.Linear(spec.hidden, torch.Size(self.shape).numel())

    def forward(self, h):
        return self.net(h).unflatten(-1, self.shape)


class Shallow(Network):
    """One layer either way."""

    def reader(self, spec):
        return _Flat(spec)

    def writer(self, spec):
        return _Out(spec)


@hookimpl
def vaezoo_parts():
    return [Part("laplace", LaplaceHead), Part("shallow", Shallow)]
'''


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    folder = tmp_path / "ideas"
    folder.mkdir()
    (folder / "stranger.py").write_text(STRANGER)
    return folder


def run(*args: str) -> int:
    from click.testing import CliRunner

    from vaezoo.cli import vaezoo as command

    result = CliRunner().invoke(command, list(args))
    run.output = result.output
    return result.exit_code


def test_a_strangers_file_adds_a_likelihood_and_a_network(stranger, tmp_path):
    registry = vaezoo.registry.load_registry(stranger)
    assert not registry.problems
    assert "laplace" in registry.parts["likelihood"]
    assert "shallow" in registry.parts["network"]
    out = tmp_path / "out"
    code = run(
        "bench", "--variants", "vae,mix[likelihood=laplace]", "--datasets", "gaussian[rows=100]",
        "--set", "likelihood=laplace[scale=0.5]", "--set", "network=shallow", "--epochs", "1",
        "--seeds", "1", "--metrics", "likelihood", "--plugins-dir", str(stranger),
        "--out", str(out),
    )  # fmt: skip
    assert code == 0, run.output
    trials = [json.loads(p.read_text()) for p in out.glob("trials/*/trial.json")]
    assert {t["status"] for t in trials} == {"done"}
    assert {t["ingredients"]["spec"]["network"] for t in trials} == {"shallow"}


def test_a_model_with_options_goes_through_train_save_and_load(stranger, tmp_path):
    path = tmp_path / "model.safetensors"
    code = run(
        "train", "vae", "-d", "gaussian[rows=60]", "-o", str(path), "--epochs", "1",
        "--set", "likelihood=student_t[df=5]", "--set", "network=mlp[layers=3,gated=true]",
    )  # fmt: skip
    assert code == 0, run.output
    model = vaezoo.load(path)
    assert model.decoder.likelihood.df == 5
    assert model.recipe.spec.network == "mlp[layers=3,gated=true]"


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("likelihood", "bernouli", "did you mean 'bernoulli'"),
        ("likelihood", "student_t[dff=3]", "did you mean 'df'"),
        ("likelihood", "student_t[df=-1]", "out of range"),
        ("likelihood", "student_t[df]", "option=value"),
        ("network", "mpl", "did you mean 'mlp'"),
        ("network", "mlp[layers=0]", "out of range"),
        ("network", "mlp[activation=gelus]", "out of range"),
        ("network", "mlp[layers=2", "write its name"),
    ],
)
def test_what_is_not_there_is_one_sentence(kind, text, said):
    with pytest.raises(HyperparameterError, match=said.replace("[", r"\[")):
        find(kind, text)
    field = {"likelihood": "likelihood", "network": "network"}[kind]
    with pytest.raises(Unsupported):
        (head if kind == "likelihood" else network)(Spec((3,), **{field: text}))


def test_one_meaning_has_one_text():
    assert canonical_text("likelihood", "student_t[ df = 5.0 ]") == "student_t[df=5.0]"
    assert canonical_text("likelihood", "student_t[df=4]") == "student_t"
    text = "mlp[activation=tanh,layers=2,width=300,gated=True]"
    assert canonical_text("network", text) == "mlp[width=300,activation=tanh,gated=true]"


@pytest.mark.parametrize("likelihood", names("likelihood"))
@pytest.mark.parametrize(
    "text",
    [
        "mlp",
        "mlp[layers=1]",
        "mlp[layers=4,width=9,gated=true]",
        "rnn",
        "conv",
        "conv[width=9,activation=relu]",
        "resnet[channels=4]",
    ],
)
@pytest.mark.parametrize("shape", [(6,), (5, 3), (1, 8, 8), (3, 28, 28), (2, 9, 11)])
def test_every_network_reads_and_writes_what_it_takes(text, shape, likelihood):
    spec = Spec(shape, likelihood, latent=3, hidden=16, levels=5, network=text)
    try:
        read, write = Read(spec, 7), Write(spec)
    except Unsupported:
        assert len(shape) < 3  # convolutions need images, a recurrence an order
        return
    assert read(torch.rand(4, *shape)).shape == (4, 7)
    px = write(torch.randn(2, 4, 3))
    assert px.mean.shape == (2, 4, *shape)


def test_layers_and_gates_are_those_of_the_formula():
    torch.manual_seed(0)
    spec = Spec((5,), "normal", hidden=4, network="mlp[layers=3,gated=true,width=6]")
    read = Read(spec, 2)
    x = torch.randn(3, 5)
    h = x
    for layer in (read.body.net, read.out[0], read.out[2]):
        a, b = layer(h).chunk(2, -1)
        h = a * torch.sigmoid(b)
    torch.testing.assert_close(read(x), read.out[4](h))
    assert read.body.net.out_features == 12


def test_xavier_weights_lie_in_their_range_and_biases_are_zero():
    torch.manual_seed(0)
    read = Read(Spec((50,), network="mlp[init=xavier]", hidden=30), 4)
    bound = math.sqrt(6 / 80)
    weight = read.body.net.weight
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.95 * bound
    assert not read.body.net.bias.any()


@pytest.mark.parametrize("likelihood", ["bernoulli", "normal", "continuous_bernoulli"])
@pytest.mark.parametrize(
    ("text", "shape"),
    [("mlp[bias=mean]", (1, 8, 8)), ("conv[bias=mean]", (2, 8, 8)), ("rnn[bias=mean]", (4, 3))],
)
def test_a_decoder_may_start_at_the_training_mean(text, shape, likelihood):
    """With the last layer's weights at 0, p(x|z) has the mean of the data (of each channel)."""
    torch.manual_seed(0)
    spec = Spec(shape, likelihood, hidden=8, network=text)
    write = Write(spec)
    levels = torch.tensor([0.2, 0.7, 0.4])[: shape[0] if len(shape) == 3 else shape[1]]
    rate = levels[:, None, None] if len(shape) == 3 else levels
    train = (torch.rand(4000, *shape) < rate).float()
    start_at_mean(write, train)
    last = write.body.out if hasattr(write.body, "out") else write.body.net[-1]
    with torch.no_grad():
        last.weight.zero_()
        mean = write(torch.randn(1, 1, spec.latent)).mean[0, 0]
    torch.testing.assert_close(mean, rate.expand(shape), rtol=0, atol=0.04)


def test_without_the_option_no_bias_is_touched():
    write = Write(Spec((5,), "normal"))
    before = write.body.net[-1].bias.clone()
    start_at_mean(write, torch.ones(10, 5))
    assert torch.equal(write.body.net[-1].bias, before)


# --- one place where data meet a likelihood ------------------------------------------------------


@pytest.fixture
def bytes_file(tmp_path: Path) -> str:
    path = tmp_path / "full.npy"
    grey = np.random.default_rng(0).integers(0, 256, (60, 1, 6, 6)) / 255
    np.save(path, grey.astype("float32"))
    return f"arrays[path={path},kind=image]"


@pytest.fixture
def tens_file(tmp_path: Path) -> str:
    path = tmp_path / "tens.npy"
    tens = np.random.default_rng(0).integers(0, 10, (60, 1, 6, 6)) / 9
    np.save(path, tens.astype("float32"))
    return f"arrays[path={path},kind=image]"


@pytest.mark.parametrize("likelihood", ["categorical", "logistic"])
def test_levels_that_the_data_has_not_are_refused_before_training(likelihood, bytes_file, tmp_path):
    """Once printed 1.014 bits per dimension for data whose entropy is 8."""
    code = run(
        "bench", "--variants", "vae", "--datasets", bytes_file, "--set", f"likelihood={likelihood}",
        "--set", "levels=2", "--seeds", "1", "--epochs", "1", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert code == 2
    assert "levels=2" in run.output
    assert not list((tmp_path / "out").glob("trials/*"))
    code = run(
        "train", "vae", "-d", bytes_file, "-o", str(tmp_path / "m.safetensors"),
        "--set", f"likelihood={likelihood}", "--set", "levels=2",
    )  # fmt: skip
    assert code == 2


def test_python_refuses_them_too_in_fit_and_in_evaluate(bytes_file):
    from dataclasses import replace

    data = vaezoo.dataset(bytes_file)
    spec = replace(data.spec, likelihood="categorical", levels=2, network="mlp")
    model = vaezoo.variants()["vae"](spec)
    with pytest.raises(BadData, match="levels=2"):
        vaezoo.fit(model, replace(data, spec=spec), epochs=1)
    with pytest.raises(BadData, match="levels=2"):
        vaezoo.evaluate(model, replace(data, spec=spec))
    with pytest.raises(BadData, match="levels"):
        vaezoo.fit(model, data, epochs=1)  # the model's own head, on data of another spec


def test_mix_with_a_likelihood_that_the_data_does_not_suit_fails_with_the_reason(tmp_path):
    out = tmp_path / "out"
    code = run(
        "bench", "--variants", "mix[likelihood=bernoulli]", "--datasets", "gaussian[rows=60]",
        "--seeds", "1", "--epochs", "1", "--out", str(out),
    )  # fmt: skip
    assert code == 1
    (record,) = (json.loads(p.read_text()) for p in out.glob("trials/*/trial.json"))
    assert "0 and 1" in record["reason"]


def test_data_of_ten_levels_are_read_as_such(tens_file, tmp_path):
    data = vaezoo.dataset(tens_file)
    assert data.spec.levels == 10
    out = tmp_path / "out"
    code = run(
        "bench", "--variants", "vae", "--datasets", tens_file, "--set", "likelihood=categorical",
        "--seeds", "1", "--epochs", "2", "--metrics", "likelihood", "--out", str(out),
    )  # fmt: skip
    assert code == 0, run.output
    (record,) = (json.loads(p.read_text()) for p in out.glob("trials/*/trial.json"))
    assert record["metrics"]["bits_per_dim"] > math.log2(10) - 0.05


@pytest.mark.parametrize("x", [0.3, -0.5, 1.5])
def test_off_its_grid_a_value_has_no_probability(x):
    value = torch.tensor(x)
    assert Levels(torch.zeros(5)).log_prob(value) == -math.inf
    one = torch.tensor(0.5)
    assert DiscretisedLogistic(one, one, 5).log_prob(value) == -math.inf


@pytest.mark.parametrize(
    ("levels", "loc", "scale", "expected"), [(2, 0.3, 0.5, 0.401), (256, 0.0, 0.135, 0.093)]
)
def test_the_logistics_mean_is_not_its_location(levels, loc, scale, expected):
    q = DiscretisedLogistic(torch.tensor(loc).double(), torch.tensor(scale).double(), levels)
    values = torch.linspace(0, 1, levels).double()
    enumerated = (q.log_prob(values).exp() * values).sum()
    torch.testing.assert_close(q.mean, enumerated, rtol=1e-9, atol=1e-9)
    assert q.mean.item() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("likelihood", ["logistic", "categorical"])
def test_levels_on_their_own_are_the_datas_frequencies(likelihood):
    torch.manual_seed(0)
    x = torch.randint(0, 4, (3000, 2)) / 3.0
    x[::5, 0] = torch.nan
    q = head(Spec((2,), likelihood, levels=4)).independent(x)
    for j in range(4):
        share = ((x * 3 - j).abs() < 1e-3).sum(0) / (~x.isnan()).sum(0)
        torch.testing.assert_close(q.log_prob(torch.tensor(j / 3)).exp(), share, rtol=0, atol=1e-3)


def test_mlp_is_what_a_plain_spec_names():
    assert isinstance(network(Spec((3,))), MLP)


# --- data are what they hold, not where they lie --------------------------------------------------


def _planned(dataset: str) -> Plan:
    asked = Request("vae", dataset, "1", {"epochs": 1})
    return make_plan(load_registry(), asked, probe=InProcess())


def test_the_same_array_at_another_path_is_the_same_data(tmp_path):
    x = np.random.default_rng(1).normal(size=(60, 5)).astype("float32")
    names = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", x)
        names.append(f"arrays[path={tmp_path / folder / 'x.npy'}]")
    first, second = (vaezoo.dataset(name) for name in names)
    assert first.identity == second.identity
    assert str(tmp_path) not in first.identity
    keys = []
    weights = []
    for name, data in zip(names, (first, second), strict=True):
        plan = _planned(name)
        keys.append(plan.trials[0].key)
        torch.manual_seed(0)
        model = vaezoo.variants()["vae"](data.spec)
        vaezoo.fit(model, data, epochs=1)
        weights.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert keys[0] == keys[1]
    assert torch.equal(*weights)
    np.save(tmp_path / "b" / "x.npy", x + 1)
    other = _planned(names[1])
    assert other.trials[0].key != keys[0]


EXECUTOR = '''
import subprocess
import sys

from vaezoo.hooks import Executor, hookimpl


def submit(task, timeout):
    """Each trial in a fresh interpreter."""
    return subprocess.Popen([sys.executable, "-m", "vaezoo.bench.workers.task", str(task)])


def poll(process):
    if process.poll() is None:
        return None
    return {} if process.returncode == 0 else {"error": "died", "status": "failed"}


def cancel(process):
    process.kill()


@hookimpl
def vaezoo_executors():
    return [Executor("fresh", submit, poll, cancel)]
'''


def test_an_executor_with_options_is_a_function_of_them(tmp_path):
    text = EXECUTOR.replace(
        '    return [Executor("fresh", submit, poll, cancel)]',
        """    return [fresh]


def fresh(nice: int = 0, mark: str = "") -> Executor:
    \"\"\"Each trial in a fresh, nice interpreter.\"\"\"
    open(mark, "w").write(str(nice))
    return Executor("fresh", submit, poll, cancel)
""",
    )
    (tmp_path / "fresh.py").write_text(text)
    arguments = (
        "bench", "--variants", "vae", "--datasets", "gaussian[rows=60]", "--seeds", "1",
        "--epochs", "1", "--metrics", "likelihood", "--no-figures",
        "--out", str(tmp_path / "out"), "--plugins-dir", str(tmp_path),
    )  # fmt: skip
    mark = tmp_path / "mark"
    assert run(*arguments, "--executor", f"fresh[nice=5,mark='{mark}']") == 0, run.output
    assert mark.read_text() == "5"
    assert run(*arguments, "--executor", "fresh[nicer=5]") == 2
    assert "executor fresh has no hyperparameter 'nicer'; did you mean 'nice'" in run.output
    assert run("list", "executors", "--plugins-dir", str(tmp_path)) == 0
    assert re.search(r"nice mark +Each trial in a fresh, nice interpreter\.", run.output)


def test_an_executor_that_is_not_there_is_one_sentence(tmp_path):
    code = run("bench", "--variants", "vae", "--seeds", "1", "--executor", "locl",
               "--out", str(tmp_path / "out"))  # fmt: skip
    assert code == 2
    assert "did you mean 'local'" in run.output


# --- what was measured has an identity of its own ------------------------------------------------

METRIC = '''
from vaezoo.hooks import Column, Metric, hookimpl


def {name}(evaluation):
    """A number of its own."""
    return {{"{name}": {value}}}


@hookimpl
def vaezoo_metrics():
    return [Metric("{name}", (Column("{name}", "", "lower", "extra"),), {name})]
'''


def measured_first(tmp_path: Path) -> tuple[Path, Path, tuple[str, ...]]:
    """A folder with the metric `first`, a folder for a run, and the command of that run."""
    folder = tmp_path / "ideas"
    folder.mkdir()
    out = tmp_path / "out"
    (folder / "first.py").write_text(METRIC.format(name="first", value=1.0))
    arguments = (
        "bench", "--variants", "vae", "--datasets", "gaussian[rows=60]", "--seeds", "1",
        "--epochs", "1", "--no-figures", "--out", str(out), "--plugins-dir", str(folder),
    )  # fmt: skip
    return folder, out, arguments


def test_a_metric_that_is_new_or_edited_is_measured_without_training(tmp_path):
    folder, out, arguments = measured_first(tmp_path)

    def metrics(*names):
        assert run(*arguments, "--metrics", ",".join(names)) == 0, run.output
        (trial,) = out.glob("trials/*/trial.json")
        weights = trial.parent / "model.safetensors"
        return json.loads(trial.read_text()), (weights.stat().st_mtime_ns, weights.read_bytes())

    before, weights = metrics("first", "cost")
    assert before["metrics"]["first"] == 1.0

    (folder / "second.py").write_text(METRIC.format(name="second", value=2.0))
    after, same = metrics("first", "second")
    assert same == weights
    assert after["metrics"] == before["metrics"] | {"second": 2.0}
    assert "second" in (out / "extra.csv").read_text()

    (folder / "first.py").write_text(METRIC.format(name="first", value=3.0))
    edited, same = metrics("first", "second")
    assert same == weights
    assert edited["metrics"]["first"] == 3.0
    assert edited["measures"]["second"] == after["measures"]["second"]
    assert edited["key"] == before["key"]

    again, _ = metrics("first", "second")
    assert again == edited


def test_a_metric_that_cannot_be_measured_again_leaves_the_old_numbers_and_is_said(tmp_path):
    folder, out, arguments = measured_first(tmp_path)
    arguments += ("--metrics", "first")
    assert run(*arguments) == 0, run.output
    (trial,) = out.glob("trials/*/trial.json")
    before = trial.read_bytes()
    weights = trial.parent / "model.safetensors"
    weights.write_bytes(b"damaged")
    digest = hashlib.sha256(b"damaged").hexdigest()
    manifest = trial.parent / "MANIFEST.sha256"
    lines = manifest.read_text().splitlines()
    kept = [line for line in lines if not line.endswith("model.safetensors")]
    manifest.write_text("\n".join([*kept, f"{digest}  model.safetensors"]) + "\n")

    (folder / "first.py").write_text(METRIC.format(name="first", value=3.0))
    assert run(*arguments) == 1
    assert "not measured again" in run.output
    assert trial.read_bytes() == before
    assert not list(out.glob("trials/.*"))


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_trial_that_is_replaced_is_never_away_for_good(is_killed, tmp_path, monkeypatch):
    """Killed between taking the old folder away and putting the new one in place."""
    from vaezoo.bench import store as module

    key = "a" * 64
    store = module.Store(tmp_path)
    store.prepare()

    def built(text):
        folder = store.building(key)
        folder.mkdir()
        (folder / "trial.json").write_text(text)
        return folder

    store.commit(built("old"), key)
    if not is_killed:
        store.commit(built("new"), key, replaces=True)
        assert (store.trials / key / "trial.json").read_text() == "new"
        assert not list(store.trials.glob(".*"))
        return

    class Killed(BaseException):
        pass

    take_away = module.Store.take_away

    def dies(self, key):
        take_away(self, key)
        raise Killed

    monkeypatch.setattr(module.Store, "take_away", dies)
    with pytest.raises(Killed):
        store.commit(built("new"), key, replaces=True)
    assert not (store.trials / key).exists()
    monkeypatch.setattr("vaezoo.bench.sweeping.is_left", lambda path, owner: True)
    module.Store(tmp_path).prepare()
    assert (store.trials / key / "trial.json").read_text() == "old"
    assert not list(store.trials.glob(".*"))
