"""datatrove's executor for one machine, without its messages between our bars; `executors.py` runs it.

Not in the paper. All that datatrove says of a part is in the folder of the logs; the terminal shows its errors alone.
"""

from __future__ import annotations

from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.utils.logging import logger

_COUNTING = "datatrove.executor.local"  # tells how many parts are done, which each part tells of itself


class QuietLocalExecutor(LocalPipelineExecutor):  # type: ignore[misc,unused-ignore]  # datatrove has no types everywhere
    """Starts the parts as its base does."""

    def run(self) -> Any:
        """Run all parts."""
        logger.disable(_COUNTING)
        try:
            return super().run()
        finally:
            logger.enable(_COUNTING)

    def _run_for_rank(self, rank: int, local_rank: int = 0) -> Any:
        """Run a part. The one of local rank 0 would write its messages to the terminal too, so none has that rank."""
        logger.disable(_COUNTING)  # in the process of the part, too
        return super()._run_for_rank(rank, local_rank + 1)
