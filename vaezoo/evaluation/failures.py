"""What went wrong, in one line."""

import traceback
from pathlib import Path


def one_line(error: BaseException) -> str:
    """Type, message and the deepest line that is not torch's, such as "ValueError: no
    (idea.py:12)".
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    where = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{where}"
