"""Whatever a plugin does when it comes in, it costs one line that names it: the tool goes on, and
nobody else's numbers move.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vaezoo.losses import ELBO
from vaezoo.registry import gathering, registry
from vaezoo.registry.libraries import SHARED
from vaezoo.registry.surroundings import SWITCHES, Surroundings

HEAD = "from vaezoo.hooks import hookimpl, Column, Figure, Metric, Part, Table, tags\n"
GOOD = """
from vaezoo.core import VAE, Spec
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write

def mine(spec: Spec) -> VAE:
    "Mine."
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())

@hookimpl
def vaezoo_variants():
    return [mine]
"""


def variants(body: str, back: str = "[f]") -> str:
    """A plugin whose hook defines something and returns it."""
    lines = textwrap.indent(textwrap.dedent(body), "    ")
    return f"@hookimpl\ndef vaezoo_variants():\n{lines}\n    return {back}\n"


def metrics(text: str) -> str:
    return f"def m(e): return {{}}\n@hookimpl\ndef vaezoo_metrics():\n    return [{text}]\n"


DEEP = "x = " + "(" * 5_000 + "1" + ")" * 5_000
NATIVE = "import ctypes\nctypes.string_at(0)\n"

# name -> the plugin, and what is said of it
KILLERS = {
    "exit": ("import os; os._exit(0)", "ends the process that imports it with exit code 0"),
    "exit 3": ("import os; os._exit(3)", "exit code 3"),
    "sys.exit": ("import sys; sys.exit()", "calls exit()"),
    "quit": ("raise SystemExit(0)", "calls exit(0)"),
    "segfault": (NATIVE, "by signal SIGSEGV"),
    "abort": ("import os; os.abort()", "by signal SIGABRT"),
    "kill": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "by signal SIGKILL"),
    "kill the parent": ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "SIGTERM"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "generator exit": ("raise GeneratorExit", "GeneratorExit"),
    "hang": ("import time\nwhile True: time.sleep(1)", "is not done after"),
    "hang that swallows": (
        "import time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass",
        "is not done after",
    ),
    "hang without alarms": (
        "import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0)\ntime.sleep(60)",
        "is not done after",
    ),
    "hang in native code": ("import re; re.match('(a*)*b', 'a' * 60)", "is not done after"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "recursion without limit": (
        "import sys; sys.setrecursionlimit(10**9)\nclass A:\n"
        "    def __getattr__(self, n): return getattr(self, n + 'x')\nA().a",
        "import",
    ),
    "memory": ("x = bytearray(10**11)", "MemoryError"),
    "an endless list": ("x = [0]\nfor y in x: x += [y] * 10**6", "import: "),
    "an endless hook": (variants("import itertools", "list(itertools.count())"), ""),
    "a list that does not end": (
        variants(
            "class E(list):\n    def __iter__(self):\n        while True: yield 1\n", "E()"
        ),
        "must return a list, not E",
    ),
    "a generator": (variants("", "(x for x in iter(int, 1))"), "must return a list, not generator"),
    "a thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=[99]).start()\n" + GOOD,
        "starts a thread that keeps the program from ending",
    ),
    "a daemon": (
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=[99], daemon=True).start()\n" + GOOD,
        "starts a thread",
    ),
    "a thread without a name": (
        "import _thread, time\n_thread.start_new_thread(time.sleep, (99,))\n" + GOOD,
        "starts a thread that nobody can list",
    ),
    "a copy": ("import os\nos.fork()\n" + GOOD, "starts a copy of this process"),
    "a process": (
        "import subprocess\nsubprocess.Popen(['sleep', '99'])\n" + GOOD, "starts a process"
    ),
    "an audit": (
        "import sys\nsys.addaudithook(lambda *a: None)\n" + GOOD, "hook that cannot be taken away"
    ),
    "a kernel": (
        "import torch\nlib = torch.library.Library('aten', 'IMPL')\n"
        "lib.impl('relu', lambda x: x, 'CPU')\n" + GOOD,
        "another kernel of torch's own operations",
    ),
    "a hook at forks": (
        "import os\nos.register_at_fork(before=print)\n" + GOOD, "hook that cannot be taken away"
    ),
    "depth": (DEEP, "nested"),
    "zero bytes": ("x = '\0'", "null bytes"),
    "an error without a text": (
        "class E(Exception):\n    def __str__(self): raise self\nraise E", "text cannot be had"
    ),
    "an error whose text exits": (
        "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E",
        "text cannot be had",
    ),
    "an error of a million letters": ("raise ValueError('x' * 10**6)", "…"),
    "an error of escapes": ("raise ValueError('\\x1b[2J\\x07\\u202e')", "\\x1b[2J\\x07\\u202e"),
    "a group of errors": ("raise ExceptionGroup('many', [ValueError('a')])", "many"),
    "annotations that raise": (
        variants("def f(spec, k: '1 / 0' = 1): ..."), "ZeroDivisionError"
    ),
    "annotations that exit": (
        variants("def f(spec, k: 'exit(0)' = 1): ..."), "calls exit(0)"
    ),
    "a repr that raises": (
        variants("class O:\n    def __repr__(self): raise SystemExit", "[O()]"), "calls exit()"
    ),
    "a docstring that is a number": (
        variants("def f(spec): ...\nf.__doc__ = 5"), "the docstring of f must be a text, not 5"
    ),
    "a docstring of a million letters": (
        variants("def f(spec): ...\nf.__doc__ = 'x' * 10**6"), "has 1,000,000 letters"
    ),
    "a docstring of escapes": (
        variants("def f(spec): ...\nf.__doc__ = '\\x1b]0;x\\x07'"), "has the letter '\\x1b'"
    ),
    "a name of 300 letters": (
        variants(f"def {'f' * 300}(spec): ...", f"[{'f' * 300}]"), "no name for the command line"
    ),
    "a name of Cyrillic twins": (variants("def vае(spec): ...", "[vае]"), "no name for the"),
    "a name that is a number": (variants("def f(spec): ...\nf.__name__ = '5'"), "no name for"),
    "a name of a path": (variants("def f(spec): ...\nf.__name__ = '../f'"), "no name for"),
    "tags that are a word": (variants("def f(spec): ...\nf.tags = 'abc'"), "tags of f are words"),
    "tags of numbers": (variants("def f(spec): ...\nf.tags = frozenset([1])"), "tags of f"),
    "tags of escapes": (variants("def f(spec): ...\nf.tags = frozenset(['\\x1b'])"), "the tag"),
    "a metric without columns": (metrics("Metric('m', (), m)"), "has no columns"),
    "a metric with words for columns": (metrics("Metric('m', ('a',), m)"), ""),
    "a metric that is no function": (metrics("Metric('m', (Column('a', '', ''),), 5)"), "measure"),
    "a metric of a path": (metrics("Metric('../m', (Column('a', '', ''),), m)"), "a name has"),
    "a metric named 5": (metrics("Metric(5, (Column('a', '', ''),), m)"), "its name is 5"),
    "a column of a path": (metrics("Metric('m', (Column('../a', '', ''),), m)"), "a name has"),
    "a column with a number for a unit": (metrics("Metric('m', (Column('a', 5, ''),), m)"), "unit"),
    "a column of a million digits": (
        metrics("Metric('m', (Column('a', '', '', digits='9'),), m)"), "its digits is '9'"
    ),
    "a column from low to NaN": (
        metrics("Metric('m', (Column('a', '', '', low='x'),), m)"), "its low is 'x'"
    ),
    "a table of a path": (
        metrics("Metric('m', (Column('a', '', ''),), m, table=Table('/etc/x'))"), "a name has"
    ),
    "a table with a number for a title": (
        metrics("Metric('m', (Column('a', '', ''),), m, table=Table('t', 5))"), "its title is 5"
    ),
    "controls that are no function": (
        metrics("Metric('m', (Column('a', '', ''),), m, controls=5)"), "its controls is 5"
    ),
    "asked that is a word": (
        metrics("Metric('m', (Column('a', '', ''),), m, asked='no')"), "its asked is 'no'"
    ),
    "a figure of a path": (
        "@hookimpl\ndef vaezoo_figures(): return [Figure('../f', print)]", "a name has"
    ),
    "a figure that draws 5": ("@hookimpl\ndef vaezoo_figures(): return [Figure('f', 5)]", "draw"),
    "a part without a name": (
        "@hookimpl\ndef vaezoo_parts():\n    from vaezoo.losses import ELBO\n"
        "    return [Part('', ELBO)]", "a name has"
    ),
    "a part of another kind": (
        "class P: part_kind = 'x' * 99\n@hookimpl\ndef vaezoo_parts(): return [Part('p', P)]",
        "of the kind",
    ),
    "a hook that is a number": ("vaezoo_variants = 5", ""),
    "a module that answers all": ("def __getattr__(name): raise SystemExit", ""),
    "a module whose list raises": ("def __dir__(): raise SystemExit(3)\n" + GOOD, "calls exit(3)"),
}  # fmt: skip

# what a plugin changes at import -> its name in the report
CHANGES = {
    "import torch; torch.set_default_dtype(torch.float64)": "the default dtype",
    "import torch; torch.set_default_device('meta')": "the default device",
    "import torch; torch.set_grad_enabled(False)": "whether gradients are computed",
    "import torch; torch.use_deterministic_algorithms(True)": "determinism",
    "import torch; torch.set_num_threads(2)": "the number of threads",
    "import torch; torch.set_float32_matmul_precision('medium')": "the precision of products",
    "import torch; torch.set_flush_denormal(True)": "how small numbers are kept",
    "import torch; torch.autograd.set_detect_anomaly(True)": "anomaly detection",
    "import torch; torch.backends.cudnn.benchmark = True": "cuDNN",
    "from torch.nn.modules import module as m; m.register_module_forward_hook(print)": "hooks of",
    "import torch; torch.randn = torch.zeros": "torch.randn",
    "import torch; torch.nn.Linear.forward = lambda s, x: x": "Linear.forward",
    "import torch; torch.nn.init.normal_ = print": "init.normal_",
    "import torch; torch.Tensor.mean = torch.Tensor.sum": "Tensor.mean",
    "import vaezoo.losses as n; n.ELBO.forward = n.ELBO.__call__ = print": "ELBO.forward",
    "import vaezoo.seeds as s; s.seeded = print": "vaezoo.seeds.seeded",
    "import numpy as np; np.mean = np.sum": "numpy.mean",
    "import builtins; builtins.sum = max": "builtins.sum",
    "import numpy as np; np.seterr(all='ignore')": "numpy's errors",
    "import decimal; decimal.getcontext().prec = 3": "decimal's precision",
    "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)": "signal handlers",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)": "signal handlers",
    "import os; os.chdir('/')": "the working directory",
    "import os; os.environ['OMP_NUM_THREADS'] = '64'": "the environment",
    "import os; os.environ.clear()": "the environment",
    "import sys; sys.stdout = sys.__stdout__ = None": "stdout",
    "import sys; sys.excepthook = print": "stdout or stderr",
    "import sys; sys.path.insert(0, '/nowhere')": "sys.path",
    "import sys; sys.setrecursionlimit(50_000)": "the limit of recursion",
    "import gc; gc.disable()": "the collector of garbage",
    "import random; random.seed(1)": "the global random state",
    "import numpy as np; np.random.seed(1)": "the global random state",
    "import torch; torch.manual_seed(1)": "the global random state",
    "import atexit, os; atexit.register(os._exit, 7)": "what is done at the end",
    "import weakref, os; weakref.finalize(os, os._exit, 7)": "what is done at the end",
    "import gc; gc.callbacks.append(lambda *a: None)": "what is called by the collector",
    "import sys; sys.argv[:] = ['x']": "sys.argv",
    "import sys, types; sys.modules['json'] = types.ModuleType('json')": "the module json",
    "import sys; sys.modules.pop('vaezoo.seeds')": "the module vaezoo.seeds",
    "import sys; sys.meta_path.insert(0, sys.meta_path[0])": "sys.path",
    "import os; os.umask(0)": "the mask of new files",
    "import signal; signal.setitimer(signal.ITIMER_PROF, 99)": "timers",
    "import logging; logging.basicConfig(level=10, force=True)": "logging",
    "import logging; logging.disable(50)": "logging",
    "import faulthandler as f; (f.disable if f.is_enabled() else f.enable)()": "handler of faults",
    "import sys; sys.setprofile(lambda *a: None)": "profiling",
    "import sys; sys.setswitchinterval(1.0)": "how often threads take turns",
    "import locale; locale.setlocale(locale.LC_ALL, 'C')": "the locale",
    "import torch; torch._C._set_mkldnn_enabled(False)": "oneDNN",
    "import torch; torch.set_autocast_enabled('cpu', True)": "autocast",
    "import torch; torch.nn.Conv2d.forward = lambda s, x: x": "Conv2d.forward",
    "import torch; torch.distributions.Normal.log_prob = print": "Normal.log_prob",
    "import vaezoo.bench.trial as t; t.PROTOCOL = 99": "vaezoo.bench.trial.PROTOCOL",
    "import vaezoo.seeds as s; s.seed_for.__code__ = (lambda *n: 1).__code__": "seeds.seed_for",
    "import vaezoo.seeds as s; s.seed_for.__defaults__ = (1,)": "vaezoo.seeds.seed_for",
    "import math; math.pi = 3": "math.pi",
    "import torch; torch.pi = 3": "torch.pi",
    "import hashlib; hashlib.sha256 = hashlib.md5": "hashlib.sha256",
    "import pathlib; pathlib.Path.rename = print": "Path.rename",
    "import csv; csv.writer = print": "csv.writer",
    "import torch; torch.autograd.grad = print": "torch.autograd.grad",
    "from torch.distributions import *; register_kl(Normal, Normal)(max)": "divergences of torch",
    "import torch; torch.backends.opt_einsum.enabled ^= True": "kernels of torch",
    "import torch; torch.backends.cuda.enable_flash_sdp(False)": "kernels of torch",
    "import torch; torch.backends.cuda.matmul.allow_tf32 = True": "the precision of products",
    "import torch; torch.backends.fp32_precision = 'tf32'": "the precision of products",
    "import torch; torch.backends.cudnn.conv.fp32_precision = 'ieee'": "the precision of products",
    "import torch; torch.autograd.graph.saved_tensors_hooks(abs, abs).__enter__()": "saved tensors",
    "from torch.utils._python_dispatch import *; TorchDispatchMode().__enter__()": "modes of torch",
    "import matplotlib; matplotlib.rcParams['font.size'] = 3": "how figures look",
    "import resource as r; n = r.RLIMIT_NOFILE; r.setrlimit(n, (64, r.getrlimit(n)[1]))": "limits",
    "import multiprocessing as m; m.set_start_method('spawn', force=True)": "how processes are",
    "import multiprocessing as m; m.set_executable('/bin/false')": "how processes are started",
    "import threading; threading.setprofile(print)": "how threads are started",
    "import socket; socket.setdefaulttimeout(1e-9)": "how long a connection",
    "import sys; sys.executable = '/bin/false'": "sys.executable",
    "import sys; sys.set_int_max_str_digits(0)": "sys.executable",
    "import os, threading; threading._register_atexit(os._exit, 7)": "what is done at the end",
    "from multiprocessing.util import *; Finalize(None, print, exitpriority=1)": "done at the end",
    "import logging\nclass H(logging.Handler): pass\nh = H()": "what is done at the end",
}


FILES = 14  # that make these changes, some each


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAEZOO_PLUGIN_TIMEOUT", "1")
    monkeypatch.setenv("VAEZOO_CACHE", str(tmp_path / "cache"))
    # threads that other tests left are asleep
    monkeypatch.setattr(gathering, "can_try", lambda: True)


def folder_of(tmp_path: Path, plugins: dict[str, str]) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    for name, text in plugins.items():
        (folder / f"{name}.py").write_text(HEAD + text)
    return folder


def causes(loaded: registry.Registry) -> dict[str, str]:
    found: dict[str, str] = {}
    for problem in loaded.problems:
        name = Path(problem.file).stem
        found[name] = f"{found.get(name, '')}{problem.cause}\n"
    return found


SOME = (
    "exit",
    "segfault",
    "interrupt",
    "a thread",
    "a daemon",
    "a copy",
    "an audit",
    "a kernel",
    "annotations that exit",
    "a name of a path",
)


@pytest.mark.parametrize("names", [SOME, pytest.param(tuple(KILLERS), marks=pytest.mark.slow)])
def test_a_killer_costs_one_line_and_the_others_are_there(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # of some none hangs; a good one takes seconds to come in where the machine is busy
    monkeypatch.setenv("VAEZOO_PLUGIN_TIMEOUT", "30" if names == SOME else "10")
    plugins = {f"p{i}": KILLERS[name][0] for i, name in enumerate(names)}
    loaded = registry.load_registry(folder_of(tmp_path, plugins | {"zzz_last": GOOD}))
    said = causes(loaded)
    assert {"mine", "vae", "mix"} <= loaded.variants.keys()
    for i, name in enumerate(names):
        words = KILLERS[name][1]
        assert words in said.get(f"p{i}", "nothing is said"), name
    for line in "".join(said.values()).splitlines():
        assert line.isprintable()
        assert len(line) <= 500


def test_what_an_import_changes_is_put_back_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("VAEZOO_PLUGIN_TIMEOUT", "30")
    registry.load_registry()
    before = Surroundings()
    texts = list(CHANGES)
    plugins = {
        f"p{i}": "\n".join([*texts[i::FILES], GOOD.replace("mine", f"mine_{i}")])
        for i in range(FILES)
    }
    loaded = registry.load_registry(folder_of(tmp_path, plugins))
    assert before.put_back() == []
    assert "__call__" not in vars(ELBO)
    said = causes(loaded)
    for i, (text, words) in enumerate(CHANGES.items()):
        name = f"p{i % FILES}"
        assert f"mine_{i % FILES}" in loaded.variants, said.get(name)
        assert said[name].startswith("import: changes "), text
        assert words in said[name], (text, said[name])
        assert said[name].count("changes") == 1, text


ENDED = """
import subprocess, threading
from concurrent.futures import ThreadPoolExecutor
subprocess.run(["true"])
with ThreadPoolExecutor() as pool:
    list(pool.map(abs, [1]))
