"""How Sphinx builds the documentation: `make docs`. Pages are Markdown, the reference comes from docstrings."""

from __future__ import annotations

from affect_lightning import __version__

project = "affect-lightning"
author = "The developers of affect-lightning"
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the pages' code is run by the tests
default_role = "code"  # docstrings write `names` as Markdown does
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "show-inheritance": True}
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"affect-lightning {__version__}"
