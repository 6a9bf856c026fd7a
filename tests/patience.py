"""How long tests wait: for a hang, not for a slow machine. No test measures time."""

from __future__ import annotations

LONGEST = 900.0  # seconds; beside a machine's other work only what hangs takes so long
