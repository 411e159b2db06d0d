"""Runs: whatever a trial does costs only that trial, and a run that was killed goes on where it
stopped.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vaezoo.bench.preparing import Preparation
from vaezoo.bench.records import ControlRecord
from vaezoo.bench.report.report import report
from vaezoo.bench.runner import run
from vaezoo.bench.store import Store, StoreError, to_json
from vaezoo.cli.picking import write_pick


def statuses(out):
    return {record.variant: (record.status, record.reason) for record in Store(out).records()[0]}


def without_seconds(out):
    """The tables' bytes, the training times left out: they differ between any two runs."""
    lines = (out / "elbo.csv").read_text().splitlines()
    at = lines[0].split(",").index("train_seconds")
    return [line.split(",")[:at] for line in lines], (out / "reconstruction.csv").read_text().count(
        "\n"
    )


def test_run_leaves_whole_trials_three_tables_and_a_page(finished):
    _, out, summary = finished
    assert (summary.exit_code, summary.trained, dict(summary.counts)) == (0, 4, {"done": 4})
    names = {path.name for path in next((out / "trials").iterdir()).iterdir()}
    assert names == {
        "trial.json", "history.csv", "model.safetensors", "figures.safetensors", "log.txt",
        "MANIFEST.sha256",
    }  # fmt: skip
    assert {
        f"{t}.{s}" for t in ("elbo", "reconstruction", "fid") for s in ("csv", "md", "tex")
    } < set(os.listdir(out))
    assert "<!doctype html>" in (out / "report.html").read_text(encoding="utf-8")
    assert not list(out.glob("**/.*")), "nothing half done is left"


def test_figures_for_a_paper_are_those_of_the_named_rows_as_pdf(finished, capsys):
    made, out, _ = finished
    folder = made.source.plugins_dir
    asked = {"rows": "good", "columns": "bound", "sort": "", "out": None, "width": 239.0}
    write_pick(out, Path(folder), asked | {"formats": ("pdf",)}, wants_json=False)
    files = sorted(out.glob("paper-*.pdf"))
    assert {file.stem for file in files} >= {"paper-learning-curves-tiny", "paper-samples-tiny"}
    assert all(file.read_bytes().startswith(b"%PDF") for file in files)
    assert not list(out.glob("paper.*"))
    assert "paper-samples-tiny.pdf" in capsys.readouterr().err
    for file in files:
        file.unlink()


