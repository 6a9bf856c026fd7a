"""The floors of setup.cfg: each is declared once, explained in docs/versions.md, and lets vLLM in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from grounds import declared_requirements

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("test",)  # of a contributor: no user installs them, so the page does not explain them


def floor(requirement: Requirement) -> str | None:
    """Its lowest version, or None."""
    found = [part.version for part in requirement.specifier if part.operator == ">="]
    return found[0] if len(found) == 1 else None


def unmet(requirements: list[Requirement], pins: str) -> list[str]:
    """Requirements that a list of `name==version` lines leaves out or does not satisfy, in words."""
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", pins, flags=re.MULTILINE))
    versions = {canonicalize_name(name): version for name, version in pinned.items()}
    problems = []
    for requirement in requirements:
        version = versions.get(canonicalize_name(requirement.name))
        if version is None:
            problems.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name}=={version} is not {requirement.specifier}")
    return problems


def test_every_requirement_has_one_floor() -> None:
    floors: dict[str, set[str | None]] = {}
    for requirements in declared_requirements().values():
        for requirement in requirements:
            floors.setdefault(canonicalize_name(requirement.name), set()).add(floor(requirement))
    assert {name: found for name, found in floors.items() if len(found) > 1 or None in found} == {}


def test_the_page_explains_every_floor() -> None:
    page = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    rows = {
        canonicalize_name(name): version for name, version in re.findall(r"^\| `([\w.-]+)` \| (\S+) \|", page, re.M)
    }
    wanted = {
        canonicalize_name(requirement.name): floor(requirement)
        for section, requirements in declared_requirements().items()
        if section not in TOOLS
        for requirement in requirements
    }
    assert rows == wanted


def test_vllm_and_this_package_resolve_together() -> None:
    """`requirements/vllm-resolved.txt` is what a resolver found for the extra `vllm`; it stays within the floors."""
    sections = declared_requirements()
    resolved = (ROOT / "requirements" / "vllm-resolved.txt").read_text(encoding="utf-8")
    assert unmet([*sections["install_requires"], *sections["vllm"]], resolved) == []
    assert "torch==2.14.0" in resolved.splitlines()  # the one that vLLM 0.33 pins


@pytest.mark.parametrize(
    ("pins", "problem"),
    [("torch==2.6.0\n", "torch==2.6.0 is not >=2.7"), ("torchvision==0.22\n", "torch is missing")],
)
def test_a_resolution_below_a_floor_is_told(pins: str, problem: str) -> None:
    assert unmet([Requirement("torch>=2.7")], pins) == [problem]
