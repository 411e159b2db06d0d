"""Nothing of a trial stays behind, and what one does costs no other: processes in sessions of their
own, a fork server that is killed, memory, logs without end.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from vaezoo.bench.printed_log import END, GROWN, WHOLE, free, settle, shorten
from vaezoo.bench.runner import run
from vaezoo.bench.shown import log_end
from vaezoo.bench.store import Store
from vaezoo.bench.workers import memory
from vaezoo.bench.workers.costs import costs
from vaezoo.bench.workers.memory import resident, resident_with_children, share
from vaezoo.bench.workers.processes import result_of

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="has no keeper")
MARK = "8642"  # seconds of a sleep that nobody else asks for


def sleeping() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"\0{MARK}".encode() in (path / "cmdline").read_bytes():
                found.append(path.name)
        except OSError:
            pass
    return found


def is_quiet(seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while sleeping() and time.monotonic() < end:
        time.sleep(0.05)
    return not sleeping()


def records(out: Path) -> dict[str, tuple[str, str]]:
    return {one.variant: (one.status, one.reason) for one in Store(out).records()[0]}


STARTS = {
    "session": f"import subprocess; subprocess.Popen(['sleep', '{MARK}'], start_new_session=True)",
    "orphan": f"os.system('setsid sleep {MARK} & setsid sh -c \"sleep {MARK}; true\" &')",
    "copy": f"os.fork() or os.execvp('sleep', ['sleep', '{MARK}'])",
}


@on_linux
@pytest.mark.slow
def test_what_trials_do_to_processes_costs_only_themselves(plan, write_variant, tmp_path: Path):
    """In one run: processes in sessions of their own, by trials that end well, die or hang; the
    number of a stranger's process where the trial's own should be; memory and a log without end.
    """
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    for name, step in STARTS.items():
        write_variant(name, step=step)
    write_variant("dies", step=f"{STARTS['session']}; os._exit(3)")
    write_variant("hangs", step=f"{STARTS['orphan']}; time.sleep(600)")
    folder = "os.path.dirname(os.readlink('/proc/self/fd/1'))"
    forged = f"open({folder} + '/pid', 'w').write('{stranger.pid}')"
    write_variant("forges", step=f"{forged}; time.sleep(0.2)")
    write_variant("eats", step="eaten = bytearray(os.urandom(1000)) * 3 * 10**6; time.sleep(5)")
    write_variant("talks", step="print('first' + 'x' * 5 * 10**5 + 'last')")
    names = ["dies", "hangs", "forges", "eats", "talks", *STARTS]
    made = plan(",".join([*names, "good"]))
    summary = run(made, tmp_path / "out", jobs=2, timeout=60, memory=2 * 10**9, figures=False)
    found = records(tmp_path / "out")

    assert is_quiet(), sleeping()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    ends = {name: status for name, (status, _) in found.items()}
    assert ends.pop("forges") in ("done", "failed")
    done = dict.fromkeys([*STARTS, "talks", "good"], "done")
    assert ends == done | {"dies": "failed", "hangs": "timeout", "eats": "oom"}, found
    assert "more than the 2.00 GB that a trial may (--memory)" in found["eats"][1]
    assert summary.exit_code == 1
    (eats,) = (one for one in Store(tmp_path / "out").records()[0] if one.variant == "eats")
    assert eats.resources["memory"] > 2e9

    (talks,) = (trial.key for trial in made.trials if trial.variant == "talks")
    log = (tmp_path / "out" / "trials" / talks / "log.txt").read_bytes()
    assert len(log) < WHOLE
    assert b"bytes are left out here" in log
    assert log.endswith(b"last\n")
    assert Store(tmp_path / "out").is_finished(talks)


@on_linux
@pytest.mark.slow
def test_the_trial_that_kills_the_fork_server_is_named_and_its_neighbour_is_done(
    plan, write_variant, tmp_path: Path
):
    write_variant("kills", step="time.sleep(2); os.kill(os.getppid(), 9); time.sleep(60)")
    write_variant("slow", step="time.sleep(1)")
    made = plan("kills,slow,good")
    run(made, tmp_path / "out", jobs=2, timeout=60, figures=False)
    found = records(tmp_path / "out")
    assert {name: status for name, (status, _) in found.items()} == {
        "kills": "failed", "slow": "done", "good": "done",
    }, found  # fmt: skip
    assert "ended the process that all trials are forked from" in found["kills"][1]


DRIVER = """
import os, sys, time
from vaezoo.bench.workers.processes import pool_of
sys.path.insert(0, os.path.dirname(__file__))
import native