def test_samplers_are_rows_of_the_sample_table_and_train_nothing_anew(finished):
    made, out, _ = finished
    assert len(list((out / "trials").iterdir())) == 4
    with (out / "fid.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file) if row["status"] == "done"}
    assert {name: row["sampler"] for name, row in rows.items()} == {
        "good": "prior", "good + gaussian": "gaussian",
        "other": "prior", "other + gaussian": "gaussian",
    }  # fmt: skip
    assert rows["good"]["brightness_mean"] != rows["good + gaussian"]["brightness_mean"]
    assert "+ gaussian" not in (out / "elbo.csv").read_text()
    assert "Row + sampler: the same trained model" in (out / "fid.md").read_text()
    assert made.request["samplers"] == "gaussian,prior"


def test_a_metric_that_fails_is_a_dash_with_its_cause_and_the_trial_is_kept(finished):
    text = (finished[1] / "elbo.csv").read_text()
    assert text.count("done") == 2
    assert "breaks failed: IndexError: list index out of range (tiny.py:" in text


def test_second_run_trains_nothing_and_gives_the_same_bytes(finished):
    made, out, _ = finished
    before = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = run(made, out, jobs=2)
    after = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert (again.trained, again.reused) == (0, 4)
    changed = {str(name) for name in before if before[name] != after[name]}
    assert changed <= {"run.json", "report.html"}  # they say when it was
    first, second = (
        json.loads(files[next(n for n in files if n.name == "run.json")])
        for files in (before, after)
    )
    assert {key for key in first if first[key] != second[key]} <= {"timestamps"}


def test_every_misbehaviour_costs_only_its_own_trial(plan, write_variant, tmp_path):
    write_variant("exits", step="sys.exit(0)")
    write_variant("leaves", step="os._exit(0)")
    write_variant("raises", step="raise KeyError('no such thing')")
    write_variant("crashes", step="import ctypes; ctypes.string_at(0)")
    write_variant("nan", step="terms['loss'] = terms['loss'] * float('nan')")
    write_variant("prints", step="print('hello from C'); os.write(1, b'raw bytes')")
    write_variant("hungry", step="raise MemoryError('out of memory')")
    names = "exits,leaves,raises,crashes,nan,prints,hungry"
    out = tmp_path / "out"
    summary = run(plan(f"{names},good"), out, jobs=2, progress="quiet", figures=False)
    found = statuses(out)
    assert {name: status for name, (status, _) in found.items()} == {
        "exits": "failed", "leaves": "failed", "raises": "failed", "crashes": "failed",
        "nan": "diverged", "prints": "done", "hungry": "oom", "good": "done",
    }  # fmt: skip
    assert summary.exit_code == 1
    assert found["raises"][1] == "KeyError: 'no such thing' (raises.py:13)"
    assert "exit code 0" in found["leaves"][1]
    assert "signal 11" in found["crashes"][1]
    assert "loss was not finite at step" in found["nan"][1]
    log = next(
        path for path in (out / "trials").glob("*/log.txt") if b"raw bytes" in path.read_bytes()
    )
    assert b"hello from C" in log.read_bytes()
    assert all(name in (out / "elbo.md").read_text() for name in names.split(","))


def test_a_hang_is_a_timeout_and_is_tried_again_by_the_next_run(plan, write_variant, tmp_path):
    write_variant("hangs", step="time.sleep(600)")
    out, made = tmp_path / "out", plan("hangs")
    start = time.monotonic()
    summary = run(made, out, jobs=2, timeout=3, figures=False)
    assert time.monotonic() - start < 60
    assert statuses(out)["hangs"] == ("timeout", "ran past its limit of 3 s")
    assert summary.exit_code == 1
    assert not Store(out).is_finished(made.trials[0].key)


@pytest.mark.parametrize("end", ["pass", "time.sleep(600)", "os._exit(3)"])
def test_what_a_step_starts_ends_with_its_trial(end, plan, write_variant, tmp_path):
    pids = tmp_path / "pids"
    start = (
        f"import subprocess; p = subprocess.Popen(['sleep', '600']); f = open({str(pids)!r}, 'a')"
    )
    write_variant("starts", step=f"{start}; f.write(f'{{p.pid}} '); f.close(); {end}")
    run(plan("starts"), tmp_path / "out", jobs=1, timeout=10, figures=False)
    left = {int(pid) for pid in pids.read_text().split()}
    assert left
    end_of_wait = time.monotonic() + 5
    while any(os.path.exists(f"/proc/{pid}") for pid in left) and time.monotonic() < end_of_wait:
        time.sleep(0.05)
    assert not [pid for pid in left if os.path.exists(f"/proc/{pid}")]


def test_retries_try_a_failed_trial_again(plan, write_variant, tmp_path, capsys):
    mark = tmp_path / "mark"
    write_variant(
        "flaky",
        step=f"mark = {str(mark)!r}; os.path.exists(mark) or (open(mark, 'w').close(), 1 / 0)",
    )
    assert run(plan("flaky"), tmp_path / "out", retries=1, figures=False).exit_code == 0
    assert "waiting for other runs" not in capsys.readouterr().err  # there are none


def test_unsupported_is_skipped_and_no_error(plan, write_variant, tmp_path):
    write_variant("cannot", build="raise Unsupported('needs a sequence')")
    out = tmp_path / "out"
    summary = run(plan("cannot"), out, figures=False)
    assert summary.exit_code == 0
    assert statuses(out)["cannot"] == ("skipped", "needs a sequence")
    assert "needs a sequence" in (out / "fid.csv").read_text()


SCRIPT = """
import sys
from vaezoo import registry
from vaezoo.bench.plan import Request, make_plan
from vaezoo.bench.workers.processes import Places
from vaezoo.bench.runner import run

if __name__ == "__main__":
    plugins, out = sys.argv[1:]
    known = registry.load_registry(plugins)
    asked = Request("good,slow", "tiny", "2", metrics=("quick",))
    plan = make_plan(known, asked, source=Places(plugins))
    sys.exit(run(plan, out, jobs=1, figures=False).exit_code)
"""


@pytest.fixture
def started(plugins, write_variant, tmp_path):
    """A run in a process of its own, with a slow second variant, once its first trial is done."""
    write_variant("slow", step="time.sleep(float(os.environ.get('SLOW', 0)))")
    script, out = tmp_path / "script.py", tmp_path / "out"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(plugins), str(out)],
        stderr=subprocess.PIPE,
        env=os.environ | {"SLOW": "1"},
    )
    deadline = time.monotonic() + 90
    while not list((out / "trials").glob("[0-9a-f]*")):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield process, out
    process.kill()
    process.wait()