"""


def test_what_has_ended_when_the_import_has_is_no_reason_to_stay_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("VAEZOO_PLUGIN_TIMEOUT", "30")
    loaded = registry.load_registry(folder_of(tmp_path, {"p": ENDED + GOOD}))
    assert "mine" in loaded.variants
    assert "starts" not in causes(loaded).get("p", "")


def test_what_a_hook_changes_is_put_back_too(tmp_path: Path):
    before = Surroundings()
    text = GOOD.replace(
        "    return [", "    import torch\n    torch.set_default_dtype(torch.float64)\n    return ["
    )
    loaded = registry.load_registry(folder_of(tmp_path, {"p": text}))
    assert before.put_back() == []
    assert "vaezoo_variants(): changes the default dtype" in causes(loaded)["p"]


def test_every_switch_reads_what_it_sets():
    for switch in SWITCHES:
        value = switch.get()
        switch.put(value)
        assert switch.get() == value, switch.name
    assert all(hasattr(owner, "__name__") for owner in SHARED)


def test_a_script_beside_plugins_is_not_run(tmp_path: Path):
    folder = folder_of(tmp_path, {"good": GOOD})
    (folder / "train.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nimport vaezoo\n")
    (folder / "dangling.py").symlink_to(tmp_path / "nowhere.py")
    (folder / "folder.py").mkdir()
    (folder / "odd.py").write_bytes(b"\xff\xfe\x00vaezoo_")
    os.mkfifo(folder / "pipe.py")
    with (folder / "large.py").open("wb") as file:
        file.truncate(2**40)
    loaded = registry.load_registry(folder)
    assert "mine" in loaded.variants
    assert not (tmp_path / "ran").exists()
    said = {Path(p.file).stem: p for p in loaded.problems}
    assert said["train"].is_note
    assert "was not run" in said["train"].cause
    assert said.keys() == {"train", "dangling", "folder", "odd", "pipe", "large"}


def test_one_file_is_loaded_alone(tmp_path: Path):
    other = f"open({str(tmp_path / 'ran')!r}, 'w')\n{GOOD.replace('mine', 'other')}"
    folder = folder_of(tmp_path, {"one": GOOD, "other": other})
    loaded = registry.load_registry(folder / "one.py")
    assert "mine" in loaded.variants
    assert "other" not in loaded.variants
    assert not (tmp_path / "ran").exists()


def test_a_plugin_that_is_as_it_was_is_not_tried_twice(tmp_path: Path):
    text = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')\n"
    folder = folder_of(tmp_path, {"good": text + GOOD})
    registry.load_registry(folder)
    assert (tmp_path / "runs").read_text() == "xx"  # there and here
    registry._loaded.cache_clear()
    registry.load_registry(folder)
    assert (tmp_path / "runs").read_text() == "xxx"


LOUD = """
import os, sys
os.write(1, b"descriptor\\n")
print("stdout")
print("stderr", file=sys.stderr)
sys.stdout.close()


