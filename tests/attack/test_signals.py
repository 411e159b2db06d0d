"""A signal ends a run with one sentence and its exit code, wherever it is, and tidily."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vaezoo.bench.signals import ENDS, answered

RUN = (
    "bench", "--variants", "vae", "--datasets", "gaussian", "--seeds", "1", "--epochs", "100000000",
    "--set", "patience=100000000", "--metrics", "likelihood", "--jobs", "1", "--no-figures",
    "--progress", "quiet",
)  # fmt: skip


def stopped(out: Path, number: int, sees: str) -> tuple[int, str]:
    """The exit code and stderr of a run that is sent a signal once `sees` is in its folder."""
    command = [sys.executable, "-m", "vaezoo", *RUN, "--out", str(out)]
    # what a shell would have left to it
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if _is_there(process.pid, out, sees):
            break
        time.sleep(0.05)
    # a terminal tells the whole group
    (os.kill if number in (signal.SIGINT, signal.SIGTERM) else os.killpg)(process.pid, number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def _is_there(pid: int, out: Path, sees: str) -> bool:
    if sees == "planning":  # its fork server is there, or about to be
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return len(children) > 0
    return any(out.rglob(sees))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")
@pytest.mark.parametrize(
    ("number", "sees"),
    [
        *itertools.product([signal.SIGINT, signal.SIGTERM], ["planning", "run.json", "log.txt"]),
        (signal.SIGHUP, "planning"),
        (signal.SIGHUP, "log.txt"),
        (signal.SIGQUIT, "log.txt"),
    ],
)
def test_a_run_that_is_stopped_before_its_first_trial_ends(number: int, sees: str, tmp_path: Path):
    code, err = stopped(tmp_path / "out", number, sees)
    assert code == 128 + number, err
    assert not list(tmp_path.rglob(".*"))
    assert "Traceback" not in err
    assert "internal error" not in err
    assert len(err.split("\n")) <= 3, err  # an empty line closes that of a terminal's ^C


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")
@pytest.mark.parametrize("wait", [0.0, 0.1, 0.3])
def test_ctrl_c_of_a_terminal_while_the_fork_server_begins_prints_no_traceback(
    wait: float, tmp_path: Path
):
    """The whole group gets it, a process that has just begun too."""
    command = [sys.executable, "-m", "vaezoo", *RUN, "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    end = time.monotonic() + 120
    while time.monotonic() < end and not _is_there(process.pid, tmp_path, "planning"):
        time.sleep(0.005)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "KeyboardInterrupt" not in err


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="has no SIGHUP")
@pytest.mark.parametrize("is_ignored", [False, True])
def test_a_closed_terminal_ends_a_verb_unless_it_was_begun_by_nohup(is_ignored: bool):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
    told: list[int] = []
    try:
        with answered(ENDS, lambda number, frame: told.append(number)):
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
        left = signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert told == [signal.SIGHUP] * (not is_ignored) + [signal.SIGTERM]
    assert left == (signal.SIG_IGN if is_ignored else signal.SIG_DFL)


def test_report_of_an_empty_folder_is_one_sentence(tmp_path: Path):
    from click.testing import CliRunner

    from vaezoo.cli import vaezoo

    for folder in (tmp_path, tmp_path / "nowhere"):
        done = CliRunner().invoke(vaezoo, ["report", str(folder)])
        assert done.exit_code == 2
        assert done.stderr.startswith("vaezoo: ")
        assert done.stderr.count("\n") == 1
    (tmp_path / "trials").mkdir()
    done = CliRunner().invoke(vaezoo, ["report", str(tmp_path)])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1


ENDING = """
import atexit, signal, sys, threading, time
from vaezoo.cli.ending import end
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs behind
atexit.register(print, "last")
threading.Thread(target=time.sleep, args=[99]).start()
print("numbers")
threading.Timer(2, print, ["waits"], {"file": sys.stderr, "flush": True}).start()
end(1)
"""


def test_ctrl_c_while_threads_are_waited_for_loses_nothing_that_was_said():
    ending = subprocess.Popen(
        [sys.executable, "-c", ENDING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert ending.stderr is not None
    assert ending.stderr.readline() == "waits\n"
    ending.send_signal(signal.SIGINT)
    out, _ = ending.communicate(timeout=60)
    assert out.split() == ["numbers", "last"]
    assert ending.returncode == 1