with pool_of(2, fresh=True) as pool:
    for _ in range(2):
        pool.schedule(native.work, args=[sys.argv[1]])
    time.sleep(600)
"""
NATIVE = f"""
import os, subprocess

def work(folder):
    subprocess.Popen(["sleep", "{MARK}"], start_new_session=True)
    open(os.path.join(folder, str(os.getpid())), "w").close()
    sum(range(10**14))  # native code that never gives the interpreter back
"""


@on_linux
@pytest.mark.slow
@pytest.mark.parametrize("whom", ["driver", "group"])
def test_native_code_ends_with_a_driver_that_is_killed(whom: str, tmp_path: Path):
    (tmp_path / "native.py").write_text(NATIVE)
    (tmp_path / "driver.py").write_text(DRIVER)
    (tmp_path / "pids").mkdir()
    command = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "pids")]
    driver = subprocess.Popen(command, start_new_session=True)
    end = time.monotonic() + 240
    while len(os.listdir(tmp_path / "pids")) < 2 and time.monotonic() < end:
        time.sleep(0.1)
    pids = os.listdir(tmp_path / "pids")
    assert len(pids) == 2
    kill = os.kill if whom == "driver" else os.killpg
    kill(driver.pid, 9)
    driver.wait()
    end = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    assert is_quiet()


CLOSES = """
from vaezoo.bench.workers.processes import pool_of

with pool_of(1) as pool:
    pool.schedule(abs, args=[1]).result()
for _ in range(20):
    with pool_of(3, fresh=True) as pool:
        pool.schedule(abs, args=[1]).result()
    try:
        with pool_of(3) as pool:
            pool.schedule(abs, args=[1])
            pool.stop()
    except RuntimeError:
        pass
