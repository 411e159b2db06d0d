"""Files that are kept between two commands: the folder that they lie in, and writing one whole."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def user_cache() -> Path:
    """$VAEZOO_CACHE, else the user's cache folder of the operating system."""
    given = os.environ.get("VAEZOO_CACHE")
    if given:
        return Path(given)
    import pooch

    return Path(pooch.os_cache("vaezoo"))


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes the place of `path` in one step when the block
    ends well, so that no reader sees half of it.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def umask() -> int:
    """What new files of this process are not permitted."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
