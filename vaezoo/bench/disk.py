"""Files as the disk has them: written whole, deleted, and why neither could be done."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from ..data.words import in_words

NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
ROOM = 2**26  # bytes of which a disk that takes them is not full


def explained(error: OSError, folder: Path) -> str:
    """One sentence on why the folder cannot be written."""
    causes = {
        errno.ENOSPC: "the disk is full: free some space and run the same command again, "
        "finished trials are kept",
        errno.EDQUOT: "the disk quota is used up: free some space and run the same command again, "
        "finished trials are kept",
        errno.EROFS: "it is on a read-only file system: choose another folder with --out",
        errno.EACCES: "permission denied: choose another folder with --out",
        errno.EPERM: "permission denied: choose another folder with --out",
        errno.ENOTDIR: "a part of its path is a file: choose another folder with --out",
        errno.EEXIST: "it is a file: choose another folder with --out",
    }
    cause = causes.get(error.errno or 0, f"{error.strerror or error}")
    return f"cannot write in {folder}: {cause}"


def is_full(error: BaseException, folder: Path) -> bool:
    """Whether the disk of the folder could not take more, which the next trial would meet as well:
    an error that says so, and a disk that does. Code of a plugin may raise anything.
    """
    is_said = getattr(error, "errno", None) in NO_MORE or "os error 28" in in_words(error)
    return is_said and not _takes_more(folder)


def _takes_more(folder: Path) -> bool:
    probe = folder / ".probe"
    try:
        with probe.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, ROOM)
            else:
                file.write(bytes(ROOM))
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.unlink()
    return True


def must_take(folder: Path) -> None:
    """Whether something can be written in the folder, or where it would be made. Nothing stays, not
    after a SIGKILL either: the file has no name where the system can do that.

    Raises: OSError where it cannot.
    """
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    with TemporaryFile(dir=there):
        pass


def written(path: Path, content: str | bytes) -> None:
    """Writes the file anew and waits until the disk has it; what had its name, be it a link, is
    gone.
    """
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def deleted(path: Path | None) -> None:
    """A folder or a file, if it is there; of a link the link."""
    if path is None:
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
