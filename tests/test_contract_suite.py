"""The public contract suite on every installed plugin of ours, each with tiny options (contract_cases.py).

torch.compile runs with `aot_eager` on what trains by gradient through it and with `eager` on the rest: neither needs a C++
compiler. Plugins that share one forward are compiled once; with AFFECT_CONTRACT_ALL=1 each is. `inductor` is tried on one
fusion where a compiler is found.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import cache

import pytest

from affect_lightning.plugin_loading import list_plugins, load_plugin_class
from affect_lightning.testing import Check, Subject, checks_of, run_check
from contract_cases import CASES, TinyFiles

OURS = [listing for listing in list_plugins() if listing.distribution == "affect-lightning"]
TESTS = [
    pytest.param(listing.group, listing.name, check, id=f"{listing.group}-{listing.name}-{check.name}")
    for listing in OURS
    if listing.name in CASES[listing.group]
    for check in checks_of(listing.group)
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyFiles]:
    tiny = TinyFiles(tmp_path_factory.mktemp("tiny"))
    yield tiny
    tiny.close()
    subject_of.cache_clear()


@cache
def subject_of(group: str, name: str, files: TinyFiles) -> Subject:
    case = CASES[group][name]
    options = case(files) if callable(case) else case
    return Subject(group, {"name": name, **options}, compile_backend="aot_eager" if group == "pre_fusions" else "eager")


def test_every_plugin_of_ours_has_an_entry() -> None:
    installed = {(listing.group, listing.name) for listing in OURS}
    listed = {(group, name) for group, cases in CASES.items() for name in cases}
    assert sorted(installed - listed) == [], "add tiny options for these to CASES in contract_cases.py"


def shared_forward(group: str, name: str) -> str | None:
    """An earlier plugin of the group with the very same forward (or loss), if there is one."""
    method = "loss" if group == "language_models" else "forward"
    mine = getattr(load_plugin_class(group, name), method)
    earlier = [listing.name for listing in OURS if listing.group == group]
    same = [other for other in earlier if getattr(load_plugin_class(group, other), method) is mine]
    return same[0] if same[0] != name else None


@pytest.mark.parametrize(("group", "name", "check"), TESTS)
def test_contract(group: str, name: str, check: Check, files: TinyFiles) -> None:
    if check.name == "torch-compile" and not os.environ.get("AFFECT_CONTRACT_ALL"):
        other = shared_forward(group, name)
        if other is not None:
            pytest.skip(f"has the forward of {other}, which is compiled; AFFECT_CONTRACT_ALL=1 compiles each")
    result = run_check(check, subject_of(group, name, files))
    if result.outcome == "skipped":
        pytest.skip(result.received)
    assert result.outcome == "passed", str(result)


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="inductor needs a C++ compiler")
def test_inductor_on_one_fusion() -> None:
    check = next(check for check in checks_of("pre_fusions") if check.name == "torch-compile")
    result = run_check(check, Subject("pre_fusions", "attention", compile_backend="inductor"))
    assert result.outcome == "passed", str(result)
    assert result.received == "with the backend inductor"
