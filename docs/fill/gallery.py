"""`make gallery`: docs/gallery.md, one of every kind of figure, with its pictures in few colours.

What needs models is drawn from two small runs, trained here; what needs numbers alone from the
committed results. Nothing is written where a kind of figure is lacking.
"""

import argparse
import io
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image

from vaezoo.bench.report.drawing import for_paper
from vaezoo.bench.report.report import read_rows
from vaezoo.bench.store import Store
from vaezoo.registry.registry import Registry, load_registry

from .blocks import refilled
from .width import wrapped

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "gallery"
COLOURS = 64
QUICK = "--seeds 1 --metrics likelihood --importance-samples 10 --jobs 1 --no-figures"
TRAINED = {
    "pictures": "--variants vae,beta,iwae,vq,cvae --datasets digits,pinwheel,cancer --epochs 40",
    "paths": "--variants vrnn,dkf --datasets slds --epochs 20",
    "views": "--variants vae,jmvae,mmvae,mvtcae --datasets paired --epochs 30",
}
# figure -> the run, the data set ("" for all of the run), and the names of its files
SHOWN: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "rate-distortion": (
        "digits",
        "digits",
        ("rate-distortion-digits", "rate-distortion-digits-families"),
    ),
    "cost": ("digits", "digits", ("cost-digits-elbo",)),
    "critical-difference": ("pictures", "", ("critical-difference-elbo",)),
    "sweep": ("dimension", "", ("sweep-latent-digits",)),
    "learning-curves": ("pictures", "digits", ("learning-curves-digits",)),
    "samples": ("pictures", "digits", ("samples-digits",)),
    "reconstructions": ("pictures", "digits", ("reconstructions-digits",)),
    "by-class": ("pictures", "digits", ("by-class-digits",)),
    "neighbours": ("pictures", "digits", ("neighbours-digits",)),
    "traversals": ("pictures", "digits", ("traversals-digits",)),
    "interpolations": ("pictures", "digits", ("interpolations-digits",)),
    "latent-map": ("pictures", "digits", ("latent-map-digits",)),
    "units": ("pictures", "digits", ("units-digits",)),
    "codebook": ("pictures", "digits", ("codebook-digits",)),
    "points": ("pictures", "pinwheel", ("points-pinwheel",)),
    "marginals": ("pictures", "cancer", ("marginals-cancer",)),
    "forecasts": ("paths", "slds", ("forecasts-slds",)),
    "cross-views": ("views", "paired", ("cross-views-paired",)),
}


def trained(runs: Path) -> dict[str, Path]:
    """Run -> its folder: those that are trained here, in `runs`, and those in results/."""
    found = {name: ROOT / "results" / name for name in ("digits", "dimension")}
    for name, options in TRAINED.items():
        found[name] = runs / name
        if not (found[name] / "run.json").is_file():
            command = f"{sys.executable} -m vaezoo bench {options} {QUICK} --out {found[name]}"
            subprocess.run(command.split(), check=True)
    return found


def drawn(runs: Mapping[str, Path], registry: Registry) -> Iterator[tuple[str, bytes]]:
    """(name, PNG) of every file in `SHOWN`. Raises: SystemExit for one that is not drawn."""
    rows = {run: read_rows(folder, quiet=True) for run, folder in runs.items()}
    for name, (run, dataset, files) in SHOWN.items():
        store = Store(runs[run])
        of_data = [row for row in rows[run] if dataset in ("", row.dataset)]
        figures = [registry.figures[name]]
        found = for_paper(of_data, store, figures, registry.variants, ending="png")
        for file in files:
            if file not in found:
                raise SystemExit(f"{file} is not drawn from {runs[run]}; it has {', '.join(found)}")
            yield file, found[file]


def small(content: bytes) -> bytes:
    """The picture in few colours, rare ones among them."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        few = image.convert("RGB").quantize(
            COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
    few.save(out, "PNG", optimize=True)
    return out.getvalue()


def entries(registry: Registry) -> str:
    """A section a figure: what its docstring says, then its pictures."""
    sections = []
    for name, (run, _, files) in SHOWN.items():
        words = " ".join(registry.figures[name].doc.split()).replace("|", r"\|")
        source = (
            "this page's run" if run in TRAINED else f"[results/{run}](../results/{run}/elbo.md)"
        )
        pictures = [f"![{name}: {file}](gallery/{file}.png)" for file in files]
        sections.append("\n\n".join([f"## {name}", f"{words} From {source}.", *pictures]))
    return "\n\n".join(sections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "gallery")
    asked = parser.parse_args()
    registry = load_registry()
    pictures = {name: small(png) for name, png in drawn(trained(asked.runs), registry)}
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    for name, content in pictures.items():
        (PICTURES / f"{name}.png").write_bytes(content)
    text = refilled(PAGE.read_text(encoding="utf-8"), "gallery", lambda _: entries(registry))
    PAGE.write_text(wrapped(text), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}, {sum(map(len, pictures.values())) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
