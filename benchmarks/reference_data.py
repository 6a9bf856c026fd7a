"""Where the reference data is: the authors' saved outputs, label files and taxonomy, which this repository has no right to.

Nothing is looked for elsewhere: the environment variable AFFECT_REFERENCE_DIR names the folder. Benchmarks and
`tests/conftest.py` ask here.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "AFFECT_REFERENCE_DIR"
NEEDED = (
    f"Set {VARIABLE} to the folder of the reference data (labels/, affectgpt_outputs/, emotion_wheel/, expected.json)"
)


class ReferenceMissingError(Exception):
    """The reference data is not there; the message says what to do."""


def reference_folder() -> Path:
    """The folder of the reference data.

    Raises:
        ReferenceMissingError: The variable is not set, or names no folder.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        raise ReferenceMissingError(f"{NEEDED}; it is not set.")
    folder = Path(named)
    if not folder.is_dir():
        raise ReferenceMissingError(f"{NEEDED}; there is no folder {folder}.")
    return folder.resolve()
