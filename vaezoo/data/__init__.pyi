from .data import Card as Card, Data as Data, Modes as Modes, named as named
from .files import (
    BadData as BadData,
    CorruptData as CorruptData,
    Files as Files,
    MissingData as MissingData,
)
from .reader import Reader as Reader
