"""The templates of this folder, every text escaped."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ...text import plain
from .lines import written


@cache
def environment() -> Environment:
    found = Environment(
        loader=FunctionLoader(text_of),
        autoescape=True,
        finalize=_plain,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["written"] = written
    return found


def _plain(value: Any) -> Any:
    """What stands on the page, without letters that are obeyed."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def text_of(name: str) -> str:
    """The text of a file of this folder."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """The text's SHA-256 as a Content-Security-Policy names it."""
    found = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(found).decode()}"
