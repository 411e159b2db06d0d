"""A real Slurm on this machine, without being installed and without a right that one has not.

    python -m tests.cluster.slurm DIR        # fetch the packages into DIR/root, by apt-get download

Debian's packages are unpacked into a folder. slurmctld and slurmd then run on loopback addresses
and high ports, with auth/none, as whoever calls; accounting is off.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

# those of Slurm, and of what they need that a small image may lack
PACKAGES = (
    "slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "libmunge2", "libhwloc15",
    "liblz4-1", "libnuma1", "libpam0g", "libreadline8", "libdbus-1-3", "libjson-c5", "libyaml-0-2",
    "liblua5.1-0",
)  # fmt: skip
LIBRARIES = (
    "usr/lib/x86_64-linux-gnu/slurm-wlm",
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
)
UP = 30.0  # seconds that a daemon may take to answer

CONF = """
ClusterName=vaezoo
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/none
CredType=cred/none
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
PluginDir={root}/{libraries[0]}
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SlurmdTimeout=300
SlurmdParameters=config_overrides
KillWait=5
MinJobAge={remembered}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=60 State=UP
"""


def fetch(folder: Path) -> Path:
    """The folder of the unpacked packages, fetched where they are not there."""
    root = folder / "root"
    if not (root / "usr/bin/sbatch").exists():
        shutil.rmtree(folder, ignore_errors=True)
        packages = folder / "packages"
        packages.mkdir(parents=True)
        subprocess.run(["apt-get", "-qq", "download", *PACKAGES], cwd=packages, check=True)
        for package in sorted(packages.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    return root


@dataclass
class Cluster:
    """slurmctld and slurmd with one node, this machine."""

    root: Path
    folder: Path
    cpus: int = 2
    remembered: int = 300  # seconds that an ended job stays in squeue
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def node(self) -> str:
        """The name of its one node."""
        return socket.gethostname().partition(".")[0]

    @property
    def environment(self) -> dict[str, str]:
        """What a command of Slurm needs."""
        return os.environ | {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.root / 'usr/bin'}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": ":".join(str(self.root / name) for name in LIBRARIES),
        }

    def configure(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        text = CONF.format(
            host=self.node,
            ports=_free_ports(2),
            user=subprocess.check_output(["id", "-un"], text=True).strip(),
            folder=self.folder,
            root=self.root,
            libraries=LIBRARIES,
            remembered=self.remembered,
            cpus=self.cpus,
        )
        (self.folder / "slurm.conf").write_text(text)

    def start(self, name: str) -> None:
        """Starts "slurmctld" or "slurmd"."""
        sbin = self.root / "usr/sbin"
        more = ["-d", str(sbin / "slurmstepd-wlm")] if name == "slurmd" else []
        with (self.folder / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                [str(sbin / f"{name}-wlm"), "-D", *more],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.daemons[name].kill()
        self.daemons[name].wait()

    def run(self, *command: str) -> str:
        """What a command of Slurm prints; "" where it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    def resume(self) -> None:
        """What an administrator does after a crash: a node that Slurm drained serves again.

        A slurmd whose controller was killed as it started a job is told to start it twice; Slurm
        drains the node for "Duplicate jobid", and starts nothing on it until it is told to.
        """
        if "drain" in self.run("sinfo", "-h", "-o", "%T"):
            self.run("scontrol", "update", f"nodename={self.node}", "state=resume")
        held = self.run("squeue", "-h", "-r", "-t", "PENDING", "-o", "%i %r").splitlines()
        for line in held:
            job, _, reason = line.partition(" ")
            if "held" in reason.lower():
                self.run("scontrol", "release", job)

    def wait_until_idle(self) -> None:
        until = time.monotonic() + UP
        while "idle" not in self.run("sinfo", "-h", "-o", "%T"):
            if time.monotonic() > until:
                logs = [path.read_text()[-2000:] for path in self.folder.glob("slurm*.log")]
                raise RuntimeError("Slurm does not come up:\n" + "\n".join(logs))
            time.sleep(0.2)


@contextmanager
def running(root: Path, folder: Path, **options: int) -> Iterator[Cluster]:
    """A cluster with an idle node; its jobs are cancelled at the end."""
    cluster = Cluster(root, folder, **options)
    cluster.configure()
    cluster.start("slurmctld")
    cluster.start("slurmd")
    is_over = threading.Event()
    administrator = threading.Thread(target=_administer, args=(cluster, is_over), daemon=True)
    try:
        cluster.wait_until_idle()
        administrator.start()
        yield cluster
    finally:
        is_over.set()
        cluster.run("scancel", f"--user={os.getuid()}", "--signal=KILL", "--full")
        cluster.run("scancel", f"--user={os.getuid()}")
        time.sleep(1.0)
        for daemon in cluster.daemons.values():
            daemon.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(timeout=UP)
            daemon.kill()


def _administer(cluster: Cluster, is_over: threading.Event) -> None:
    while not is_over.wait(2.0):
        cluster.resume()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    print(fetch(Path(sys.argv[1]).resolve()))
