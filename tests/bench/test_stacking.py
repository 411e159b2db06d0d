"""bench --stack: seeds of a row are trained by one process, and end as trials of their own."""

import json

import pytest

from vaezoo.bench.estimate import estimate
from vaezoo.bench.plan import PlanError
from vaezoo.bench.report.typeset import grid_text
from vaezoo.bench.runner import run
from vaezoo.bench.workers.memory import gpu_share

SAY = "sys.stderr.write('a step\\n'); sys.stderr.flush()"


def records(out) -> dict[int, dict]:
    """Seed -> its trial."""
    found = [json.loads(path.read_text()) for path in out.glob("trials/*/trial.json")]
    return {one["ingredients"]["seed"]: one for one in found}


def test_stacked_trials_have_the_numbers_of_those_trained_one_by_one(plan, write_variant, tmp_path):
    write_variant("says", step=SAY)
    alone, together = tmp_path / "alone", tmp_path / "together"
    run(plan("says", "3"), alone, jobs=1, progress="quiet", figures=False)
    made = plan("says", "3", stack=2)
    summary = run(made, together, jobs=1, progress="quiet", figures=False)
    assert (summary.trained, summary.exit_code) == (3, 0)
    before, after = records(alone), records(together)
    for seed, one in after.items():
        assert one["status"] == "done"
        assert one["ingredients"]["stacking"] == 2
        assert one["epochs"] == before[seed]["epochs"]
        for name in ("bound", "error"):
            assert one["metrics"][name] == pytest.approx(before[seed]["metrics"][name], rel=1e-4)
    # Two epochs of two minibatches and a validation for each stack; the second seed trains nothing.
    steps = [path.read_text().count("a step") for path in sorted(together.glob("trials/*/log.txt"))]
    assert sorted(steps) == [0, 6, 6]
    curves = [path.read_text().count("\n") for path in together.glob("trials/*/history.csv")]
    assert curves == [3, 3, 3]
    assert not list(together.glob("trials/.*")), "states and claims are gone"
    assert run(made, together, jobs=1, progress="quiet", figures=False).trained == 0


@pytest.mark.parametrize("end", ["os._exit(1)", "1 / 0"])
def test_a_stack_that_dies_or_fails_is_trained_seed_by_seed(
    plan, write_variant, tmp_path, end: str
):
    flag = tmp_path / "once"
    dies = f"flag = {str(flag)!r}; os.path.exists(flag) and (os.unlink(flag) or {end})"
    write_variant("dies", step=dies)
    out = tmp_path / "out"
    made = plan("dies", "2", stack=2)
    flag.touch()
    summary = run(made, out, jobs=1, progress="quiet", figures=False)
    assert not flag.exists()
    assert (summary.trained, summary.exit_code) == (2, 0)
    assert {one["status"] for one in records(out).values()} == {"done"}


def test_a_plan_says_what_is_not_stacked_and_why(plan, write_variant):
    write_variant("reads", step="terms['loss'].item()")
    made = plan("good,reads", "2", stack=2)
    good, reads = made.trials[0], made.trials[2]
    assert (good.stacking, good.alone) == (2, "")
    assert reads.stacking == 1
    assert "item()" in reads.alone
    assert good.key != plan("good", "2").trials[0].key
    assert reads.key == plan("reads", "2").trials[0].key
    text = grid_text(estimate(made, {}, frozenset(), 1))
    assert "planned; stacks of 2" in text
    assert "planned; seeds one by one: " in text


def test_a_stack_of_more_places_than_seeds_is_refused(plan):
    with pytest.raises(PlanError, match=r"--stack 4 trains 4 seeds as one, and there are 2"):
        plan("good", "2", stack=4)


def test_trials_side_by_side_on_a_gpu_have_a_part_of_its_memory_each():
    assert gpu_share("cuda", 4) == 0.25
    assert gpu_share("cuda", 1) == gpu_share("cpu", 4) == 0.0
