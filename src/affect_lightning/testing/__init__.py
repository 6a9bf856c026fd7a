"""The contract suite: what every plugin of affect-lightning must fulfil, as checks that anybody can run on a part.

In a plugin package's tests three lines run everything under pytest:

    from affect_lightning.testing import contract_tests

    TestMyFusion = contract_tests("pre_fusions", "my-fusion")

`affect-lightning plugins check NAME` runs the same checks from the command line, `check_plugin` from Python. Only
`contract_tests` needs pytest. `suite.py` has the list of checks by kind of part, the modules `*_checks.py` have the
checks, and docs/plugins.md says what each of them means.
"""

from affect_lightning.testing.subject import Check, CheckNotPossibleError, CheckResult, Subject, tiny_language_model
from affect_lightning.testing.suite import check_plugin, checks_of, contract_tests, run_check

__all__ = [
    "Check",
    "CheckNotPossibleError",
    "CheckResult",
    "Subject",
    "check_plugin",
    "checks_of",
    "contract_tests",
    "run_check",
    "tiny_language_model",
]


def __dir__() -> list[str]:
    return sorted(__all__)
