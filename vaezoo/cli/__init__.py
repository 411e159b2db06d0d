"""The command line: parse, call, print. torch is imported only by a verb that needs it.

Exit codes: 0 all well, 1 some trial did not end `done` or has a number that cannot be, 2 usage,
3 internal, 128 + its number after a signal.
"""

from typing import Any, NoReturn

from .bench import bench, plan, report
from .best import best
from .board import board
from .browse import data, show
from .cite import cite
from .compare import compare, rank
from .completion import completion
from .develop import check, matrix, new
from .ending import end
from .fit import fit
from .folders import merge, submit, verify, weights
from .group import vaezoo
from .hub import pull, push
from .listing import list_
from .models import encode, impute, reconstruct, sample
from .score import score
from .train import train
from .tune import tune

for verb in (
    bench,
    plan,
    fit,
    list_,
    show,
    report,
    compare,
    rank,
    best,
    verify,
    submit,
    weights,
    cite,
    merge,
    board,
    tune,
    train,
    sample,
    encode,
    reconstruct,
    impute,
    score,
    push,
    pull,
    data,
    check,
    new,
    matrix,
    completion,
):
    vaezoo.add_command(verb)


def main() -> NoReturn:
    """The program `vaezoo`."""
    code: Any = 0
    try:
        vaezoo()
    except SystemExit as ended:
        code = ended.code
    end(code)