def test_killed_run_goes_on_and_gives_the_tables_of_one_that_was_not(started, plan, tmp_path):
    process, out = started
    process.kill()
    process.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in (out / "trials").glob("[0-9a-f]*")}
    made = plan("good,slow", "2")
    assert 0 < len(finished) < 4
    resumed = run(made, out, jobs=2, figures=False)
    assert resumed.reused >= len(finished)
    assert {
        path.name: path.stat().st_mtime_ns
        for path in (out / "trials").glob("*")
        if path.name in finished
    } == finished
    run(made, tmp_path / "whole", jobs=2, figures=False)
    assert without_seconds(out) == without_seconds(tmp_path / "whole")
    kept = {
        name: (out / name).read_bytes()
        for name in ("elbo.csv", "elbo.md", "elbo.tex", "reconstruction.tex", "fid.md")
    }
    report(out, figures=False)
    assert kept == {name: (out / name).read_bytes() for name in kept}


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_signal_keeps_what_is_finished_and_writes_tables(started, number, code):
    process, out = started
    process.send_signal(number)
    assert process.wait(30) == code
    assert (out / "elbo.csv").read_text().count("done") >= 1
    assert not list((out / "trials").glob(".building*"))


def test_a_trial_does_not_load_torchs_compiler(plan, write_variant, tmp_path):
    """It takes two seconds of each process; torch's own optimisers load it at their first step."""
    write_variant("lean", step="assert 'torch._dynamo' not in sys.modules")
    assert run(plan("lean"), tmp_path / "out", figures=False).exit_code == 0


def test_a_long_trial_that_was_killed_goes_on_to_the_same_bits(plan, write_variant, tmp_path):
    mark = tmp_path / "mark"
    write_variant(
        "long",
        step=f"mark = {str(mark)!r}; model.training and progress >= 0.5 and not "
        "os.path.exists(mark) and (open(mark, 'w').close(), os.kill(os.getpid(), 9))",
        build="from vaezoo.training import resume; resume.EVERY = 0.0",
    )
    made = plan("long")
    key = made.trials[0].key
    out, whole = tmp_path / "out" / "trials", tmp_path / "whole" / "trials"
    assert dict(run(made, out.parent, figures=False).counts) == {"oom": 1}
    assert (out / f".state-{key}").exists()
    (out / f"..state-{key}.x").write_text("")
    assert run(made, out.parent, figures=False).exit_code == 0
    assert run(made, whole.parent, figures=False).exit_code == 0

    assert "training goes on after epoch 1" in (out / key / "log.txt").read_text()
    assert not (whole / key / "log.txt").read_text()
    assert not list(out.glob(".*"))
    name = f"{key}/model.safetensors"
    assert (out / name).read_bytes() == (whole / name).read_bytes()
    epochs = [(trials / key / "history.csv").read_text().split() for trials in (out, whole)]
    assert len(epochs[0]) == len(epochs[1]) == 3
    record = Store(out.parent).read(key)
    assert record.total_seconds >= record.metrics["train_seconds"]


