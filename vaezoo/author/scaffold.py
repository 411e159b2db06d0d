"""`vaezoo new`: a variant's first file, or a whole distribution around it, that keeps the contract
from the start.
"""

import keyword
import re
from pathlib import Path

VARIANT = '''"""{title}: say here in one sentence what is new."""

from torch import Tensor

from vaezoo.core import VAE, Spec, Terms
from vaezoo.hooks import Part, hookimpl, tags
from vaezoo.hyperparameters import NonNegative
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write


class {title}Loss(ELBO):
    """R + weight · KL. Put your objective here; `forward` gives you the whole trace."""

    def __init__(self, weight: NonNegative = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def combine(self, distortion: Tensor, rate: Tensor, progress: float) -> Terms:
        return {{"loss": distortion + self.weight * rate, "distortion": distortion, "rate": rate}}


@tags("bound")
def {name}(spec: Spec, weight: NonNegative = 1.0) -> VAE:
    """What is new in it, in one line.

    R + weight · KL

    Paper: authors, year, arXiv number, equation. (As it stands, Kingma & Welling 2014,
    arXiv:1312.6114, eq. 3.)
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), {title}Loss(weight))


@hookimpl
def vaezoo_variants():
    return [{name}]


@hookimpl
def vaezoo_parts():
    return [Part("{name}", {title}Loss)]
'''

PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "vaezoo-{dashed}"
version = "0.1.0"
description = "The variant {name} for vaezoo"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["vaezoo"]

[project.optional-dependencies]
test = ["pytest"]

[project.entry-points.vaezoo]
{name} = "vaezoo_{name}"

[tool.setuptools]
py-modules = ["vaezoo_{name}"]
"""

README = """# vaezoo-{dashed}

The variant `{name}` for [vaezoo](https://pypi.org/project/vaezoo/).

```sh
pip install -e '.[test]'
pytest
vaezoo bench --variants vae,{name}
```
"""

TEST = '''"""The contract that every variant of vaezoo keeps."""

from vaezoo.testing import contract

test_contract = contract("{name}")
'''


class NewError(ValueError):
    """A name that cannot be a variant's, or a file that is there already."""


def new_variant(name: str, folder: Path, package: bool = False) -> list[Path]:
    """The files written: `folder/NAME.py`, or `folder/vaezoo-NAME/` with pyproject, test and README
    where `package`.

    Raises: NewError.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise NewError(
            f"{name!r} cannot be a variant's name: lower-case letters, digits and _ make one, "
            "such as my_vae"
        )
    names = {"name": name, "title": name.title().replace("_", ""), "dashed": name.replace("_", "-")}
    root = folder / f"vaezoo-{names['dashed']}"
    texts = {folder / f"{name}.py": VARIANT}
    if package:
        texts = {
            root / "pyproject.toml": PYPROJECT,
            root / f"vaezoo_{name}.py": VARIANT,
            root / "README.md": README,
            root / "tests" / f"test_{name}.py": TEST,
        }
    there = [path for path in texts if path.exists()]
    if there:
        raise NewError(f"{there[0]} is there already; choose another name or folder")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(**names), encoding="utf-8")
    return list(texts)
