"""The executor `slurm` on a real Slurm: see `tests.cluster.slurm`."""

import json
import os
import random
import time
from pathlib import Path

import pytest

from .runs import Drivers, Watch, kill, pid_in, processes, tables, wait_for
from .slurm import fetch, running

pytestmark = pytest.mark.cluster
PACKAGES = Path(os.environ.get("VAEZOO_CLUSTER", ".cluster")).resolve()
KILLS = int(os.environ.get("VAEZOO_KILLS", "20"))
BEGUN = 300  # seconds until a job trains: it loads torch, on a machine that may be busy
LONG = ("--variants", "vae", "--epochs", "100000", "--set", "patience=100000")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running(fetch(PACKAGES / "slurm"), tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The tables of a local run of the 24 trials."""
    out = tmp_path_factory.mktemp("local") / "out"
    with Drivers(out, dict(os.environ), "--seeds", "6") as drivers:
        assert drivers.now.wait() == 0, drivers.said
    return tables(out)


def of_cluster(cluster) -> dict[int, tuple[str, str]]:
    return processes(f"SLURM_CONF={cluster.folder / 'slurm.conf'}")


def jobs(cluster, index: str = "") -> list[int]:
    """The processes of jobs, of one job of an array where an index is given."""
    return [
        pid for pid, (command, environment) in of_cluster(cluster).items()
        if "submitit.core._submit" in command.split("\0")
        and f"\0SLURM_ARRAY_TASK_ID={index}" in environment
    ]  # fmt: skip


def jobs_of(cluster) -> list[str]:
    return cluster.run("squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i").split()


def statuses(out: Path) -> dict[int, tuple[str, str]]:
    """Seed -> status and reason of the trials that have ended."""
    found = {}
    for path in out.glob("trials/[!.]*/trial.json"):
        record = json.loads(path.read_text())
        found[record["ingredients"]["seed"]] = record["status"], record["reason"]
    return found


def test_twenty_kills_change_no_number_and_train_nothing_twice(cluster, local, tmp_path):
    """As many runs of the 24 trials as take twenty kills: two, where the machine is fast."""
    chance = random.Random(0)
    killed = dict.fromkeys(("trial", "job", "slurmd", "slurmctld", "driver"), 0)
    for round_ in range(4):
        out = tmp_path / f"out{round_}"
        run_with_kills(cluster, out, killed, chance)
        assert tables(out) == local
        assert not list(out.glob("slurm*")), "nothing is left of the jobs"
        if sum(killed.values()) >= KILLS:
            break
    assert sum(killed.values()) == KILLS


def run_with_kills(cluster, out: Path, killed: dict[str, int], chance: random.Random) -> None:
    """The same command until it ends with 0, something of it killed every few seconds."""
    words = ("--seeds", "6", "--executor", "slurm[per_job=2]", "--jobs", "2")
    codes = []
    with (
        Drivers(out, cluster.environment, *words) as drivers,
        Watch(out, "slurm/*/build-*") as watch,
    ):
        while len(codes) < 60:
            time.sleep(chance.uniform(1, 6))  # so that most kills come before the last trial ends
            if drivers.now.poll() is not None:
                codes.append(drivers.now.returncode)
                if drivers.now.returncode == 0:
                    break
                drivers.start()
            elif sum(killed.values()) < KILLS and jobs_of(cluster):
                what = chance.choice(list(killed))
                killed[what] += hit(what, cluster, drivers.now, out, chance)

    print(killed, codes, len(watch.trained), "trainings")
    assert codes[-1] == 0, drivers.said
    assert len(watch.finished) == 24
    assert watch.trained_twice() == []
    assert {len(inodes) for inodes in watch.inodes.values()} == {1}


def hit(what, cluster, driver, out, chance) -> int:
    """Kills one of a kind; 1 where there was one."""
    if what == "driver":
        driver.kill()
        driver.wait()
    elif what in ("slurmd", "slurmctld"):
        cluster.kill(what)
        time.sleep(chance.uniform(0, 5))
        cluster.start(what)
    elif what == "trial":
        until = time.monotonic() + 20
        while not (found := trials_of(out)) and time.monotonic() < until:
            time.sleep(0.05)  # they run for seconds only
        return kill_one(found, chance)
    else:
        return kill_one(jobs(cluster), chance)
    return 1


def trials_of(out: Path) -> list[int]:
    """The processes that train."""
    found = [pid_in(path) for path in out.glob("slurm/*/build-*/pid")]
    return [pid for pid in found if pid and Path(f"/proc/{pid}").exists()]


def kill_one(pids, chance) -> int:
    for pid in chance.sample(pids, min(1, len(pids))):
        kill(pid)
    return min(1, len(pids))


def test_lost_and_cancelled_trials_are_listed_within_a_minute(cluster, tmp_path):
    out = tmp_path / "out"
    words = (*LONG, "--seeds", "2", "--executor", "slurm", "--jobs", "2")
    with Drivers(out, cluster.environment, *words) as drivers:
        wait_for(lambda: len(list(out.glob("slurm/*/build-*/progress.json"))) == 2, BEGUN)
        first, second = sorted(jobs_of(cluster))
        for pid in jobs(cluster, first.split("_")[1]):
            kill(pid)
        _, seconds = wait_for(lambda: len(statuses(out)) == 1, 60)
        print(f"a job that was killed is listed after {seconds:.0f} s")

        cluster.run("scancel", second)
        _, seconds = wait_for(lambda: len(statuses(out)) == 2, 60)
        print(f"a job that was cancelled is listed after {seconds:.0f} s")
        assert drivers.now.wait(120) == 1
    found = dict(sorted(statuses(out).values()))
    assert set(found) == {"cancelled", "failed"}
    assert "ended as FAILED" in found["failed"]
    assert "ended as CANCELLED" in found["cancelled"]


def test_a_job_whose_node_is_gone_is_lost_within_a_minute(cluster, tmp_path):
    """Slurm goes on to say RUNNING for five."""
    out = tmp_path / "out"
    words = (*LONG, "--seeds", "1", "--executor", "slurm")
    with Drivers(out, cluster.environment, *words) as drivers:
        wait_for(lambda: list(out.glob("slurm/*/build-*/progress.json")), BEGUN)
        cluster.kill("slurmd")
        for pid, (command, environment) in of_cluster(cluster).items():
            if "\0SLURM_JOB_ID=" in environment or command.startswith("slurmstepd"):
                kill(pid)
        _, seconds = wait_for(lambda: statuses(out), 60)
        print(f"a job whose node is gone is listed after {seconds:.0f} s")
        assert "no sign of life" in statuses(out)[0][1]
        assert drivers.now.wait(120) == 1
    cluster.start("slurmd")
    cluster.wait_until_idle()


def test_two_drivers_at_once_train_every_trial_once(cluster, tmp_path):
    out = tmp_path / "out"
    words = ("--variants", "vae", "--seeds", "4", "--executor", "slurm[per_job=2]", "--jobs", "2")
    with (
        Drivers(out, cluster.environment, *words) as first,
        Drivers(out, cluster.environment, *words) as second,
        Watch(out, "slurm/*/build-*") as watch,
    ):
        assert first.now.wait(900) == second.now.wait(900) == 0, first.said
    assert len(watch.finished) == 4
    assert len(watch.trained) == 4, watch.trained
    assert not list(out.glob("slurm*"))


def test_a_job_at_its_limit_goes_back_to_the_queue_and_the_trial_goes_on(cluster, tmp_path):
    """Twice three minutes; the state of a training is kept once a minute."""
    out = tmp_path / "out"
    words = (*LONG, "--seeds", "1", "--executor", "slurm[time=3,requeue=1]")
    with Drivers(out, cluster.environment, *words) as drivers:
        logs, _ = wait_for(lambda: list(out.glob("slurm/*/build-*/log.txt")), 300)
        wait_for(lambda: len(list(out.glob("slurm/*/build-*/log.txt"))) == 2, 300)
        (second,) = set(out.glob("slurm/*/build-*/log.txt")) - set(logs)
        wait_for(lambda: "training goes on after epoch" in second.read_text(), 120)
        wait_for(lambda: statuses(out), 300)
        assert drivers.now.wait(120) == 1
    assert statuses(out)[0] == ("timeout", "its job ran past 3 minutes")
