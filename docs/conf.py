"""Sphinx configuration. Build: ``sphinx-build -W --keep-going -b html docs docs/_build/html``."""

import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]
os.environ.setdefault("MPLBACKEND", "Agg")

project = "emtwin"
author = "The emtwin developers"
project_copyright = author
release = re.search(r'^version = "(.+?)"', (HERE.parent / "pyproject.toml").read_text(encoding="utf-8"), re.M)[1]
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "api_pages",
    "command_options",
    "field_table",
    "program_tables",
    "format_claims",
    "scenario_keys",
]
exclude_patterns = ["_build", "_ext", "gallery"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
default_role = "py:obj"
smartquotes = False  # keys and values are copied from these pages
# A name in backticks may fit several objects (`check`, `mean`); it is then shown without a link.
suppress_warnings = ["ref.python", "config.cache"]

autodoc_default_options = {"members": True, "undoc-members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
api_packages = ["twin", "reconstruct", "learn", "instrument"]

sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["examples"],
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "min_reported_time": 20,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "matplotlib_animations": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "emtwin"
html_show_sourcelink = False
html_theme_options = {
    "navigation_depth": 3,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
