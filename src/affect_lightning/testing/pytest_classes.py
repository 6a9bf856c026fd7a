"""The contract suite as a pytest class: the only module here that needs pytest, and only when a test runs.

Neighbour: `suite.py`, which has the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from affect_lightning.plugin_loading import PluginChoice
from affect_lightning.testing.outcomes import Check
from affect_lightning.testing.subject import COMPILE_BACKEND, Subject
from affect_lightning.testing.suite import checks_of, run_check


def contract_tests(
    group: str,
    choice: PluginChoice | Callable[[], PluginChoice],
    *,
    stream_widths: Mapping[str, int] | None = None,
    compile_backend: str = COMPILE_BACKEND,
) -> type:
    """A class with one test method for each check of the plugin's kind; assign it to a name that starts with `Test`.

    Args:
        group: Short name of the plugin's group, such as `pre_fusions`.
        choice: Name, or mapping with name and options, as in YAML; or a function that gives one, called when the first
            test runs. Small options make the tests quick.
        stream_widths: For pre-fusions: the streams to build it for; an audio and a face stream by default.
        compile_backend: For torch.compile; `inductor` where there is a C++ compiler.

    Raises:
        PluginError: There is no such group.

    >>> TestAttention = contract_tests("pre_fusions", "attention")
    >>> hasattr(TestAttention, "test_mask_invariance")
    True
    """

    @cache
    def subject() -> Subject:
        chosen = choice() if callable(choice) else choice
        return Subject(group, chosen, stream_widths=stream_widths, compile_backend=compile_backend)

    methods = {f"test_{check.name.replace('-', '_')}": _test_method(check, subject) for check in checks_of(group)}
    return type("ContractTests", (), {"__doc__": f"The contract suite for {group}.", **methods})


def _test_method(check: Check, subject: Callable[[], Subject]) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        import pytest

        result = run_check(check, subject())
        if result.outcome == "skipped":
            pytest.skip(result.received)
        if result.outcome == "failed":
            raise AssertionError(str(result)) from result.error

    test.__doc__ = check.promise
    return test
