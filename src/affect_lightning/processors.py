"""How many processors this process may use, for commands that start a process on each (not in the paper).

`sandbox/generation.py` and `command_line/doctor_command.py` ask here.
"""

from __future__ import annotations

import os


def usable_processors() -> int:
    """Processors that this process may run on, at least 1.

    That can be fewer than the machine has: `taskset`, SLURM and containers with a CPU set hand out some of them.
    """
    try:
        return len(os.sched_getaffinity(0)) or 1
    except (AttributeError, OSError):  # not on macOS and Windows
        return os.cpu_count() or 1
