"""Who may import whom (docs/architecture.md), packaging of every folder, and imports that must stay light."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch

import pytest

from source_imports import (
    CORE,
    PLACED,
    PLUGINS,
    ROOT,
    SOURCES,
    imported_modules,
    module_files,
    package_files,
    packaging,
)

FORBIDDEN_FOLDERS = {"utils", "common", "helpers", "misc"}
_BESIDE = (
    *("device_arithmetic", "errors", "figure_files", "file_kinds", "label_strings", "pickle_bounds"),
    *(
        "plain_characters",
        "processors",
        "safe_npz",
        "sending",
        "sentiment_forms",
        "sentiment_strings",
        "spreadsheet",
        "weights",
    ),
)
FOR_EVERYBODY = tuple(f"{CORE}.{name}" for name in _BESIDE)


@dataclass(frozen=True)
class Rule:
    """What the modules of one folder may import beside the standard library, their own folder and FOR_EVERYBODY.

    Attributes:
        inside: Modules of ours, with all below them.
        libraries: Other libraries; None for any.
        never: Libraries that are forbidden although `libraries` is None.
    """

    inside: tuple[str, ...] = ()
    libraries: frozenset[str] | None = None
    never: frozenset[str] = frozenset()


def core(*folders: str) -> tuple[str, ...]:
    return tuple(f"{CORE}.{folder}" for folder in folders)


TORCH = frozenset({"torch", "numpy"})
_SHARED = ("asked_models", "language_models", "pretrained_models", "transformers_versions")
ASKING = tuple(f"{PLUGINS}.{name}" for name in _SHARED)
FILES_AND_LIBRARIES = tuple(
    f"{PLUGINS}.{name}" for name in ("onnx_sessions", "pretrained_models", "transformers_versions", "weights_files")
)
RULES = {
    f"{CORE}.contracts": Rule(libraries=TORCH),
    f"{CORE}.storage": Rule(libraries=frozenset({"filelock", "fsspec"})),
    f"{CORE}.plugin_loading": Rule(core("contracts"), frozenset({"jsonargparse"})),
    f"{CORE}.plugin_templates": Rule((*core("plugin_loading", "storage"), f"{CORE}.__version__"), frozenset()),
    f"{CORE}.prompting": Rule(libraries=frozenset()),
    f"{CORE}.corpora": Rule(core("contracts", "plugin_loading"), frozenset({"yaml", "pyarrow"})),
    f"{CORE}.data": Rule(
        core("contracts", "corpora", "plugin_loading", "prompting", "storage"), never=frozenset({"transformers"})
    ),
    f"{CORE}.data.clip_splits": Rule(
        core("contracts", "corpora", "data", "feature_cache", "packed_sets", "plugin_loading", "storage")
    ),
    f"{CORE}.feature_cache": Rule(
        core("contracts", "data", "plugin_loading", "storage"), never=frozenset({"transformers"})
    ),
    f"{CORE}.packed_sets": Rule(
        core("contracts", "corpora", "data", "feature_cache", "storage"), never=frozenset({"transformers"})
    ),
    f"{CORE}.inspection": Rule(core("contracts", "corpora", "data", "storage"), never=frozenset({"transformers"})),
    f"{CORE}.model": Rule(core("contracts", "plugin_loading", "prompting", "storage"), never=frozenset({"lightning"})),
    f"{CORE}.metrics": Rule(core("storage"), libraries=TORCH | {"torchmetrics"}),
    f"{CORE}.unibench": Rule(core("contracts", "corpora", "plugin_loading", "metrics", "prompting", "storage")),
    f"{CORE}.annotation": Rule(
        core(
            "contracts",
            "corpora",
            "data",
            "describing",
            "metrics",
            "plugin_loading",
            "prompting",
            "storage",
            "unibench",
        ),
        never=frozenset({"torch", "transformers"}),
    ),
    f"{CORE}.annotation.trained_crowd": Rule(
        core("annotation", "contracts", "corpora", "feature_cache", "metrics", "storage"),
        never=frozenset({"transformers", "lightning"}),
    ),
    f"{CORE}.sandbox": Rule(core("corpora", "metrics", "storage"), never=frozenset({"transformers", "lightning"})),
    f"{CORE}.sandbox.seen_frames": Rule(core("data", "sandbox"), never=frozenset({"torch", "lightning"})),
    f"{CORE}.objectives": Rule(core("contracts", "plugin_loading", "prompting"), TORCH),
    f"{CORE}.checkpoints": Rule(core("contracts", "model", "storage"), TORCH | {"safetensors"}),
    f"{CORE}.training": Rule(
        core("checkpoints", "contracts", "metrics", "plugin_loading", "model", "prompting", "storage")
    ),
    f"{CORE}.testing": Rule(core("contracts", "plugin_loading", "prompting", "model", "training")),
    f"{CORE}.describing": Rule(
        core("contracts", "corpora", "data", "model", "plugin_loading", "prompting", "storage", "unibench")
    ),
    f"{CORE}.hub": Rule(core("model", "storage", "unibench"), frozenset({"huggingface_hub", "yaml"})),
    f"{CORE}.clip_answers": Rule(
        core("contracts", "corpora", "data", "hub", "model", "plugin_loading", "unibench"),
        never=frozenset({"lightning"}),
    ),
    f"{CORE}.playground": Rule(
        core(
            "checkpoints",
            "clip_answers",
            "contracts",
            "corpora",
            "data",
            "describing",
            "metrics",
            "plugin_loading",
            "prompting",
            "unibench",
        ),
        never=frozenset({"lightning", "transformers"}),
    ),
    f"{CORE}.serving": Rule(
        core("clip_answers", "contracts", "data", "plugin_loading", "prompting"), frozenset({"numpy", "cv2"})
    ),
    f"{CORE}.serving.web_app": Rule(core("serving"), frozenset({"fastapi"})),
    f"{CORE}.command_line": Rule((CORE,)),
    f"{CORE}.device_arithmetic": Rule(libraries=TORCH),
    f"{CORE}.errors": Rule(libraries=frozenset()),
    f"{CORE}.label_strings": Rule(libraries=frozenset()),
    f"{CORE}.plain_characters": Rule(libraries=frozenset()),
    f"{CORE}.sentiment_forms": Rule(libraries=frozenset()),
    f"{CORE}.sentiment_strings": Rule(libraries=frozenset()),
    f"{CORE}.processors": Rule(libraries=frozenset()),
    f"{CORE}.file_kinds": Rule(libraries=frozenset()),
    f"{CORE}.figure_files": Rule(core("storage"), frozenset({"matplotlib"})),
    f"{CORE}.pickle_bounds": Rule(libraries=frozenset()),
    f"{CORE}.safe_npz": Rule(libraries=frozenset({"numpy"})),
    f"{CORE}.spreadsheet": Rule(libraries=frozenset({"openpyxl"})),
    f"{CORE}.sending": Rule(libraries=TORCH),
    f"{CORE}.weights": Rule(libraries=TORCH),
    f"{CORE}.__main__": Rule(core("command_line")),
    f"{PLUGINS}.asked_models": Rule(
        (
            *core("contracts", "storage"),
            f"{PLUGINS}.language_models",
            f"{PLUGINS}.pretrained_models",
            f"{PLUGINS}.transformers_versions",
        )
    ),
    f"{PLUGINS}.cue_describers": Rule((*core("contracts", "prompting"), *ASKING)),
    f"{PLUGINS}.clue_mergers": Rule((*core("contracts", "prompting"), *ASKING)),
    f"{PLUGINS}.transcribers": Rule((*core("contracts"), *ASKING)),
    f"{PLUGINS}.label_extractors": Rule(
        (
            *core("contracts", "metrics", "prompting", "storage"),
            f"{PLUGINS}.asked_models",
            f"{PLUGINS}.language_models",
            f"{PLUGINS}.pretrained_models",
        )
    ),
    f"{PLUGINS}.rewards": Rule(core("contracts", "metrics"), frozenset()),
    f"{PLUGINS}.branch_compressions": Rule((*core("contracts"), f"{PLUGINS}.pre_fusions")),  # one Q-Former for both
    PLUGINS: Rule((*core("contracts", "storage"), *FILES_AND_LIBRARIES)),
    CORE: Rule(libraries=frozenset()),
}


def is_within(module: str, parent: str) -> bool:
    return module == parent or module.startswith(parent + ".")


def rule_of(module: str) -> tuple[str, Rule]:
    """The rule of the innermost folder that has one."""
    scope = max((scope for scope in RULES if is_within(module, scope)), key=len)
    return scope, RULES[scope]


def own_folder(module: str, scope: str) -> str:
    """What a module may import freely: the folder of its rule; of plugins, those of its own group only."""
    return ".".join(module.split(".")[:2]) if scope == PLUGINS and module.count(".") else scope


def violations(module: str, source: str, is_package: bool = False) -> list[str]:
    """Sentences about the imports that break the rules."""
    scope, rule = rule_of(module)
    allowed = (own_folder(module, scope), *rule.inside, *FOR_EVERYBODY)
    if scope == CORE:
        allowed = FOR_EVERYBODY
    found = []
    for imported in imported_modules(source, module, is_package):
        top = imported.split(".")[0]
        if top in SOURCES:
            # The name after the dot may be a class, so a parent that stands for itself counts too.
            if top == PLUGINS and is_within(module, CORE):
                found.append(f"{module} imports {imported}: the core never imports plugins")
            elif not any(is_within(imported, parent) for parent in allowed):
                found.append(f"{module} imports {imported}: {scope} may import {', '.join(allowed)} of ours")
        elif not is_library_allowed(top, rule):
            found.append(f"{module} imports {imported}: {scope} may not import {top}; see RULES")
    return found


def is_library_allowed(library: str, rule: Rule) -> bool:
    if library in sys.stdlib_module_names:
        return True
    return library not in rule.never and (rule.libraries is None or library in rule.libraries)


def test_every_module_keeps_the_rules() -> None:
    found = [
        sentence
        for module, path in module_files()
        for sentence in violations(module, path.read_text(encoding="utf-8"), path.name == "__init__.py")
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (f"{CORE}.metrics.wheels", "import transformers"),
        (f"{CORE}.metrics.wheels", "def f():\n    from affect_lightning.model import AffectGPT"),
        (f"{CORE}.data.loader", "if True:\n    import transformers.models"),
        (f"{CORE}.data.loader", "from affect_lightning import model"),
        (f"{CORE}.data.loader", "from ..model import network"),
        (f"{CORE}.data.dataset", "from affect_lightning.packed_sets.packed_clips import PackedClips"),
        (f"{CORE}.feature_cache.source", "from affect_lightning.packed_sets.layout import Manifest"),
        (f"{CORE}.model.network", "from affect_lightning_plugins.pre_fusions.published import NoPreFusion"),
        (f"{CORE}.unibench.scoring", "from affect_lightning.data.faces import crop"),
        (f"{CORE}.corpora.truths", "from affect_lightning.data.decoding import decode_clip"),
        (f"{CORE}.prompting", "import torch"),
        (f"{CORE}.objectives.response", "from affect_lightning.model import AffectGPT"),
        (f"{CORE}.contracts.features", "import lightning"),
        (f"{CORE}.plugin_loading.listing", "import affect_lightning.data"),
        (f"{PLUGINS}.video_encoders.mine", "from affect_lightning.metrics import Taxonomy"),
        (f"{PLUGINS}.video_encoders.mine", "from affect_lightning_plugins.audio_encoders import windows"),
        (f"{CORE}", "import torch"),
        (f"{CORE}.model.network", "import lightning.pytorch"),
        (f"{CORE}.model.network", "def f():\n    from affect_lightning.checkpoints import read_checkpoint"),
    ],
)
def test_a_broken_rule_is_found(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (f"{CORE}.unibench.scoring", "from affect_lightning.corpora.truths import read_truths"),
        (f"{CORE}.sandbox.layouts", "from ..corpora.sets import MER_UNIBENCH"),
        (f"{CORE}.data.loader", "from .faces import crop\nfrom ..contracts import ClipBatch\nimport numpy"),
        (f"{CORE}.sandbox.authoring", "from affect_lightning.errors import DataError"),
        (f"{PLUGINS}.label_extractors.rules", "from affect_lightning.metrics import Taxonomy"),
        (f"{PLUGINS}.video_encoders.mine", "from affect_lightning_plugins.video_encoders.other import x\nimport timm"),
    ],
)
def test_what_is_allowed_is_not_found(module: str, source: str) -> None:
    assert violations(module, source) == []


# --- circles ---


def imports_of_ours(sources: dict[str, tuple[str, bool]]) -> dict[str, set[str]]:
    """For each module by name, from its source and whether it is a package, the modules among them that it imports."""
    graph = {}
    for module, (source, is_package) in sources.items():
        names = set(imported_modules(source, module, is_package))
        # `from a import b` is a.b where that is a module, else a.
        found = {name if name in sources else name.rpartition(".")[0] for name in names}
        graph[module] = (found & sources.keys()) - {module}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, directly or through others, at any depth and for type checkers only too."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for name in graph[waiting.pop()] - seen:
                seen.add(name)
                waiting.append(name)
        return seen

    reachable = {module: reached(module) for module in graph}
    on_circle = [module for module in graph if module in reachable[module]]
    together = {
        frozenset(other for other in on_circle if other in reachable[m] and m in reachable[other]) for m in on_circle
    }
    return sorted(sorted(circle) for circle in together)


def test_no_modules_import_each_other() -> None:
    sources = {name: (path.read_text(encoding="utf-8"), path.name == "__init__.py") for name, path in module_files()}
    assert circles(imports_of_ours(sources)) == []


def test_a_circle_is_found_however_it_is_written() -> None:
    texts = {
        f"{CORE}.a": "if TYPE_CHECKING:\n    from affect_lightning.b import B",
        f"{CORE}.b": "def f():\n    from . import c",
        f"{CORE}.c": "import affect_lightning.a",
        f"{CORE}.d": "from affect_lightning.a import A",
    }
    found = circles(imports_of_ours({name: (text, False) for name, text in texts.items()}))
    assert found == [[f"{CORE}.a", f"{CORE}.b", f"{CORE}.c"]]


# --- packaging ---


def test_every_folder_with_modules_is_packaged() -> None:
    listed = packaging()["options"]["packages"].split()
    folders = {package for package, path in package_files() if path.suffix == ".py"}
    assert sorted(folders - set(listed)) == [], "add these to `packages` in setup.cfg"
    assert sorted(set(listed) - folders) == [], "setup.cfg lists folders that do not exist"
    assert len(listed) == len(set(listed))


def test_packages_are_looked_for_where_setup_cfg_says() -> None:
    lines = packaging()["options"]["package_dir"].strip().splitlines()
    placed = {package.strip(): ROOT / folder.strip() for package, folder in (line.split("=") for line in lines)}
    assert placed == {**{package: folder / package for package, folder in SOURCES.items()}, **PLACED}


def packaged_patterns(package: str) -> list[str]:
    """Patterns of the files beside the modules that setup.cfg takes along for a package."""
    section = packaging()["options.package_data"]
    return f"{section['*']}, {section.get(package, '')}".replace(",", " ").split()


def test_every_file_beside_the_modules_is_packaged() -> None:
    left_out = [
        str(path.relative_to(ROOT))
        for package, path in package_files()
        if path.suffix != ".py" and not any(fnmatch(path.name, one) for one in packaged_patterns(package))
    ]
    assert not left_out, "add a pattern to [options.package_data] in setup.cfg"
    assert packaged_patterns(f"{CORE}.experiments")[-1] == "*.yaml"


def test_every_entry_point_names_a_class_that_exists() -> None:
    files = dict(module_files())
    for group, lines in packaging()["options.entry_points"].items():
        for line in filter(None, lines.splitlines()):
            module, _, attribute = line.partition("=")[2].strip().partition(":")
            assert module in files, f"{group}: {line} names a module that does not exist"
            tree = ast.parse(files[module].read_text(encoding="utf-8"))
            defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
            assert attribute in defined, f"{group}: {line} names something that {module} does not define"


def test_no_folder_has_a_name_that_says_nothing() -> None:
    skipped = {".git", ".venv", "build", "dist", "runs", "shared"}
    named = []
    for folder, folders, _ in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in skipped and not name.startswith(".")]
        named += [f"{folder}/{name}" for name in folders if name in FORBIDDEN_FOLDERS]
    assert not named


# --- what importing loads ---


def loaded_by(program: str, after: str = "pass") -> set[str]:
    """Names of the modules that a program loads beyond those of the one before it, in a fresh interpreter."""
    lines = ["import json, sys", after, "before = set(sys.modules)", program]
    lines.append("print(json.dumps(sorted(set(sys.modules) - before)))")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(("package", "after"), [("metrics", "import torchmetrics"), ("data", "pass")])
def test_metrics_and_data_load_neither_model_nor_transformers(package: str, after: str) -> None:
    """torchmetrics loads transformers by itself where it is installed; what metrics adds to that is looked at."""
    loaded = loaded_by(f"import affect_lightning.{package}", after)
    assert f"{CORE}.{package}" in loaded
    assert not {name for name in loaded if is_within(name, f"{CORE}.model") or is_within(name, "transformers")}
    assert not {name for name in loaded if is_within(name, PLUGINS)}


def test_the_package_and_plugin_loading_load_no_torch() -> None:
    loaded = loaded_by("import affect_lightning, affect_lightning.errors, affect_lightning.plugin_loading")
    assert f"{CORE}.plugin_loading.building" in loaded
    heavy = {"torch", "numpy", "jsonargparse", "lightning", "transformers", PLUGINS, f"{CORE}.contracts"}
    assert not heavy & loaded


def test_prompting_loads_the_standard_library_only() -> None:
    tops = {name.split(".")[0] for name in loaded_by(f"import {CORE}.prompting")}
    assert tops - set(sys.stdlib_module_names) <= {CORE}


def test_the_table_of_the_sets_loads_no_torch() -> None:
    """The sandbox's worker processes import it."""
    tops = {name.split(".")[0] for name in loaded_by(f"import {CORE}.corpora")}
    assert tops - set(sys.stdlib_module_names) <= {CORE}


def test_scoring_saved_outputs_loads_no_torch() -> None:
    """It takes half a gigabyte and seconds, which a million rows need more."""
    loaded = loaded_by(
        "import affect_lightning.unibench.scoring.suite_scoring, affect_lightning.unibench.report.files\n"
        "import affect_lightning.command_line.score_command, affect_lightning_plugins.label_extractors.rules"
    )
    assert f"{CORE}.unibench.scoring.set_scoring" in loaded
    assert not {name for name in loaded if name.split(".")[0] in {"torch", "torchmetrics", "transformers", "lightning"}}
