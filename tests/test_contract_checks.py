"""The contract suite's checks can fail: for every check there is a part that breaks just that promise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import broken_language_models
import broken_networks
import broken_rewards
import broken_speakers
import broken_workers
from affect_lightning.testing import Subject, check_plugin, checks_of, contract_tests, run_check
from affect_lightning.testing.suite import CHECKS
from installed_parts import distribution

MODULES = (broken_networks, broken_language_models, broken_workers, broken_speakers, broken_rewards)
BROKEN = [
    pytest.param(group, name, check, id=f"{group}-{name}")
    for module in MODULES
    for group, classes in module.BROKEN.items()
    for name, check in classes.items()
]
GOOD = [(group, name) for module in MODULES for group, name in module.GOOD.items()]


@pytest.fixture(autouse=True, scope="module")
def _offered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    points: dict[str, dict[str, str]] = {}
    for module in MODULES:
        for group in module.BROKEN:
            names = [*module.BROKEN[group], *filter(None, [module.GOOD.get(group)])]
            points[group] = {name: f"{module.__name__}:{name}" for name in names}
    with distribution(tmp_path_factory.mktemp("broken"), "broken-parts", points):
        yield


@pytest.mark.parametrize(("group", "name", "check_name"), BROKEN)
def test_the_broken_part_is_caught(group: str, name: str, check_name: str) -> None:
    check = next(check for check in checks_of(group) if check.name == check_name)
    result = run_check(check, Subject(group, name))
    assert result.outcome == "failed", result
    assert result.expected
    assert result.received
    assert result.error is not None


def test_every_check_can_fail() -> None:
    """Each check function has a part that it catches, in one group at least."""
    caught = {(p.values[0], p.values[2]) for p in BROKEN}
    functions = {check.run: check.name for checks in CHECKS.values() for check in checks}
    covered = {check.run for group, checks in CHECKS.items() for check in checks if (group, check.name) in caught}
    assert [name for function, name in functions.items() if function not in covered] == []


@pytest.mark.parametrize(("group", "name"), GOOD)
def test_the_good_part_beside_them_passes(group: str, name: str) -> None:
    """So it is the broken promise that is caught. The slow checks, which test_contract_suite.py makes, are left out."""
    slow = {"torch-compile", "two-step-fit"}
    subject = Subject(group, name)
    results = [run_check(check, subject) for check in checks_of(group) if check.name not in slow]
    assert [result for result in results if result.outcome != "passed"] == []


def test_a_part_that_cannot_be_built_is_not_checked_further() -> None:
    results = list(check_plugin(Subject("pre_fusions", "Unfinished")))
    assert [result.outcome for result in results] == ["failed", *["skipped"] * (len(results) - 1)]
    assert "broken-parts 1.0" in results[0].received
    assert "affect_lightning.contracts.PreFusion" in results[0].received
    assert results[1].received == "the part cannot be built"


def test_the_pytest_class_fails_and_explains() -> None:
    tests = contract_tests("pre_fusions", "CountsPadding")()
    tests.test_batch_invariance()
    with pytest.raises(
        AssertionError, match=r"mask-invariance: failed\. Expected: the content of padding changes noth"
    ):
        tests.test_mask_invariance()


def test_the_choice_may_be_a_function_and_is_asked_once() -> None:
    asked = []

    def choice() -> str:
        asked.append(True)
        return "GoodFusion"

    tests = contract_tests("pre_fusions", choice)()
    assert asked == []
    tests.test_shapes()
    tests.test_help_text()
    assert asked == [True]


def test_fsdp_is_skipped_within_a_process_group() -> None:
    from torch import distributed

    check = next(check for check in checks_of("pre_fusions") if check.name == "fsdp")
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        result = run_check(check, Subject("pre_fusions", "GoodFusion"))
        with pytest.raises(pytest.skip.Exception, match="in a process group already"):
            contract_tests("pre_fusions", "GoodFusion")().test_fsdp()
    finally:
        distributed.destroy_process_group()
    assert result.outcome == "skipped"
