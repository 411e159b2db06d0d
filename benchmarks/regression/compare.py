"""Did any number move? Compares two runs of `vaezoo bench`, trial by trial, to the bit.

    vaezoo bench --variants all --datasets digits --seeds 1 --epochs 3 --out before  (the old code)
    vaezoo bench --variants all --datasets digits --seeds 1 --epochs 3 --out after   (the new code)
    python benchmarks/regression/compare.py before after

A trial is known by its variant, data set and seed, so that runs of different protocols can be
compared. What takes time (seconds) is left out. The exit code is 1 where anything differs.
"""

import hashlib
import json
import sys
from pathlib import Path

from safetensors import safe_open


def weights_of(path: Path) -> str:
    """SHA-256 over the names, shapes and bytes of all tensors of a checkpoint; "" where there is
    none.
    """
    if not path.is_file():
        return ""
    digest = hashlib.sha256()
    with safe_open(path, framework="numpy") as file:
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name)
            digest.update(f"{name}{tensor.shape}{tensor.dtype}".encode())
            digest.update(tensor.tobytes())
    return digest.hexdigest()


def facts_of(folder: Path) -> dict[str, object]:
    """What must not move: the status, the weights, every metric and the reason of every missing
    one.
    """
    record = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
    facts = {"status": record["status"], "reason": record.get("reason", "")}
    facts["weights"] = weights_of(folder / "model.safetensors")
    for name, value in record.get("metrics", {}).items():
        if not name.endswith("seconds"):
            facts[name] = repr(value)
    for name, reason in record.get("reasons", {}).items():
        facts[f"why no {name}"] = reason
    return facts


def trials_of(out: Path) -> dict[tuple[str, str, int], dict[str, object]]:
    """(variant, data set, seed) -> facts."""
    found = {}
    for path in sorted(out.glob("trials/*/trial.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        name = record["variant"], record["dataset"], record["ingredients"]["seed"]
        found[name] = facts_of(path.parent)
    return found


def differences(before: Path, after: Path) -> list[str]:
    """One line for every fact that is not the same in both runs."""
    old = trials_of(before)
    new = trials_of(after)
    lines = [f"{name}: only in {before}" for name in old.keys() - new.keys()]
    lines += [f"{name}: only in {after}" for name in new.keys() - old.keys()]
    for name in old.keys() & new.keys():
        for fact in sorted(old[name].keys() | new[name].keys()):
            was = old[name].get(fact)
            now = new[name].get(fact)
            if was != now:
                lines.append(f"{name}: {fact}: {was} -> {now}")
    return sorted(lines)


if __name__ == "__main__":
    found = differences(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(found) or f"{len(trials_of(Path(sys.argv[1])))} trials, all equal to the bit")
    sys.exit(bool(found))
