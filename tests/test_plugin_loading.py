"""From names to parts: listing, choosing, checking. Fake distributions are folders on `sys.path`."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from affect_lightning.contracts import PreFusion
from affect_lightning.errors import PluginError
from affect_lightning.plugin_loading import (
    GROUPS,
    build_part,
    find_plugin,
    list_plugins,
    load_plugin_class,
    plugin_options,
    resolve_choice,
    split_choice,
)

GOOD_SOURCE = '''
"""A pre-fusion from elsewhere."""
from affect_lightning.contracts import FeatureSequence, PreFusion


class Outside(PreFusion):
    """Fuses from outside.

    More words.

    Args:
        stream_widths: Given by the core.
        width: Of the fused tokens.
        rate: In some unit.
        layers: Which ones.
        title: May be left out.
    """

    def __init__(self, stream_widths, width: int = 4, rate: float = 0.5, layers: list[int] | None = None,
                 title: str | None = None, *, wide: bool = False):
        super().__init__()
        self.output_width, self.output_tokens = width, 1
        self.given = (stream_widths, width, rate, layers, title, wide)

    def forward(self, streams):
        raise NotImplementedError
'''

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a distribution with one module and entry points; its modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def make(
        distribution: str,
        source: str | None = None,
        *,
        points: str = "outside = {module}:Outside",
        group: str = "affect_lightning.pre_fusions",
        metadata: str | None = None,
    ) -> None:
        module = distribution.replace("-", "_")
        if source is not None:
            (tmp_path / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        folder = tmp_path / f"{module}-1.2.dist-info"
        folder.mkdir()
        (folder / "entry_points.txt").write_text(f"[{group}]\n{points.format(module=module)}\n", encoding="utf-8")
        default = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n"
        if metadata != "":
            (folder / "METADATA").write_text(metadata or default, encoding="utf-8")
        sys.path_importer_cache.clear()

    yield make  # type: ignore[misc]
    for module in set(sys.modules) - before:
        if getattr(sys.modules[module], "__file__", None) and str(tmp_path) in str(sys.modules[module].__file__):
            del sys.modules[module]


def names(group: str) -> list[str]:
    return [listing.name for listing in list_plugins(group)]


# --- listing ---


def test_first_party_plugins_are_listed() -> None:
    assert {"timm", "efficientnet-lite0", "tiny-video"} <= set(names("video_encoders"))
    assert {"prosody", "tiny-audio"} <= set(names("audio_encoders"))
    listing = find_plugin("video_encoders", "timm")
    assert listing.distribution == "affect-lightning"
    assert listing.summary().startswith("Any image model of timm by name")
    assert [item.group for item in list_plugins()] == sorted(
        (item.group for item in list_plugins()), key=list(GROUPS).index
    )


def test_listing_imports_nothing() -> None:
    """Neither torch nor any plugin, in a fresh interpreter, though every line of help is read."""
    program = """
        import json, sys
        from affect_lightning.plugin_loading.listing import list_plugins
        count = len([listing.summary() for listing in list_plugins()])
        heavy = [name for name in sys.modules if name.split(".")[0] in
                 ("torch", "numpy", "jsonargparse", "timm", "transformers", "affect_lightning_plugins")]
        print(json.dumps([count, heavy, "affect_lightning.contracts" in sys.modules]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    count, heavy, contracts = json.loads(done.stdout)
    assert count >= 5
    assert heavy == []
    assert not contracts


def test_a_plugin_from_outside_is_listed_and_built(install: Install) -> None:
    install("other-fusion", GOOD_SOURCE)
    listing = find_plugin("pre_fusions", "outside")
    assert (listing.distribution, listing.version) == ("other-fusion", "1.2")
    assert listing.summary() == "Fuses from outside."
    assert "other_fusion" not in sys.modules
    part = build_part("pre_fusions", {"name": "outside", "width": 7, "wide": True}, stream_widths={"audio": 3})
    assert part.given == ({"audio": 3}, 7, 0.5, None, None, True)


def test_a_broken_plugin_does_not_break_the_others(install: Install) -> None:
    install("other-fusion", GOOD_SOURCE)
    install("broken-fusion", "this is no Python", points="broken = {module}:Fusion")
    install("absent-fusion", None, points="absent = no_such_module.inner:Fusion")
    assert {"outside", "broken", "absent"} <= set(names("pre_fusions"))
    assert [find_plugin("pre_fusions", name).summary() for name in ("broken", "absent")] == ["", ""]
    assert load_plugin_class("pre_fusions", "outside").__name__ == "Outside"


def test_damaged_metadata_does_not_break_the_listing(install: Install) -> None:
    install("bare-fusion", GOOD_SOURCE, metadata="")
    install("nameless-fusion", GOOD_SOURCE, metadata="Metadata-Version: 2.1\n", points="nameless = {module}:Outside")
    assert find_plugin("pre_fusions", "outside").distribution == "a distribution without metadata"
    assert find_plugin("pre_fusions", "nameless").distribution == "a distribution without metadata"
    assert build_part("pre_fusions", "outside", stream_widths={}).output_width == 4


def test_extras_and_inner_classes_in_an_entry_point(install: Install) -> None:
    source = GOOD_SOURCE + "\n\nclass Shelf:\n    Inner = Outside\n"
    install("shelf-fusion", source, points="outside = {module}:Outside [gpu]\ninner = {module}:Shelf.Inner")
    assert load_plugin_class("pre_fusions", "outside") is load_plugin_class("pre_fusions", "inner")


# --- choosing ---


def test_unknown_names_get_the_nearest_and_the_list(install: Install) -> None:
    install("other-fusion", GOOD_SOURCE)
    with pytest.raises(
        PluginError, match=r"no pre-fusion plugin 'outsied'\. Did you mean 'outside'\? Installed: .*none"
    ):
        find_plugin("pre_fusions", "outsied")
    with pytest.raises(PluginError, match=r"no pre-fusion plugin 'zzz'\. Installed: "):
        find_plugin("pre_fusions", "zzz")
    with pytest.raises(PluginError, match=r"no plugin group 'fusions'\. The groups are video_encoders, audio_en"):
        list_plugins("fusions")


def test_two_distributions_with_one_name(install: Install) -> None:
    install("other-fusion", GOOD_SOURCE)
    install("second-fusion", GOOD_SOURCE)
    expected = (
        r"'outside' is offered by other-fusion 1\.2 \(.*\) and second-fusion 1\.2 \(.*\)\. "
        r"A name in affect_lightning\.pre_fusions .*PreFusion.* Uninstall one"
    )
    with pytest.raises(PluginError, match=expected):
        build_part("pre_fusions", "outside", stream_widths={})
    assert names("pre_fusions").count("outside") == 2


@pytest.mark.parametrize("choice", [3, None, {"num_queries": 3}, {"name": 3}, ["qformer"]])
def test_a_choice_is_a_name_or_a_mapping_with_a_name(choice: object) -> None:
    with pytest.raises(
        PluginError, match="Choose a plugin by its name, or by a mapping with `name` and options such as"
    ):
        split_choice(choice)  # type: ignore[arg-type]


# --- checking the class ---


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import not_installed_anywhere", "ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("raise ValueError('the driver is too old')", "ValueError: the driver is too old"),
        ("def half(:", "SyntaxError: "),
        ("x = 1", "AttributeError: .* no attribute 'Outside'"),
    ],
)
def test_a_failing_import_names_the_distribution_and_its_error(install: Install, source: str, message: str) -> None:
    install("failing-fusion", source)
    expected = rf"pre-fusion 'outside' of failing-fusion 1\.2 cannot be imported from failing_fusion:Outside: {message}"
    with pytest.raises(PluginError, match=expected) as caught:
        load_plugin_class("pre_fusions", "outside")
    assert caught.value.__cause__ is not None
    assert "Fix or reinstall failing-fusion, or choose another pre-fusion" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("class Outside: pass", r"expected a subclass of affect_lightning\.contracts\.PreFusion, found <class"),
        ("def Outside(): pass", r"expected a subclass of affect_lightning\.contracts\.PreFusion, found <function"),
        ("class Outside(PreFusion): pass", "PreFusion also needs forward, which Outside lacks"),
        (
            "class Outside(PreFusion):\n def __init__(self, width: int = 3): pass\n def forward(self, streams): pass",
            "the constructor of every pre-fusion must take stream_widths, but that of Outside does not",
        ),
        (
            "class Outside(PreFusion):\n def __init__(self, stream_widths, name: str = ''): pass\n"
            " def forward(self, streams): pass",
            "has an option called `name`, .* Rename the parameter of Outside",
        ),
    ],
)
def test_a_class_that_does_not_fit_the_contract(install: Install, body: str, message: str) -> None:
    install("misfit-fusion", f"from affect_lightning.contracts import PreFusion\n{body}\n")
    with pytest.raises(PluginError, match=rf"'outside' of misfit-fusion 1\.2 .*{message}"):
        load_plugin_class("pre_fusions", "outside")


