"""A plan as rules of Snakemake: the commands of the rules train its trials."""

import re
import subprocess

from vaezoo.bench.runner import run
from vaezoo.bench.snakemake import write_rules
from vaezoo.bench.store import Store


def test_the_command_of_a_rule_trains_its_trial_and_bench_finds_it_finished(plan, tmp_path):
    made = plan("good")
    out = tmp_path / "out {1}"
    assert write_rules(made, out, tmp_path / "Snakefile") == 1
    text = (tmp_path / "Snakefile").read_text()

    outputs = re.findall(r"^    output:\n        '(.+)'$", text, re.MULTILINE)
    shells = re.findall(r"^    shell:\n        (.+)$", text, re.MULTILINE)
    assert len(outputs) == len(shells) == 2

    (out / "snakemake" / f"build-{made.trials[0].key}").mkdir()  # an earlier run was killed
    command = eval(shells[1]).format()  # what Snakemake makes of it
    assert subprocess.run(command, shell=True).returncode == 0, command
    assert Store(out).is_finished(made.trials[0].key)
    summary = run(made, out, figures=False)
    assert (summary.exit_code, summary.trained, summary.reused) == (0, 0, 1)
