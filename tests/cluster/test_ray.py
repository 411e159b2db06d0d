"""The executor `ray` on a Ray of this machine, which the driver starts."""

import os
import random
import time

import pytest

from .runs import Drivers, Watch, kill, pid_in, processes, tables

pytestmark = pytest.mark.cluster
KILLS = int(os.environ.get("VAEZOO_KILLS", "20"))
PARTS = ("trial", "raylet", "gcs_server", "driver")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The tables of a local run of the 24 trials."""
    out = tmp_path_factory.mktemp("local") / "out"
    with Drivers(out, dict(os.environ), "--seeds", "6") as drivers:
        assert drivers.now.wait() == 0, drivers.said
    return tables(out)


def test_twenty_kills_change_no_number_and_train_nothing_twice(local, tmp_path):
    out = tmp_path / "out"
    chance = random.Random(0)
    mark = f"VAEZOO_TEST={tmp_path}"  # by which the processes of this Ray are known
    environment = dict(os.environ) | {"VAEZOO_TEST": str(tmp_path), "RAY_AUTH_MODE": "disabled"}
    killed = dict.fromkeys(PARTS, 0)
    codes = []
    words = ("--seeds", "6", "--executor", "ray", "--jobs", "2")
    with (
        Drivers(out, environment, *words) as drivers,
        Watch(out, "trials/.building-*") as watch,
    ):
        while len(codes) < 60:
            time.sleep(chance.uniform(2, 12))
            if drivers.now.poll() is not None:
                codes.append(drivers.now.returncode)
                if drivers.now.returncode == 0:
                    break
                drivers.start()
            elif sum(killed.values()) < KILLS:
                what = chance.choice(PARTS)
                killed[what] += hit(what, mark, drivers.now.pid, out)

    print(killed, codes, len(watch.trained), "trainings")
    assert codes[-1] == 0, drivers.said
    assert len(watch.finished) == 24
    assert tables(out) == local
    assert watch.trained_twice() == []
    assert {len(inodes) for inodes in watch.inodes.values()} == {1}
    assert not list(out.glob("trials/.*"))


def hit(what, mark, driver, out) -> int:
    """Kills one of a kind once trials run; 1 where there was one."""
    until = time.monotonic() + 60
    while not (training := [pid_in(path) for path in out.glob("trials/.building-*/pid")]):
        if time.monotonic() > until:
            return 0
        time.sleep(0.05)
    if what == "driver":
        found = [driver]
    elif what == "trial":
        found = [pid for pid in training if pid in processes(mark)]
    else:
        ours = processes(mark)
        found = [pid for pid, (command, _) in ours.items() if what in command.split("\0")[0]]
    for pid in found[:1]:
        kill(pid)
    return len(found[:1])
