"""What a stranger's code starts as it comes in, and what goes on when it is done: threads,
processes, hooks that Python calls later. Any of them could end the program when nobody looks, and
none can be taken back; so the module stays out.
"""

import os
import sys
import threading
from types import FrameType, ModuleType
from typing import Any

from .further import hard_limits

KERNELS = "another kernel of torch's own operations"
LIMIT = "a limit that cannot be raised again"
THREAD, PROCESS, HOOK = "a thread", "a process", "a hook that cannot be taken away"
BARE = "a thread that nobody can list"
EVENTS = {
    "subprocess.Popen": PROCESS,
    "os.posix_spawn": PROCESS,
    "os.fork": "a copy of this process",
    "os.forkpty": "a copy of this process",
    "sys.addaudithook": HOOK,
}
# functions of which Python says nothing, by the name of their module
SILENT = (
    ("_thread", "start_new_thread", THREAD),
    ("_thread", "start_new", THREAD),
    ("_thread", "start_joinable_thread", THREAD),
    ("threading", "_start_new_thread", THREAD),
    ("threading", "_start_joinable_thread", THREAD),
    ("os", "register_at_fork", HOOK),
    ("posix", "register_at_fork", HOOK),
)
# of these the one that called them is asked, and libraries start their own
BETWEEN = (
    "threading", "subprocess", "concurrent", "multiprocessing", "os", "torch.library", __name__,
)  # fmt: skip
TORCHS = ("aten", "prims")  # operations that everybody's numbers come from


class Started:
    """What the code of this module, of its package or of this file starts from now on. Only for a
    process that ends soon: it listens by a hook that cannot be taken away either.
    """

    def __init__(self, module: str, file: str) -> None:
        self.package = module.partition(".")[0]
        self.file = file
        self.noted: set[str] = set()
        self.process = os.getpid()
        sys.addaudithook(self._listen)
        for owner, name, what in SILENT:
            self._listen_to(sys.modules.get(owner), name, what)
        self._listen_to_kernels()
        self.limits = hard_limits()

    def goes_on(self) -> str:
        """What was started and does not end with the import; "" for nothing. A copy of this process
        ends here.
        """
        if os.getpid() != self.process:
            os._exit(1)
        alive = [t for t in threading.enumerate() if t is not threading.main_thread()]
        if any(not thread.daemon for thread in alive):
            return "a thread that keeps the program from ending"
        if not alive:
            self.noted.discard(THREAD)
        if not _has_children():
            self.noted.discard(PROCESS)
        if hard_limits() != self.limits:
            self.noted.add(LIMIT)
        return min(self.noted, default="")

    def _listen(self, event: str, _: Any) -> None:
        if event in EVENTS:
            self._note(EVENTS[event], sys._getframe(1))

    def _listen_to(self, owner: ModuleType | None, name: str, what: str) -> None:
        known = vars(owner).get(name) if owner is not None else None
        if known is None:
            return

        def heard(*args: Any, **more: Any) -> Any:
            frame = sys._getframe(1)
            is_bare = what == THREAD and frame.f_globals.get("__name__") != "threading"
            self._note(BARE if is_bare else what, frame)
            return known(*args, **more)

        vars(owner)[name] = heard

    def _listen_to_kernels(self) -> None:
        """What takes the place of torch's own kernels stays as long as its library does."""
        library: Any = getattr(sys.modules.get("torch.library"), "Library", None)
        if library is None:
            return
        known = library.impl

        def heard(one: Any, operation: Any, *args: Any, **more: Any) -> Any:
            if one.ns in TORCHS or str(operation).startswith(tuple(f"{ns}::" for ns in TORCHS)):
                self._note(KERNELS, sys._getframe(1))
            return known(one, operation, *args, **more)

        library.impl = heard

    def _note(self, what: str, frame: FrameType) -> None:
        if self._is_asked_by(frame):
            self.noted.add(what)

    def _is_asked_by(self, frame: FrameType | None) -> bool:
        """Whether the first frame that is not of Python's own ways to start things is theirs."""
        while frame is not None:
            name = str(frame.f_globals.get("__name__"))
            if name.partition(".")[0] not in BETWEEN and name not in BETWEEN:
                is_inside = self.package and name.partition(".")[0] == self.package
                return bool(is_inside) or frame.f_code.co_filename == self.file
            frame = frame.f_back
        return False


def _has_children() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return False
    return True
