"""Files as the disk has them: written whole, deleted, and why neither could be done."""

import errno
import os
import shutil
from pathlib import Path


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


def is_full(error: BaseException) -> bool:
    """Whether the disk could not take more, which the next trial would meet as well."""
    return getattr(error, "errno", None) in (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
    ) or "os error 28" in str(error)


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
    """A folder or a file, if it is there."""
    if path is None:
        return
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
