"""The locks are whole and current, and no release of another package can turn the locked ground red (docs/versions.md)."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import grounds

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
LOCKS = ("locked.txt", "locked-test.txt", "lowest-test.txt", "carried-models.txt", "carried-speech.txt")


# --- the locks ---


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_one_version_of_each_package_with_its_hashes(name: str) -> None:
    text = (grounds.REQUIREMENTS / name).read_text(encoding="utf-8")
    listed = grounds.requirements_of(grounds.REQUIREMENTS / name)
    assert listed
    assert [str(one) for one in listed if not re.fullmatch(r"==[^,*]+", str(one.specifier))] == []
    entries = re.split(r"\n(?=[a-z0-9])", text.replace("\\\n", " "))
    without = [entry for entry in entries if "==" in entry.split("#")[0] and "--hash=sha256:" not in entry]
    assert without == []
    assert "://" not in text, "a lock names no address"


def declared(extras: tuple[str, ...]) -> list[Requirement]:
    """What setup.cfg asks for: always, and with these extras."""
    sections = grounds.declared_requirements()
    return [one for name in ("install_requires", *extras) for one in sections[name]]


def active(requirement: Requirement, python: str) -> bool:
    environment = {"python_version": python, "python_full_version": f"{python}.9"}
    return requirement.marker is None or requirement.marker.evaluate(environment)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("lock", "extras"),
    [("locked.txt", ("sandbox",)), ("locked-test.txt", ("sandbox", "test")), ("lowest-test.txt", ("sandbox", "test"))],
)
def test_a_lock_fits_what_setup_cfg_declares(lock: str, extras: tuple[str, ...], python: str) -> None:
    versions = grounds.locked_versions(grounds.REQUIREMENTS / lock, python)
    wrong = [
        f"{one}: the lock has {versions.get(canonicalize_name(one.name))}"
        for one in declared(extras)
        if active(one, python)
        and not one.specifier.contains(versions.get(canonicalize_name(one.name), "0"), prereleases=True)
    ]
    assert not wrong, "run `make lock`"


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lowest_ground_has_each_declared_floor_itself(python: str) -> None:
    versions = grounds.locked_versions(grounds.REQUIREMENTS / "lowest-test.txt", python)
    floors: dict[str, set[str]] = {}
    for one in declared(("sandbox", "test")):
        if active(one, python):
            floors.setdefault(canonicalize_name(one.name), set()).update(
                part.version for part in one.specifier if part.operator in (">=", "==")
            )
    above = {
        name: (versions[name], sorted(of_this))
        for name, of_this in floors.items()
        if of_this and not any(Requirement(f"{name}=={floor}").specifier.contains(versions[name]) for floor in of_this)
    }
    assert not above, "the lowest version is not the floor: raise the floor in setup.cfg, or run `make lock`"


def test_the_smaller_lock_is_part_of_the_larger() -> None:
    for python in PYTHONS:
        smaller = grounds.locked_versions(grounds.REQUIREMENTS / "locked.txt", python)
        larger = grounds.locked_versions(grounds.REQUIREMENTS / "locked-test.txt", python)
        assert smaller.items() <= larger.items()


# --- the environment ---


def test_the_locked_ground_has_the_locked_versions() -> None:
    if grounds.current_ground() != "locked":
        pytest.skip("this is another ground")
    assert [str(one) for one in grounds.differences_from_lock()] == []


def makefile_value(name: str) -> str:
    """The value of a variable of the Makefile, as make expands it."""
    makefile = grounds.REQUIREMENTS.parent / "Makefile"
    show = f"include {makefile}\nshow-value:\n\t@echo $({name})\n"
    done = subprocess.run(
        ["make", "--no-print-directory", "-f", "-", "show-value"],
        input=show,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("target", ["demo", "test", "test-lowest", "lint"])
def test_a_target_installs_from_locks_and_looks_nothing_up(target: str, tmp_path: Path) -> None:
    fresh = [f"{name}={tmp_path / name}" for name in ("VENV", "VENV_LOWEST")]
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", target, *fresh],
        cwd=grounds.REQUIREMENTS.parent, capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    installs = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert len(installs) >= 3
    for line in installs:
        assert "--no-deps" in line
        assert "--no-build-isolation --editable" in line or "--only-binary :all: --require-hashes --requirement" in line


def test_an_unknown_ground_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFFECT_GROUND", "shaky")
    with pytest.raises(pytest.UsageError, match="AFFECT_GROUND is 'shaky'; use one of locked, lowest, newest"):
        grounds.current_ground()


# --- a release of another package that deprecates something ---

PROBE = """
import warnings
def answer():
    {warning}
    return 42