def test_a_part_without_the_attributes_of_its_contract(install: Install) -> None:
    install("silent-fusion", GOOD_SOURCE.replace("self.output_width, self.output_tokens = width, 1", "pass"))
    with pytest.raises(PluginError, match="PreFusion also needs the attributes output_width, output_tokens, which Ou"):
        build_part("pre_fusions", "outside", stream_widths={})


# --- checking the options ---


def test_defaults_are_filled_in_and_plain(install: Install) -> None:
    install("other-fusion", GOOD_SOURCE)
    expected = {"name": "outside", "width": 4, "rate": 0.5, "layers": None, "title": None, "wide": False}
    assert resolve_choice("pre_fusions", "outside") == expected
    given = {"name": "outside", "width": "8", "rate": "1e-3", "layers": [1, 2], "title": None}
    assert resolve_choice("pre_fusions", given) == {**expected, "width": 8, "rate": 0.001, "layers": [1, 2]}
    resolved = resolve_choice("pre_fusions", given)
    assert resolve_choice("pre_fusions", resolved) == resolved
    assert given["width"] == "8"
    json.dumps(resolved)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("width", "wide", "int"),
        ("width", 8.5, "int"),
        ("width", None, "int"),
        ("width", [1], "int"),
        ("rate", "fast", "float"),
        ("rate", None, "float"),
        ("layers", [1, "two"], r"list\[int\] | None"),
        ("wide", "perhaps", "bool"),
    ],
)
def test_a_value_of_the_wrong_type(install: Install, option: str, value: object, expected: str) -> None:
    install("other-fusion", GOOD_SOURCE)
    with pytest.raises(PluginError) as caught:
        resolve_choice("pre_fusions", {"name": "outside", option: value})
    plain = expected.replace("\\", "")
    assert f"option '{option}' expects {plain}, got {value!r}. `affect-lightning plugins outside`" in str(caught.value)


