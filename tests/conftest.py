"""What every test needs: one thread, and small data of each kind made here."""

import contextlib
import ctypes
import functools
import gc
import http.server
import math
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

# Before torch is imported, and for the processes that tests start: a second thread has nothing to
# do on tensors this small, and waits for it at full speed.
os.environ["OMP_NUM_THREADS"] = "1"
# where Python is told to keep no bytecode, each of the hundred processes that tests start compiles
# all of vaezoo anew: half a second of three
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# a copy of a process as large as this one may wait for processor and memory longer than the 20 s
# that a plugin has, on a machine that does other work; tests of the limit set their own
os.environ.setdefault("VAEZOO_PLUGIN_TIMEOUT", "300")

import pytest
import torch

from vaezoo.author import case
from vaezoo.core import Spec
from vaezoo.registry import gathering, trying
from vaezoo.registry.guard import Source

sys.dont_write_bytecode = False
torch.set_num_threads(1)
if not torch.accelerator.is_available():
    # `manual_seed` formats the stack once for each kind of accelerator that may come later: under
    # pytest, whose stack is deep, a millisecond each time
    torch.manual_seed = torch.default_generator.manual_seed

# glibc's malloc.h: how many blocks may be mapped apart, and from what on freed memory is given back
MMAP_MAX = -4, 0
TRIM_THRESHOLD = -1, 2**31 - 1
# Every page of a tensor is a fault if its memory went back to the kernel: those of a quadrature are
# so large that this took a third of the processor time. Other C libraries are left as they are.
with contextlib.suppress(OSError, AttributeError, TypeError):
    for setting in (MMAP_MAX, TRIM_THRESHOLD):
        ctypes.CDLL(None).mallopt(*setting)

# The kinds of `vaezoo check`, with more classes and longer sequences.
IMAGE = replace(case.SPECS["image"], classes=10)
CONV = replace(case.SPECS["large image"], classes=10)
VECTOR = case.SPECS["vector"]
SEQUENCE = replace(case.SPECS["sequence"], shape=(12, 5))
SPECS = {"image": IMAGE, "conv": CONV, "vector": VECTOR, "sequence": SEQUENCE}


def rows_of(spec: Spec, n: int, seed: int = 0) -> torch.Tensor:
    """n rows that fit the spec: fair bits, or standard normals; sequences of different lengths,
    padded with NaN.
    """
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *spec.shape, generator=g)
    if spec.likelihood != "normal":
        x = (x > 0).float()
    if spec.has_gaps:
        lengths = torch.randint(1, spec.shape[0] + 1, (n, 1), generator=g)
        lengths[0] = spec.shape[0]
        x[torch.arange(spec.shape[0]) >= lengths] = math.nan
    return x


def labels_of(spec: Spec, n: int, seed: int = 0) -> torch.Tensor | None:
    """One-hot labels (n, classes), or None for a spec without classes."""
    if not spec.classes:
        return None
    g = torch.Generator().manual_seed(seed)
    return torch.nn.functional.one_hot(
        torch.randint(spec.classes, (n,), generator=g), spec.classes
    ).float()


@pytest.fixture(params=list(SPECS))
def spec(request: pytest.FixtureRequest) -> Spec:
    return SPECS[request.param]


def pytest_collection_finish():
    """What is imported and collected stays: the collector need not look through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _tried_once() -> Iterator[None]:
    """Many tests write the same plugin, each into a folder of its own. A text that came in well is
    known in the next folder too: to try it again costs a copy of this large process.
    """
    came_in: set[bytes] = set()

    def is_known(source: Source) -> bool:
        if trying.is_known(source):
            return True
        if source.distribution or Path(source.file).read_bytes() not in came_in:
            return False
        trying.keep(source)  # for the processes of trials
        return True

    def keep(source: Source) -> None:
        trying.keep(source)
        if not source.distribution:
            came_in.add(Path(source.file).read_bytes())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathering, "is_known", is_known)
        patch.setattr(gathering, "keep", keep)
        yield


@pytest.fixture
def server(tmp_path):
    """(folder, address) of a server on the loopback interface."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder)
    ) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()