@pytest.mark.slow
def test_no_trial_outlives_a_killed_run(started):
    process, out = started
    process.kill()
    process.wait()
    before = len(list((out / "trials").glob("[0-9a-f]*")))
    time.sleep(3)
    assert len(list((out / "trials").glob("[0-9a-f]*"))) <= before + 1


def test_damaged_trial_is_recognised_and_trained_again(finished, tmp_path):
    made, whole, _ = finished
    out = shutil.copytree(whole, tmp_path / "out")
    folders = sorted((out / "trials").iterdir())
    (folders[0] / "model.safetensors").write_bytes(b"short")
    (folders[1] / "trial.json").write_text('{"status": "done"')
    (folders[2] / "history.csv").unlink()
    again = run(made, out, jobs=2, figures=False)
    assert (again.trained, again.reused, again.exit_code) == (3, 1, 0)


def test_out_that_cannot_be_written_is_one_sentence_before_training(plan, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StoreError, match=r"cannot write in .*file.*: (it is a file|a part of its path is a file)"
    ):
        run(plan("good"), tmp_path / "file")
    with pytest.raises(StoreError, match="cannot write in /proc"):
        run(plan("good"), "/proc/out")


def test_full_disk_stops_the_run_and_keeps_what_is_finished(plan, write_variant, tmp_path):
    # no file of more than a megabyte: as a disk that has no room for what is probed
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))"
    write_variant("fills", step=f"{limit}; raise OSError(28, 'No space left on device')")
    out = tmp_path / "out"
    summary = run(plan("good,fills,other"), out, jobs=1, figures=False)
    assert summary.exit_code == 1
    assert "No space left" in summary.errors[0]
    assert statuses(out) == {"good": ("done", "")}
    assert not list((out / "trials").glob(".building*"))


def test_control_rows_that_are_damaged_are_made_again_without_training(plan, tmp_path):
    out = tmp_path / "out"
    made = plan("good", metrics=("likelihood",))
    run(made, out, jobs=1, figures=False)
    (file,) = (out / "controls").iterdir()
    whole = file.read_text()
    assert json.loads(whole)["rows"]
    file.write_text("{")
    again = run(made, out, jobs=1, figures=False)
    assert (again.trained, file.read_text()) == (0, whole)


def test_two_runs_at_once_keep_the_control_rows_of_both(plan, tmp_path, monkeypatch):
    """The other run writes its rows while this one makes its own."""
    out = tmp_path / "out"
    made = plan("good", metrics=("likelihood",))
    name = made.trials[0].controls
    theirs = ControlRecord({"noise": {"fid": 5.0}}, "tiny", {"samples": "1"})
    wait = Preparation.wait

    def interrupted(self, future):
        answer = wait(self, future)
        self.store.write(name, to_json(theirs.to_json()))
        return answer

    monkeypatch.setattr(Preparation, "wait", interrupted)
    run(made, out, jobs=1, figures=False)
    found = json.loads((out / name).read_text())
    assert found["rows"]["noise"] == {"fid": 5.0}
    assert set(found["measures"]) == {"likelihood", "samples"}


def test_two_runs_at_once_share_a_folder(finished):
    """The loser of a race throws its copy away."""
    made, out, _ = finished
    store, key = Store(out), made.trials[0].key
    mine = store.building(key)
    mine.mkdir()
    (mine / "trial.json").write_text(json.dumps({"key": key, "status": "done", "mine": True}))
    store.commit(mine, key)
    assert "mine" not in (store.trials / key / "trial.json").read_text()
    assert not mine.exists()