def test_an_unknown_option_gets_the_nearest_and_the_list(install: Install) -> None:
    install("other-fusion", GOOD_SOURCE)
    expected = (
        r"'outside' has no option 'widht'\. Did you mean 'width'\? Its options: width, rate, layers, title, wide\."
    )
    with pytest.raises(PluginError, match=expected):
        resolve_choice("pre_fusions", {"name": "outside", "widht": 3})
    with pytest.raises(PluginError, match="has no option 'stream_widths'"):
        resolve_choice("pre_fusions", {"name": "outside", "stream_widths": {}})


def test_a_required_option_that_is_missing() -> None:
    with pytest.raises(PluginError, match=r"'timm' cannot be built: .*required: model"):
        resolve_choice("video_encoders", "timm")


def test_an_option_without_a_type_takes_anything(install: Install) -> None:
    install("untyped-fusion", GOOD_SOURCE.replace("width: int = 4", "width=4"))
    assert resolve_choice("pre_fusions", {"name": "outside", "width": 5})["width"] == 5
    option = next(option for option in plugin_options("pre_fusions", "outside") if option.name == "width")
    assert option.type in ("anything", "Any")


def test_options_with_type_default_and_help(install: Install) -> None:
    install("other-fusion", GOOD_SOURCE)
    options = {option.name: option for option in plugin_options("pre_fusions", "outside")}
    assert list(options) == ["width", "rate", "layers", "title", "wide"]
    assert (options["width"].type, options["width"].default) == ("int", "4")
    assert options["layers"].type == "list[int] | None"
    assert options["rate"].help == "In some unit."
    assert {option.name: option.default for option in plugin_options("video_encoders", "timm")}["model"] == "required"


def test_checking_builds_nothing(install: Install) -> None:
    install("costly-fusion", GOOD_SOURCE.replace("super().__init__()", "raise RuntimeError('weights are loaded')"))
    assert resolve_choice("pre_fusions", "outside")["width"] == 4
    with pytest.raises(RuntimeError, match="weights are loaded"):
        build_part("pre_fusions", "outside", stream_widths={})


@pytest.mark.parametrize("listing", list_plugins(), ids=lambda listing: f"{listing.group}-{listing.name}")
def test_every_installed_plugin_documents_itself(listing: object) -> None:
    """One line of help and a text for every option; a plugin whose extra is absent is skipped by name."""
    group, name = listing.group, listing.name  # type: ignore[attr-defined]
    try:
        options = plugin_options(group, name)
    except PluginError as error:
        if isinstance(error.__cause__, ImportError):
            pytest.skip(str(error))
        raise
    assert listing.summary()  # type: ignore[attr-defined]
    assert [option.name for option in options if not option.help] == []


def test_contract_classes_cannot_be_built() -> None:
    with pytest.raises(TypeError, match="abstract"):
        PreFusion()  # type: ignore[abstract]
    assert issubclass(PreFusion, torch.nn.Module)
