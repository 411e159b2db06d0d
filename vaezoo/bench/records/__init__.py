"""What a run keeps on disk, as typed records: trials, the run, control rows, curves, progress.

The one place that knows these files, those of older versions too. What is read was written by
anyone: a file that does not fit raises `Damaged`, whose text is the reason in a few words.
"""

from .checks import storable
from .ingredients import Ingredients
from .opened import arrays_of, parsed
from .parsing import Contradicted, Damaged, parsed_trial
from .per_row import ROWS, RowRecord
from .runs import ControlRecord, HistoryRecord, ProgressRecord, RunRecord, joined_sweeps
from .trials import Record, SamplerRecord

__all__ = [
    "ROWS",
    "Contradicted",
    "ControlRecord",
    "Damaged",
    "HistoryRecord",
    "Ingredients",
    "ProgressRecord",
    "Record",
    "RowRecord",
    "RunRecord",
    "SamplerRecord",
    "arrays_of",
    "joined_sweeps",
    "parsed",
    "parsed_trial",
    "storable",
]