"""
DEPRECATION = 'warnings.warn("`answer` is deprecated: use `reply`", DeprecationWarning)'


def probe_wheel(folder: Path, version: str, warning: str) -> Path:
    """A wheel of the package `ground-probe`, written by hand."""
    wheel = folder / f"ground_probe-{version}-py3-none-any.whl"
    info = f"ground_probe-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ground_probe.py", PROBE.format(warning=warning))
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: ground-probe\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two releases of a package, a lock of the older one, and a suite of one test that uses it."""
    folder = tmp_path_factory.mktemp("registry")
    older = probe_wheel(folder, "1.0", "")
    probe_wheel(folder, "2.0", DEPRECATION)
    digest = hashlib.sha256(older.read_bytes()).hexdigest()
    (folder / "lock.txt").write_text(f"ground-probe==1.0 \\\n    --hash=sha256:{digest}\n", encoding="utf-8")
    suite = folder / "suite"
    suite.mkdir()
    (suite / "test_probe.py").write_text(
        "import ground_probe\n\ndef test_answer():\n    assert ground_probe.answer() == 42\n", encoding="utf-8"
    )
    (suite / "conftest.py").write_text(
        f"from pathlib import Path\nimport grounds\ngrounds.LOCK = Path({str(folder / 'lock.txt')!r})\n"
        "pytest_configure = grounds.set_warning_filters\n"
        "def pytest_terminal_summary(terminalreporter, config):\n    grounds.report_ground(terminalreporter, config)\n",
        encoding="utf-8",
    )
    return folder


def installed(registry: Path, site: Path, *arguments: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(registry),
         "--target", str(site), *arguments],
        check=True, cwd=registry, env={key: value for key, value in os.environ.items() if not key.startswith("PIP_")},
    )  # fmt: skip
    return site


def run_suite(registry: Path, site: Path, ground: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "suite"],
        cwd=registry, capture_output=True, text=True, encoding="utf-8", check=False,
        env=os.environ | {"AFFECT_GROUND": ground, "PYTHONPATH": os.pathsep.join([str(site), str(Path(__file__).parent)])},
    )  # fmt: skip


def test_a_new_deprecation_cannot_turn_the_locked_ground_red(registry: Path, tmp_path: Path) -> None:
    """The Makefile's own flags take the locked release although a newer one is there, and the suite stays green."""
    flags = makefile_value("FROM_LOCK").split()
    site = installed(registry, tmp_path / "site", *flags, "--requirement", "lock.txt")
    done = run_suite(registry, site, "locked")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_a_new_version_is_reported_on_the_newest_ground_and_fails_nothing(registry: Path, tmp_path: Path) -> None:
    site = installed(registry, tmp_path / "site", "--upgrade", "ground-probe")
    done = run_suite(registry, site, "newest")
    assert done.returncode == 0, done.stdout
    assert "packages newer than the lock: 1; older: 0" in done.stdout
    assert "ground-probe: 2.0 (locked: 1.0)" in done.stdout
    assert "warnings: 1; kinds: 1; none fails a test on this ground" in done.stdout
    assert "ground_probe.py: DeprecationWarning: `answer` is deprecated: use `reply`" in done.stdout


def test_on_the_locked_ground_the_same_deprecation_would_be_an_error(registry: Path, tmp_path: Path) -> None:
    """So the first of these tests is green because of the lock, not because warnings pass unseen."""
    site = installed(registry, tmp_path / "site", "--upgrade", "ground-probe")
    done = run_suite(registry, site, "locked")
    assert done.returncode == 1, done.stdout
    assert "DeprecationWarning: `answer` is deprecated" in done.stdout
