"""Templates of plugin packages for every kind of part, and how they become a package (docs/plugins.md).

`affect-lightning plugins new` calls `write_plugin_package`, which makes a package on disk from a kind of part and a
name. The files named `*.template` next to this module have the texts, with `$name` for what is filled in. Standard
library only.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from string import Template

from affect_lightning import __version__
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.plugin_loading import GROUPS, list_plugins
from affect_lightning.storage import whole_path, write_whole

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class TemplateKind:
    """One kind of part that a package can be made for.

    Attributes:
        name: As on the command line, such as `fusion`.
        group: Short name of the plugin group.
        use: The command or code by which the part is used; `$name` is put in.
        tests: Template of the test file.
        check_options: What `affect-lightning plugins check` needs besides the name.
        encoder_group: Group of a second class in the package, the encoder of a stream.
    """

    name: str
    group: str
    use: str
    tests: str = "test_contract.py.template"
    check_options: str = ""
    encoder_group: str = ""

    @property
    def source(self) -> str:
        """Template of the part itself."""
        return f"{self.name.replace('-', '_')}.py.template"


_FIT = "affect-lightning fit --config sandbox --model."
_ANSWER = "affect-lightning answer --data DIR --sets meld --out answers --"
KINDS: dict[str, TemplateKind] = {
    kind.name: kind
    for kind in (
        TemplateKind("fusion", "pre_fusions", f"{_FIT}pre_fusion $name"),
        TemplateKind("branch-compression", "branch_compressions", f"{_FIT}branch_compression $name"),
        TemplateKind("video-encoder", "video_encoders", f"{_FIT}video_encoder $name"),
        TemplateKind("audio-encoder", "audio_encoders", f"{_FIT}audio_encoder $name"),
        TemplateKind("series-encoder", "series_encoders", f"{_FIT}stream_encoders '{{STREAM: $name}}'"),
        TemplateKind(
            "stream",
            "streams",
            f"{_FIT}stream_encoders '{{$name: $name}}' --model.inputs '[multi,audio,face,$name,text]'",
            tests="test_contract_stream.py.template",
            check_options=" --group streams",
            encoder_group="series_encoders",
        ),
        TemplateKind(
            "language-model",
            "language_models",
            f"{_FIT}language_model $name --model.language_model.model FOLDER",
            tests="test_contract_language_model.py.template",
            check_options=" --options model=FOLDER",
        ),
        TemplateKind("objective", "objectives", f"{_FIT}objective $name"),
        TemplateKind("reward", "rewards", f"{_FIT}objective '{{name: group-relative, rewards: [$name]}}'"),
        TemplateKind(
            "face-detector",
            "face_detectors",
            "affect-lightning fit --config sandbox --data.face_detector $name",
        ),
        TemplateKind(
            "label-extractor",
            "label_extractors",
            "affect-lightning score --dataset meld --labels LABELS --predictions FILE --extractor $name",
        ),
        TemplateKind("cue-describer", "cue_describers", f"{_ANSWER}describer $name"),
        TemplateKind("clue-merger", "clue_mergers", f"{_ANSWER}describer signal --merger $name"),
        TemplateKind("transcriber", "transcribers", f"{_ANSWER}describer signal --merger template --transcriber $name"),
        TemplateKind(
            "speaker-detector",
            "speaker_detectors",
            "affect-lightning annotate speaker --clips CLIPS --out speaker.parquet --detector $name",
        ),
    )
}


def find_kind(name: str) -> str:
    """The kind that a word means: its own name, or that of its plugin group, such as `pre_fusions` or `pre-fusion`.

    Returns:
        Its name in `KINDS`; a word that means none as it is.

    >>> find_kind("branch_compressions"), find_kind("fusion"), find_kind("pre-fusion"), find_kind("mouse")
    ('branch-compression', 'fusion', 'fusion', 'mouse')
    """
    plain = name.replace("-", "_").removesuffix("s")
    own = (kind.name for kind in KINDS.values() if kind.name.replace("-", "_") == plain)
    return next(own, next((kind.name for kind in KINDS.values() if kind.group.removesuffix("s") == plain), name))


@dataclass(frozen=True)
class PackageNames:
    """The names in a new package.

    Attributes:
        name: Of the distribution and of the plugin, such as `my-fusion`.
        module: Such as `my_fusion`.
        class_name: Such as `MyFusion`.
    """

    name: str
    module: str
    class_name: str

    @classmethod
    def of(cls, name: str) -> PackageNames:
        """Check a name and derive the others.

        Raises:
            ConfigurationError: It is no name for a distribution, or its module's name is taken.
        """
        module = name.replace("-", "_")
        if not _NAME.fullmatch(name) or keyword.iskeyword(module):
            raise ConfigurationError(
                f"Name a plugin package in lower-case letters, digits and single hyphens, starting with a letter, such as "
                f"my-fusion. Its module {module!r} must not be a keyword of Python. Got {name!r}."
            )
        if importlib.util.find_spec(module) is not None or _is_distribution(name):
            raise ConfigurationError(
                f"{name!r} is taken. Choose another name: a distribution or a module {module!r} is already installed."
            )
        return cls(name, module, "".join(word.capitalize() for word in name.split("-")))


def _is_distribution(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def write_plugin_package(kind_name: str, name: str, parent: Path) -> Path:
    """Write a package for one part: pyproject.toml, the part, its tests, README.md.

    Args:
        kind_name: Out of `KINDS`.
        name: Of the distribution and of the plugin.
        parent: Folder in which the package's folder is made; made if it is not there.

    Returns:
        The package's folder.

    Raises:
        ConfigurationError: The kind or name is wrong, the name is taken, or the folder exists.
        DataError: The folder cannot be written.
    """
    if kind_name not in KINDS:
        raise ConfigurationError(f"There is no template for a {kind_name!r}. The kinds are {', '.join(KINDS)}.")
    kind = KINDS[kind_name]
    taken = next((listing for listing in list_plugins(kind.group) if listing.name == name), None)
    if taken is not None:
        raise ConfigurationError(
            f"The {GROUPS[kind.group].part} {name!r} is offered by {taken.distribution} {taken.version} already. "
            "Choose another name: two distributions must not offer the same one."
        )
    names = PackageNames.of(name)
    folder = parent / name
    if folder.exists():
        raise ConfigurationError(
            f"{folder} exists already. Choose another name or another --out: nothing is overwritten."
        )
    try:
        with whole_path(folder, durable=False) as package:
            for path, text in _contents(kind, names).items():
                write_whole(package / path, text, durable=False)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written: {error.strerror or error}. Choose another folder with --out."
        ) from error
    return folder


def _contents(kind: TemplateKind, names: PackageNames) -> dict[str, str]:
    """Texts by path in the package."""
    group = GROUPS[kind.group]
    values = {
        "name": names.name,
        "module": names.module,
        "class_name": names.class_name,
        "kind": kind.name,
        "part": group.part,
        "group": kind.group,
        "entries": "\n\n".join(_entries(kind, names)),
        "version": __version__,
        "check_options": kind.check_options,
        "use": Template(kind.use).substitute(name=names.name),
    }
    return {
        "pyproject.toml": _rendered("pyproject.toml.template", values),
        "README.md": _rendered("README.md.template", values),
        f"src/{names.module}.py": _rendered(kind.source, values),
        "tests/test_contract.py": _rendered(kind.tests, values),
    }


def _entries(kind: TemplateKind, names: PackageNames) -> Iterator[str]:
    """The package's entry points, a table of pyproject.toml each."""
    classes = {kind.group: names.class_name}
    if kind.encoder_group:
        classes[kind.encoder_group] = f"{names.class_name}Encoder"
    for group, name in classes.items():
        yield f'[project.entry-points."{GROUPS[group].entry_point_group}"]\n{names.name} = "{names.module}:{name}"'


def _rendered(template: str, values: Mapping[str, str]) -> str:
    text = files(__name__).joinpath(template).read_text(encoding="utf-8")
    return Template(text).substitute(values)