"""


@pytest.mark.slow
def test_processes_that_start_while_their_pool_closes_say_nothing(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", CLOSES], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_long_log_keeps_head_and_tail_and_says_what_is_gone(tmp_path: Path):
    log = tmp_path / "log.txt"
    whole = b"".join(b"%08d\n" % i for i in range(300_000))
    with log.open("ab") as file:
        file.write(whole)
        file.flush()
        shorten(log)
        file.write(b"x" * WHOLE)  # whoever has it open goes on
    shorten(log)
    found = log.read_bytes()
    assert found.startswith(whole[:END])
    assert found.endswith(b"x" * END)
    (line,) = (line for line in found.splitlines() if line.startswith(b"[vaezoo"))
    gone = len(whole) + WHOLE - 2 * END
    assert line == b"[vaezoo: %d bytes are left out here]" % gone
    assert GROWN > WHOLE > 2 * END


LINES = 1_000_000
WRITES = f"""
import sys
with open(sys.argv[1], "ab", 0) as log:
    for i in range({LINES} // 100):
        log.write(b"".join(b"%08d\\n" % (100 * i + j) for j in range(100)))
"""


@on_linux
def test_a_log_that_is_shortened_while_it_is_written_in_loses_no_word_of_its_tail(tmp_path: Path):
    log = tmp_path / "log.txt"
    log.touch()
    whole = b"".join(b"%08d\n" % i for i in range(LINES))
    writer = subprocess.Popen([sys.executable, "-c", WRITES, str(log)])
    looks = 0
    while writer.poll() is None:
        free(log, 2**20)
        looks += 1
    free(log, 2**20)
    assert looks > 1
    assert log.stat().st_blocks * 512 <= 2**20 + 2 * END
    assert log.stat().st_size == len(whole), "the end is where it was written"
    assert log_end(log, 2) == f"{LINES - 2:08d}\n{LINES - 1:08d}"
    settle(log)
    cut = b"\n[vaezoo: %d bytes are left out here]\n" % (len(whole) - 2 * END)
    assert log.read_bytes() == whole[:END] + cut + whole[-END:]


def test_where_there_are_no_holes_a_growing_log_is_shortened(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("vaezoo.bench.printed_log._is_hole", lambda file, start, size: False)
    log = tmp_path / "log.txt"
    log.write_bytes(bytes(2**21))
    free(log, 2**22)
    assert log.stat().st_size == 2**21
    free(log, 2**20)
    assert log.stat().st_size < 2**20
    free(tmp_path / "none")


SAYS = """
import ctypes, os, sys
from pathlib import Path
from vaezoo.bench.printed_log import silence, tell
log = Path(sys.argv[1])
silence(log)
print("python", end="")
ctypes.CDLL(None).printf(b" and a C library ")
try:
    sys.stdout = sys.stderr = None
    os.close(2)
    raise ValueError("the last words \\ud800")
except ValueError:
    tell(log)
ctypes.CDLL(None).printf(b"stay")
silence(Path(os.devnull))
"""


@on_linux
def test_the_last_words_of_a_trial_are_in_its_log_whatever_it_did_to_its_streams(tmp_path: Path):
    log = tmp_path / "log.txt"
    done = subprocess.run([sys.executable, "-c", SAYS, str(log)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    words = log.read_text()
    assert words.startswith("python")
    assert " and a C library Traceback" in words
    assert words.endswith("ValueError: the last words \\ud800\nstay")


def test_a_log_that_is_settled_is_nobodys_to_write_in(tmp_path: Path):
    log = tmp_path / "log.txt"
    with log.open("ab") as file:
        file.write(b"early\n")
        file.flush()
        settle(log)
        file.write(b"late\n")
    assert log.read_bytes() == b"early\n"
    settle(tmp_path / "none")
    assert os.listdir(tmp_path) == ["log.txt"]


@on_linux
def test_memory_of_a_process_and_of_what_it_has_started():
    here = resident(os.getpid())
    assert here > 10**7
    code = "x = bytearray(10**8); x[::4096] = x[::4096]; print(1, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdout.readline()
    assert resident_with_children(child.pid) == resident(child.pid) > 10**8
    assert resident_with_children(os.getpid()) >= here
    child.communicate(b"\n")
    assert resident(child.pid) == 0
    assert share(10**6) == 10**9  # so much a trial may have in any case
    assert share(1) > share(2) >= 10**9


class Loud(BaseException):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), Loud()])
def test_what_a_plugin_raises_in_a_process_of_its_own_does_not_end_the_tool(error: BaseException):
    future: Future = Future()
    future.set_exception(error)
    found = result_of(future)
    assert found["status"] == "failed"
    assert found["error"].startswith(type(error).__name__)


def test_a_variant_that_leaves_while_it_is_tried_has_no_price(plan, write_variant):
    write_variant("leaves", step="sys.exit(0)")
    write_variant("odd", step="raise type('X', (BaseException,), {})()")
    made = plan("leaves,odd")
    for trial in made.trials:
        assert "error" in costs(made.source, trial)


@on_linux
def test_a_process_that_is_tried_takes_its_share_alone():
    code = (
        "from vaezoo.bench.workers.memory import limit_this_process\n"
        "limit_this_process(10**8)\n"
        "try:\n    bytearray(2 * 10**8)\nexcept MemoryError:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "refused\n", done.stderr


def test_pages_of_files_are_free(tmp_path: Path):
    """A container is near its limit for hours by what it has read from disk."""
    files = [tmp_path / "memory.max", tmp_path / "memory.current"]
    files[0].write_text("32000000000")
    files[1].write_text("31000000000")
    assert memory._left_in(tuple(map(str, files))) == 10**9
    (tmp_path / "memory.stat").write_text("anon 4\ninactive_file 20000000000\n")
    assert memory._left_in(tuple(map(str, files))) == 21 * 10**9
