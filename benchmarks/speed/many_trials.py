"""The folder of a run of many trials, made from those of a small one: for timing `vaezoo report`.

    python benchmarks/speed/many_trials.py results/digits /tmp/many 10000 --datasets 43

Trials keep what they say of themselves; their numbers are moved a little, and they stand on as many
data sets as asked for, and beyond these are variants with a hyperparameter of their own. Keys,
manifests and control rows are as `vaezoo bench` writes them.
"""

import argparse
import copy
import hashlib
import json
import random
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from vaezoo.bench.store import MANIFEST, to_json
from vaezoo.bench.trial import canonical

Json = dict[str, Any]


def make(source: Path, out: Path, n: int, datasets: int) -> None:
    """Writes a run of n trials to `out`."""
    paths = sorted(source.glob("trials/*/trial.json"))
    originals = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    keys = []
    for facts in islice(_varied(originals, datasets, random.Random(0)), n):
        keys.append(facts["key"])
        _write(out, source, facts)
    run = json.loads((source / "run.json").read_text(encoding="utf-8"))
    (out / "run.json").write_text(to_json(run | {"trials": keys}), encoding="utf-8")


def _varied(originals: list[Json], datasets: int, chance: random.Random) -> Iterator[Json]:
    """The trials on one data set after the other, and again with another hyperparameter."""
    for turn in count():
        for original in originals:
            facts = copy.deepcopy(original)
            made_of = facts["ingredients"]
            place = turn % datasets
            facts["dataset"] = f"digits[rows={1000 + place}]"
            for split, found in made_of["data"]["hashes"].items():
                made_of["data"]["hashes"][split] = _sha256(f"{found}{place}")
            facts["controls"] = facts["controls"] and f"controls/{place:012x}-bernoulli.json"
            if turn >= datasets:
                made_of["hyperparameters"]["turn"] = turn // datasets
                facts["variant"] = f"{facts['variant']}[turn={turn // datasets}]"
            facts["metrics"] = _moved(facts.get("metrics", {}), chance)
            facts["key"] = _sha256(canonical(made_of))
            yield facts


def _moved(metrics: Json, chance: random.Random) -> Json:
    """Numbers, each by a percent or so; shares and areas stay within 0 and 1."""
    moved = {}
    for name, value in metrics.items():
        factor = chance.gauss(1, 0.01)
        is_number = isinstance(value, float) and value != int(value)
        if is_number and 0 < value < 1:
            factor = min(factor, 1 / factor)
        moved[name] = value * factor if is_number else value
    return moved


def _write(out: Path, source: Path, facts: Json) -> None:
    folder = out / "trials" / facts["key"]
    folder.mkdir(parents=True)
    text = to_json(facts)
    (folder / "trial.json").write_text(text, encoding="utf-8")
    (folder / MANIFEST).write_text(f"{_sha256(text)}  trial.json\n", encoding="utf-8")
    controls = out / facts["controls"]
    if facts["controls"] and not controls.exists():
        controls.parent.mkdir(exist_ok=True)
        known = next(iter(sorted(source.glob("controls/*.json"))))
        controls.write_bytes(known.read_bytes())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The folder of a run of many trials.")
    parser.add_argument("source", type=Path, help="The folder of a run.")
    parser.add_argument("out", type=Path, help="The folder to write.")
    parser.add_argument("n", type=int, help="How many trials.")
    parser.add_argument("--datasets", type=int, default=43, help="On how many data sets.")
    asked = parser.parse_args()
    make(asked.source, asked.out, asked.n, asked.datasets)
