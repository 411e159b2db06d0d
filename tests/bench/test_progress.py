"""What a run says while it runs: bars on a terminal, a line a finished trial elsewhere."""

import io
import json
from types import SimpleNamespace

import pytest

from vaezoo.bench.progress import Bars, progress_of
from vaezoo.bench.records import Ingredients, Record
from vaezoo.bench.store import PROGRESS

from .test_plan import TRIAL


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    screen = Terminal()  # pytest puts its own stderr back after the set-up, so not into `sys`
    monkeypatch.setattr("vaezoo.bench.progress.sys", SimpleNamespace(stderr=screen))
    return screen


def record(status="done", **facts):
    ingredients = Ingredients.from_json(json.loads(json.dumps(TRIAL.ingredients)))
    return Record(TRIAL.key, TRIAL.variant, TRIAL.dataset, status, ingredients, **facts)


def told(folder, **state):
    (folder / PROGRESS).write_text(json.dumps(state))
    return [(TRIAL, folder)]


def test_a_terminal_shows_a_bar_for_the_run_and_one_for_each_running_trial(terminal, tmp_path):
    progress = progress_of("auto")
    assert isinstance(progress, Bars)
    progress.start(total=3, finished=1)
    progress.show(told(tmp_path, epoch=1, loss=12.34))
    said = terminal.getvalue()
    assert "trials:  33%" in said
    assert "1/3" in said
    assert TRIAL.title in said
    assert "validation loss 12.34" in progress.bars[TRIAL.key].postfix
    assert progress.bars[TRIAL.key].n == 1
    progress.show(told(tmp_path, stage="samples"))
    assert "measuring: samples" in terminal.getvalue()
    progress.close()


def test_the_bar_of_a_trial_goes_with_it_and_only_a_failure_is_a_line(terminal, tmp_path):
    progress = progress_of("auto")
    progress.start(total=2, finished=0)
    progress.show(told(tmp_path, epoch=2, loss=1.0))
    progress.done(TRIAL, record())
    assert progress.bars == {}
    assert progress.whole.n == 1
    assert "done in" not in terminal.getvalue()
    progress.done(TRIAL, record("diverged", reason="loss was not finite"))
    assert f"[2/2] {TRIAL.title}: diverged: loss was not finite" in terminal.getvalue()
    progress.close()


def test_trials_that_are_skipped_count_as_ended(terminal, tmp_path):
    progress = progress_of("bars")
    progress.start(total=6, finished=1)
    progress.skipped(2)
    progress.done(TRIAL, record())
    assert (progress.count, progress.whole.n) == (4, 4)
    progress.close()


def test_a_bar_of_a_trial_fits_eighty_columns_with_its_loss(terminal, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    progress = progress_of("bars")
    progress.start(total=1, finished=0)
    progress.show(told(tmp_path, epoch=3, loss=123.456))
    bar = progress.bars[TRIAL.key]
    bar.ncols = 79
    bar.dynamic_ncols = None
    assert "left, validation loss 123.5]" in str(bar)
    progress.close()


def test_a_file_that_is_half_written_or_not_there_moves_no_bar(terminal, tmp_path):
    progress = progress_of("auto")
    progress.start(total=1, finished=0)
    progress.show([(TRIAL, tmp_path)])
    (tmp_path / PROGRESS).write_text('{"epoch": 1, "lo')
    progress.show([(TRIAL, tmp_path)])
    assert progress.bars[TRIAL.key].n == 0
    progress.close()


def test_elsewhere_each_finished_trial_is_a_line(capsys, tmp_path):
    progress = progress_of("auto")
    progress.start(total=3, finished=0)
    progress.show(told(tmp_path, epoch=1, loss=1.0))
    facts = {"best_epoch": 7, "total_seconds": 1.25}
    columns = (
        {"name": "fid", "unit": "", "table": "fid", "lead": 1, "digits": 3},
        {"name": "elbo", "unit": "nats", "table": "elbo", "lead": 1},
        {"name": "kl", "unit": "nats", "table": "elbo", "lead": 3},
    )
    tables = ({"name": "elbo", "order": 1}, {"name": "fid", "order": 2})
    leading = {"columns": columns, "tables": tables}
    progress.done(TRIAL, record(metrics={"kl": 3, "elbo": -20.123, "fid": 1}, **leading, **facts))
    progress.done(TRIAL, record(metrics={"fid": 1.0}, **leading, **facts))
    progress.done(TRIAL, None)
    progress.close()
    assert capsys.readouterr().err.splitlines() == [
        f"[1/3] {TRIAL.title}: done in 1.2 s, elbo -20.12 nats (best epoch 7)",
        f"[2/3] {TRIAL.title}: done in 1.2 s, fid 1.000 (best epoch 7)",
        f"[3/3] {TRIAL.title}: failed: its folder is gone",
    ]


def test_a_log_file_has_no_carriage_returns_whatever_the_terminal(terminal, tmp_path):
    progress = progress_of("plain")
    progress.start(total=1, finished=0)
    progress.show(told(tmp_path, epoch=1, loss=1.0))
    progress.done(TRIAL, record(total_seconds=1.0))
    progress.close()
    assert "\r" not in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1


def test_a_program_reads_an_event_a_line(terminal, tmp_path):
    progress = progress_of("json")
    progress.start(total=2, finished=0)
    progress.show(told(tmp_path, epoch=2, loss=1.5))
    progress.show(told(tmp_path, epoch=2, loss=1.5))  # too soon to be told again
    progress.say("a note")
    progress.done(TRIAL, record(total_seconds=1.0, best_epoch=2))
    progress.done(TRIAL, record("failed", reason="why"))
    progress.close()
    events = [json.loads(line) for line in terminal.getvalue().splitlines()]
    kinds = ["start", "running", "note", "trial", "trial", "end"]
    assert [one["event"] for one in events] == kinds
    assert events[1]["trials"][0]["validation_loss"] == 1.5
    assert (events[3]["status"], events[3]["seed"]) == ("done", TRIAL.seed)
    assert (events[4]["status"], events[4]["reason"]) == ("failed", "why")


def test_quiet_says_nothing_and_another_word_is_refused(terminal, tmp_path):
    progress = progress_of("quiet")
    progress.start(total=1, finished=0)
    progress.show(told(tmp_path, epoch=1, loss=1.0))
    progress.done(TRIAL, record("failed", reason="why"))
    progress.say("a note")
    progress.close()
    assert terminal.getvalue() == ""
    with pytest.raises(ValueError, match="progress is one of"):
        progress_of("loud")
