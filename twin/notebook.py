"""Results as HTML tables, for the `_repr_html_` by which notebooks show them. No JAX."""

from collections.abc import Iterable, Sequence
from html import escape

_CELL = "padding:.15em .8em .15em 0;text-align:{align};border:none;vertical-align:top;color:inherit"
_NOTE = "margin:.25em 0 0;font-size:.92em;opacity:.75"
_ALERT = "margin:.25em 0 0;font-size:.92em;color:#d55e00;font-weight:600"


def table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = (), alerts: Iterable[str] = (), align: str = "lr"
) -> str:  # fmt: skip
    """A block of HTML: ``title``, a table of ``headings`` and ``rows``, ``notes`` in small print, and ``alerts`` in a signal colour. All of it is plain text.

    ``align``: a letter for each column, "l" or "r"; the last one holds for the columns after it.
    """
    parts = [f'<div style="line-height:1.35;overflow-x:auto"><div><strong>{escape(title)}</strong></div>']
    body = [_row("td", row, align) for row in rows]
    if body:
        head = f"<thead>{_row('th', headings, align)}</thead>" if any(headings) else ""
        style = "border-collapse:collapse;margin:.3em 0 0;width:auto"
        parts.append(f'<table style="{style}">{head}<tbody>{"".join(body)}</tbody></table>')
    parts += [f'<div style="{_ALERT}">{escape(text)}</div>' for text in alerts]
    parts += [f'<div style="{_NOTE}">{escape(text)}</div>' for text in notes]
    return "".join(parts) + "</div>"


def _row(tag: str, cells: Sequence[str], align: str) -> str:
    sides = [{"l": "left", "r": "right"}[align[min(number, len(align) - 1)]] for number in range(len(cells))]
    faint = ";opacity:.75;font-weight:400" if tag == "th" else ""
    styled = (
        f'<{tag} style="{_CELL.format(align=side)}{faint}">{escape(cell)}</{tag}>'
        for side, cell in zip(sides, cells, strict=True)
    )
    return f'<tr style="background:none">{"".join(styled)}</tr>'
