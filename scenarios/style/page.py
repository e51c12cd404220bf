"""Pages: templates that share one style sheet, rendered to a self-contained text."""

from pathlib import Path
from typing import Any

import jinja2

HERE = Path(__file__).parent


def render(template: Path, values: dict[str, Any]) -> str:
    """A template filled with ``values``; all text is escaped. It takes the style sheet by ``{% include "page.css" %}``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, HERE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)
