"""onnxruntime as the plugins use it: without its telemetry, quiet, and in one thread (ours)."""

from __future__ import annotations

from typing import Any


def silent_onnxruntime() -> Any:
    """The package onnxruntime without its telemetry.

    Some versions start it when they are imported: `affect_lightning/__init__.py` has told them not to. Others take only
    this call, before a session is made.
    """
    import onnxruntime

    if hasattr(onnxruntime, "disable_telemetry_events"):
        onnxruntime.disable_telemetry_events()
    return onnxruntime


def one_thread(onnxruntime: Any) -> Any:
    """Options of a session of the package that leaves the other processors to other workers and prints nothing."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the loader's workers are the parallelism
    options.log_severity_level = 3
    return options