class Last:
    def __del__(self, end=os._exit):
        end(7)


last = Last()
"""


def installed(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(HEAD + text)
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[vaezoo]\n{name} = {name}\n")


@pytest.mark.slow
def test_installed_killers_leave_the_tool_its_words_and_its_exit_code(tmp_path: Path):
    for name in ("exit", "segfault", "hang without alarms", "a thread"):
        installed(tmp_path, name.replace(" ", "_"), KILLERS[name][0])
    installed(tmp_path, "loud", LOUD + GOOD)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "VAEZOO_PLUGIN_TIMEOUT": "10"}

    def listed(**more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vaezoo", "list", "variants", "-q", "mine", "--json"]
        return subprocess.run(command, env=environment | more, capture_output=True, text=True)

    done = listed()
    assert done.returncode == 0
    assert done.stdout.startswith("[\n")
    assert '"mine"' in done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 5, lines
    for name in ("exit", "segfault", "hang_without_alarms", "a_thread", "loud"):
        assert any(line.startswith(f"vaezoo: plugin problem: {name} 1.0") for line in lines)
    assert "prints" in done.stderr
    without = listed(VAEZOO_PLUGINS="-exit,-segfault,-hang_without_alarms,-a_thread,-loud")
    assert (without.returncode, without.stdout, without.stderr) == (0, "[]\n", "")


def test_an_unknown_plugin_cannot_be_left_out(monkeypatch: pytest.MonkeyPatch):
    registry._loaded.cache_clear()
    monkeypatch.setenv("VAEZOO_PLUGINS", "-nix")
    with pytest.raises(
        registry.PluginError, match=r"installed plugins to leave out, .* not '-nix'"
    ):
        registry.load_registry()
