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


def _page(
    plan: dict[str, Any], steps: list[Row], images: list[Row], result: dict[str, Any], truth: list[list[float]]
) -> str:
    shown = images if len(images) <= SHOWN else [*images[: SHOWN // 2], *images[-(SHOWN - SHOWN // 2) :]]
    pictures = [
        {
            "title": f"Image {row.payload['number'] + 1}, C10 of {row.payload['settings']['C10']:.0f} {symbol('angstrom')} commanded",
            "image": draw(7.4, 2.6, lambda figure, row=row: _images(figure, row), grid=False),
        }
        for row in shown
    ]
    quantities = result["quantities"]
    rows = [
        {
            "number": row.payload["step"],
            "c10": f"{row.payload['c10']:+.0f}",
            "dwell": f"{1e6 * row.payload['dwell']:.0f}",
            "told": [
                {"mean": f"{mean:.4g}", "std": f"{std:.2g}", "expected": f"{expected:.2g}"}
                for mean, std, expected in zip(
                    *(row.payload[name] for name in ("means", "stds", "expected")), strict=True
                )
            ],
            "doubt": f"{100.0 * row.payload['doubt']:.0f} %",
            "electrons": electrons(row.payload["electrons"]),
            "to_go": "more than 64" if row.payload["images_to_go"] is None else str(row.payload["images_to_go"]),
        }
        for row in steps
    ]
    fixed = result["fixed_electrons"]
    curves = [
        {
            "title": each["quantity"],
            "image": draw(
                8.6, 3.2, lambda figure, number=number: _curve(figure, steps, quantities[number], number, truth)
            ),
        }
        for number, each in enumerate(quantities)
    ]
    return render(
        TEMPLATE,
        {
            "title": plan["scenario"]["name"],
            "description": plan["scenario"]["description"],
            "reached": result["reached"],
            "verdict": verdict(result),
            "quantities": [
                {"name": each["quantity"], "unit": unit_of(each).strip(), "truth": _truth_of(each)}
                for each in quantities
            ],
            "curves": curves if steps else [],
            "truth": bool(truth),
            "rows": rows,
            "pictures": pictures,
            "dose": f"{result['dose']:.3g}",
            "electrons": electrons(result["electrons"]),
            "fixed": None if fixed is None else f"{result['fixed_images']} images and {electrons(fixed)}",
            "seconds": f"{result['seconds']:.0f}",
        },
    )


def unit_of(quantity: dict[str, Any]) -> str:
    """The unit of a result's quantity, after a space; empty where it has none."""
    return f" {symbol(quantity['unit'])}" if quantity["unit"] else ""


def verdict(result: dict[str, Any]) -> str:
    """The answer in one sentence."""
    value = "; ".join(_value(each) for each in result["quantities"])
    if result["reached"]:
        done = "corrected and reached" if result["kind"] == "tune" else "reached"
        return f"{value}; {done} with {result['images']} images and {electrons(result['electrons'])}."
    because = f" ({result['damage']})" if result["ended"] == "dose" and result.get("damage") else ""
    return f"{value}; not reached: {ENDS[result['ended']]}{because}."


def _value(each: dict[str, Any]) -> str:
    unit = unit_of(each)
    if "tolerance" in each:
        return f"{each['quantity']}: known to ±{each['std']:.2g}{unit}, tolerance ±{each['tolerance']:g}{unit}"
    return f"{each['quantity']}: {each['value']:.4g} ± {each['std']:.2g}{unit}, asked to {each['asked']:g}{unit}"


def _truth_of(each: dict[str, Any]) -> str | None:
    if "left" in each:
        return f"{each['left']:+.2g}{unit_of(each)} left after the correction"
    return f"{each['truth']:.4g}{unit_of(each)}" if "truth" in each else None


def _curve(figure: Figure, steps: list[Row], quantity: dict[str, Any], number: int, truth: list[list[float]]) -> None:
    axes = figure.add_subplot()
    spent = np.array([row.payload["electrons"] for row in steps])
    mean, std = (np.array([row.payload[name][number] for row in steps]) for name in ("means", "stds"))
    axes.fill_between(
        spent, mean - 1.645 * std, mean + 1.645 * std, color=LINE, alpha=0.18, lw=0, label="90 % interval"
    )
    axes.plot(spent, mean, "o-", color=LINE, ms=4, lw=1.2, label="belief")
    asked = quantity["asked"]
    axes.axhspan(mean[-1] - asked, mean[-1] + asked, color=FAINT, alpha=0.25, lw=0, label="asked for")
    if truth:
        values = [row[number] for row in truth]
        axes.plot(spent[: len(truth)], values, color=ORANGE, lw=1.4, ls="--", label="truth of the simulated microscope")
    unit = unit_of(quantity).strip()
    axes.set_xlabel("electrons spent")
    axes.set_ylabel(f"{quantity['quantity']}{f' ({unit})' if unit else ''}")
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
