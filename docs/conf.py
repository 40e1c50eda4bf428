"""Sphinx: the pages of this folder as a site, `make docs`. The README is its first page."""

from __future__ import annotations

import tsm_edge

project = "tsm-edge"
copyright = "the tsm-edge authors, Apache-2.0"
release = tsm_edge.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["changes", "templates", "*.in.md"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "tsm-edge"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True}
