"""A small process that is the ancestor of all processes of a run, and leaves none of them behind.

The fork server divides before it loads anything: what stays is the keeper, what goes on is the
server, its child. On Linux whoever loses its parent becomes a child of the nearest ancestor that
asks for it (prctl(2), PR_SET_CHILD_SUBREAPER). A trial asks for it while it runs, so what it starts
stays below it, in whatever session; once the trial is gone it comes to the keeper, which kills all
its children but the server. When the driver or the server is gone, however it went, and whatever
native code a trial is in, or when the driver asks for it, the keeper kills all that is left and
ends.

Elsewhere there is no keeper: a trial is a session of its own, which ends as a group.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

ASKED = "VAEZOO_DRIVER"  # in the environment of a fork server: the process whose end ends it
LOOK = 0.1  # seconds between two looks; the end of the server is seen at once
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
WAITED_FOR = (signal.SIGCHLD, signal.SIGTERM)  # by the keeper; the second one asks it to end


def divide() -> None:
    """In a fork server that asks for it, goes on in a child of the keeper; elsewhere nothing."""
    driver = os.environ.pop(ASKED, "")
    if not driver:
        return
    os.setsid()  # a signal for the driver's group, such as Ctrl-C, is not for its workers
    _forget_interrupt()
    if not can_keep():
        return
    adopt()
    signal.pthread_sigmask(signal.SIG_BLOCK, WAITED_FOR)
    server = os.fork()
    if server:
        _keep(server, int(driver))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WAITED_FOR)
    die_with_parent()


def _forget_interrupt() -> None:
    """A Ctrl-C that came since the driver began this process, which blocked it, is dropped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.signal(signal.SIGINT, signal.default_int_handler)


def can_keep() -> bool:
    """Whether there is what it needs: Linux, and a /proc of this process's own numbers."""
    if sys.platform != "linux":
        return False
    with suppress(OSError):
        return os.readlink("/proc/self") == str(os.getpid())
    return False


def adopt() -> None:
    """From now on descendants of this process that lose their parent are its children."""
    _prctl(SUBREAPER, 1)


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends."""
    _prctl(DEATH_SIGNAL, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _keep(server: int, driver: int) -> None:
    """What the keeper does; it never comes back."""
    code = 1
    try:
        _let_go()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        asked = None
        while os.getppid() == driver and asked != signal.SIGTERM and not _has_ended(server):
            asked = None if _kill_all_but(server) else _waited(LOOK)
        while _kill_all_but(0):
            _waited(LOOK / 10)
        code = 0
    finally:
        os._exit(code)


def _waited(seconds: float) -> int | None:
    """The signal that came first; None where there was none in these seconds."""
    told = signal.sigtimedwait(WAITED_FOR, seconds)
    return told.si_signo if told else None


def _let_go() -> None:
    """Holds no file of the driver open: not its output, nor the server's sockets."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with suppress(OSError):  # the listing's own
                os.close(int(name))


def _has_ended(child: int) -> bool:
    return os.waitpid(child, os.WNOHANG)[0] != 0


def _kill_all_but(server: int) -> bool:
    """Whether there was a child to kill."""
    strays = [pid for pid in _children() if pid != server]
    for pid in strays:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return bool(strays)


def _children() -> list[int]:
    """The children of this process, which has one thread."""
    me = os.getpid()
    try:
        return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(path) == me]


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0
