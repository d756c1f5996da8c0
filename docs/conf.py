"""How the documentation is built: Sphinx with MyST and the Furo theme; `make docs`, with warnings as errors."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import reference_pages
from sphinx.application import Sphinx

project = "carrybook"
author = "the carrybook authors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "carrybook"
default_role = "code"  # docstrings are Markdown's way: single backticks are code
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

reference_pages.write(Path(__file__).parent)


def setup(app: Sphinx) -> None:
    """Links that leave this folder lead to the pages that are made of what they name."""
    app.connect("source-read", lambda _, page, source: source.insert(0, reference_pages.relinked(page, source.pop())))
