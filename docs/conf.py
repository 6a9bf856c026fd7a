"""How Sphinx builds the documentation: `make docs`. Pages are Markdown, the reference comes from docstrings."""

from __future__ import annotations

import shutil
from pathlib import Path

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
exclude_patterns = ["_build", "jupyter_execute"]  # the second is what myst-nb leaves

# Sphinx reads below its own folder only. The notebooks stand beside it, for readers of the repository.
HERE = Path(__file__).parent
shutil.rmtree(HERE / "notebooks", ignore_errors=True)
(HERE / "notebooks").mkdir()
for notebook in sorted(HERE.parent.glob("notebooks/*.ipynb")):
    shutil.copy(notebook, HERE / "notebooks" / notebook.name)

html_theme = "furo"
html_title = f"affect-lightning {__version__}"
