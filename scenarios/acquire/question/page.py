"""The page of a session that answered a question: ``SESSION/report.html``, from its journal alone."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from instrument.core.journal import Journal, Row
from scenarios.io.atomic_output import write_whole
from scenarios.io.progress import electrons
from scenarios.style.figure import FAINT, INK, LINE, ORANGE, draw
from scenarios.style.page import render
from twin.units import symbol

TEMPLATE = Path(__file__).parent / "page.html.j2"
SHOWN = 6
"""Images that are drawn, the first and the last of a session."""
ENDS = {
    "dose": "the dose allowed was spent", "time": "the time allowed was over", "images": "as many images were taken as a session takes",
    "drift": "more images lower it no further, for as much drifts meanwhile as they tell",
    "distrusted": "the model is distrusted: images are not those that the specimen of the file would give",
}  # fmt: skip
"""Why a session ended without the answer."""


def write_page(folder: Path) -> Path:
    """Write the page of a session; returns its path."""
    with Journal.open(folder) as journal:
        plan = next(iter(journal.rows("scenario"))).payload
        steps, images = list(journal.rows("question")), list(journal.rows("alignment"))
        result = next(iter(journal.rows("result"))).payload
        truth = next(iter(journal.rows("truth"))).payload["values"]
    path = folder / "report.html"
    write_whole(_page(plan, steps, images, result, truth).encode(), path)
    return path


def _page(plan: dict[str, Any], steps: list[Row], images: list[Row], result: dict[str, Any], truth: list[float]) -> str:
    unit = f" {symbol(result['unit'])}" if result["unit"] else ""
    shown = images if len(images) <= SHOWN else [*images[: SHOWN // 2], *images[-(SHOWN - SHOWN // 2) :]]
    pictures = [
        {
            "title": f"Image {row.payload['number'] + 1}, C10 of {row.payload['settings']['C10']:.0f} {symbol('angstrom')} commanded",
            "image": draw(7.4, 2.6, lambda figure, row=row: _images(figure, row), grid=False),
        }
        for row in shown
    ]
    rows = [
        {
            "number": row.payload["step"],
            "c10": f"{row.payload['c10']:+.0f}",
            "dwell": f"{1e6 * row.payload['dwell']:.0f}",
            "mean": f"{row.payload['mean']:.4g}",
            "std": f"{row.payload['std']:.2g}",
            "expected": f"{row.payload['expected']:.2g}",
            "electrons": electrons(row.payload["electrons"]),
            "to_go": "more than 64" if row.payload["images_to_go"] is None else str(row.payload["images_to_go"]),
        }
        for row in steps
    ]
    fixed = result["fixed_electrons"]
    return render(
        TEMPLATE,
        {
            "title": plan["scenario"]["name"],
            "description": plan["scenario"]["description"],
            "reached": result["reached"],
            "verdict": verdict(result),
            "unit": unit,
            "quantity": result["quantity"],
            "curve": draw(8.6, 3.6, lambda figure: _curve(figure, steps, result, truth, unit)) if steps else "",
            "rows": rows,
            "pictures": pictures,
            "dose": f"{result['dose']:.3g}",
            "electrons": electrons(result["electrons"]),
            "fixed": None if fixed is None else f"{result['fixed_images']} images and {electrons(fixed)}",
            "truth": None if "truth" not in result else f"{result['truth']:.4g}{unit}",
            "seconds": f"{result['seconds']:.0f}",
        },
    )


def verdict(result: dict[str, Any]) -> str:
    """The answer in one sentence."""
    unit = f" {symbol(result['unit'])}" if result["unit"] else ""
    value = (
        f"{result['quantity']}: {result['value']:.4g} ± {result['std']:.2g}{unit}, asked to {result['asked']:g}{unit}"
    )
    if result["reached"]:
        return f"{value}; reached with {result['images']} images and {electrons(result['electrons'])}."
    return f"{value}; not reached: {ENDS[result['ended']]}."


def _curve(figure: Figure, steps: list[Row], result: dict[str, Any], truth: list[float], unit: str) -> None:
    axes = figure.add_subplot()
    spent = np.array([row.payload["electrons"] for row in steps])
    mean, std = (np.array([row.payload[name] for row in steps]) for name in ("mean", "std"))
    axes.fill_between(
        spent, mean - 1.645 * std, mean + 1.645 * std, color=LINE, alpha=0.18, lw=0, label="90 % interval"
    )
    axes.plot(spent, mean, "o-", color=LINE, ms=4, lw=1.2, label="belief")
    axes.axhspan(
        mean[-1] - result["asked"], mean[-1] + result["asked"], color=FAINT, alpha=0.25, lw=0, label="asked for"
    )
    if truth:
        axes.plot(spent[: len(truth)], truth, color=ORANGE, lw=1.4, ls="--", label="truth of the simulated microscope")
    axes.set_xlabel("electrons spent")
    axes.set_ylabel(f"{result['quantity']}{f' ({unit.strip()})' if unit else ''}")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.tick_params(colors=INK)


def _images(figure: Figure, row: Row) -> None:
    predicted, measured = row.arrays["predicted"], row.arrays["measured"]
    limits = float(min(predicted.min(), measured.min())), float(max(predicted.max(), measured.max()))
    for number, (name, image) in enumerate(
        (("predicted", predicted), ("measured", measured), ("after it", row.arrays["answer"]))
    ):
        axes = figure.add_subplot(1, 3, number + 1)
        axes.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1])
        axes.set_title(name)
        axes.set_xticks([])
        axes.set_yticks([])
