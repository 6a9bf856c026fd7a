"""Mixes of sets with weights, shares of a set, lists of names: what is trained on, and how often."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.data import MERCaptionPlusDataModule
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.data.clip_sources import limited_clips, stable_share
from affect_lightning.data.ordering import clips_per_set, drawn_order
from affect_lightning.data.questions import QuestionDraw
from affect_lightning.errors import AffectLightningError, ConfigurationError
from affect_lightning.prompting import question_text

SIZES = {"mer-caption-plus": 40, "ovmerd": 10, "mer2026-human": 6}
FILES = {"mer-caption-plus": "mercaptionplus", "ovmerd": "ovmerd", "mer2026-human": "human"}


@pytest.fixture(scope="module")
def three_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three training sets as released, annotations only."""
    root = tmp_path_factory.mktemp("sets")
    for key, size in SIZES.items():
        folder, part = root / key, FILES[key]
        folder.mkdir()
        names = [f"{part}_{index:03}" for index in range(size)]
        tables = {
            "subtitle_chieng.csv": "name,chinese,english\n"
            + "".join(f"{name},你好{name},hi {name}\n" for name in names),
            f"track2_train_{part}.csv": "name,openset\n" + "".join(f"{name},\"['happy']\"\n" for name in names),
        }
        if key != "mer2026-human":
            rows = "".join(f"{name},reason of {name}\n" for name in names)
            tables[f"track3_train_{part}.csv"] = "name,reason\n" + rows
        for file, text in tables.items():
            (folder / file).write_text(text, encoding="utf-8")
    return root


def make_module(root: Path, **options: Any) -> ClipDataModule:
    plain: dict[str, Any] = {"inputs": ["text"], "batch_size": 1, "validation_share": 0.0}
    return ClipDataModule(train_root=root, **{**plain, **options})


def names_of(module: ClipDataModule, split: str = "train") -> set[str]:
    module.setup("fit")
    return {clip.name for clip in module.records[split]}


@pytest.mark.parametrize(
    ("balance", "weights", "expected"),
    [
        ("natural", {}, SIZES),
        # Shares 40, 10 x 3, 6 of 56 clips: 40/76, 30/76, 6/76.
        ("natural", {"ovmerd": 3.0}, {"mer-caption-plus": 29, "ovmerd": 23, "mer2026-human": 4}),
        # Shares 1, 3, 3: a seventh of 56 is 8.
        ("equal", {"ovmerd": 3, "mer2026-human": 3}, {"mer-caption-plus": 8, "ovmerd": 24, "mer2026-human": 24}),
    ],
)
def test_weights_of_a_mix(three_sets: Path, balance: str, weights: dict[str, float], expected: dict[str, int]) -> None:
    module = make_module(three_sets, train_sets=list(SIZES), set_balance=balance, set_weights=weights)
    module.setup("fit")
    records = [batch.records[0] for batch in module.train_dataloader()]
    found = Counter(record.corpus for record in records)
    assert found.total() == 56
    assert all(abs(found[key] - number) <= 1 for key, number in expected.items()), found
    for key in SIZES:  # evenly within a set: how often clips come up differs by one at most
        times = Counter(record.name for record in records if record.corpus == key)
        often = [times[name] for name in {clip.name for clip in module.records["train"] if clip.corpus == key}]
        assert max(often) - min(often) <= 1


def test_equal_weights_of_the_natural_mix_take_every_clip_once() -> None:
    groups = [0] * 7 + [1] * 3
    assert sorted(drawn_order(groups, "natural", 3, 1, weights=[2.0, 2.0])) == list(range(10))
    assert clips_per_set([7, 3], "natural", [5, 5]) == [7, 3]


def test_a_state_of_other_weights_is_not_continued(three_sets: Path) -> None:
    def loader(**options: Any) -> Any:
        module = make_module(three_sets, train_sets=["mer-caption-plus", "ovmerd"], **options)
        module.setup("fit")
        return module.train_dataloader()

    weighted = loader(set_weights={"ovmerd": 2}).state_dict()
    for state, other in ((weighted, loader()), (loader().state_dict(), loader(set_weights={"ovmerd": 2}))):
        with pytest.warns(UserWarning, match="weights .*starts again"):
            other.load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"set_weights": {"ovmerd": 2}}, "set_weights names ovmerd, but train_sets names only mer-caption"),
        ({"set_weights": {"mer-caption-plus": 0}}, "must be a number above 0; got {'mer-caption-plus': 0}"),
        ({"ratio": 0.0}, "ratio must be above 0 and at most 1; got 0"),
        ({"include": []}, "data.include lists no clip"),
        (
            {"include": ["nobody"]},
            r"'nobody' \(data.include\) is on the include list, but the training sets \(40 clips",
        ),
        ({"exclude": "LIST"}, r"'no_such_clip' \(.*list.txt, line 3\) is on the exclude list"),
        ({"exclude": "missing.txt"}, "missing.txt cannot be read: No such file"),
        (
            {"include": ["mercaptionplus_001"], "exclude": ["mercaptionplus_001"]},
            r"mercaptionplus_001 \(1\): on the include list and on the exclude list",
        ),
    ],
)
def test_mistakes(three_sets: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("mercaptionplus_000\n\nno_such_clip\n", encoding="utf-8")
    given = {key: str(listed) if value == "LIST" else value for key, value in options.items()}
    with pytest.raises(AffectLightningError, match=message):
        make_module(three_sets, **given).setup("fit")


def test_lists_of_names(three_sets: Path, tmp_path: Path) -> None:
    everything = names_of(make_module(three_sets))
    (three_sets / "mine.txt").write_text("\ufeffmercaptionplus_003\r\n  mercaptionplus_017 \r\n", encoding="utf-8")
    listed = {"mercaptionplus_003", "mercaptionplus_017"}
    assert names_of(make_module(three_sets, include="mine.txt")) == listed
    assert names_of(make_module(three_sets, include=["mine.txt", "mercaptionplus_001"])) == {
        *listed,
        "mercaptionplus_001",
    }
    assert names_of(make_module(three_sets, exclude=[str(three_sets / "mine.txt")])) == everything - listed
    assert names_of(make_module(three_sets, exclude=[])) == everything


def test_a_ratio_is_stable_nested_and_independent_of_the_split(three_sets: Path) -> None:
    sizes = [len(names_of(make_module(three_sets, ratio=ratio))) for ratio in (0.25, 0.5, 1.0)]
    assert 4 <= sizes[0] <= 16
    assert 12 <= sizes[1] <= 28
    assert sizes[2] == 40
    half, quarter = (make_module(three_sets, ratio=ratio, validation_share=0.3) for ratio in (0.5, 0.25))
    for split in ("train", "validation"):
        assert names_of(quarter, split) <= names_of(half, split)
        assert names_of(half, split) <= names_of(make_module(three_sets, validation_share=0.3), split)
    # Of 4,000 names, a tenth by ratio and a tenth for validation share a hundredth, not a tenth.
    names = [f"sample_{index:08}" for index in range(4000)]
    used = [name for name in names if stable_share(name, "ratio") < 0.1]
    assert 320 <= len(used) <= 480
    assert 15 <= sum(stable_share(name) < 0.1 for name in used) <= 70


def test_a_small_limit_leaves_clips_to_train_on(three_sets: Path) -> None:
    module = make_module(three_sets, validation_share=0.5, limit_train_clips=12)
    assert 2 <= len(names_of(module)) <= 10
    smaller = make_module(three_sets, validation_share=0.5, limit_train_clips=6)
    assert names_of(smaller) <= names_of(module)
    with pytest.raises(ConfigurationError, match="at least 1; got 0"):
        limited_clips([*module.records["train"]], 0)


@pytest.mark.parametrize(("share", "kinds"), [(1.0, {"describe"}), (0.0, {"name"}), (0.5, {"describe", "name"})])
def test_targets(three_sets: Path, share: float, kinds: set[str]) -> None:
    """Descriptions, labels, or both drawn at random; a set without descriptions is asked for its words."""
    module = make_module(three_sets, train_sets=["ovmerd", "mer2026-human"], describe_share=share)
    module.setup("fit")
    loader = module.train_dataloader()
    asked = [(batch.records[0].corpus, batch.questions[0], batch.responses[0]) for _ in range(3) for batch in loader]
    assert {question for corpus, question, _ in asked if corpus == "ovmerd"} == {question_text(kind) for kind in kinds}
    assert {question for corpus, question, _ in asked if corpus != "ovmerd"} == {question_text("name")}
    for _, question, response in asked:
        assert response.startswith("reason of") == (question == question_text("describe"))
    assert module.training_questions == QuestionDraw(share, 0)


def test_the_name_of_the_issue(three_sets: Path) -> None:
    module = MERCaptionPlusDataModule(three_sets, inputs=["text"], subtitle_language="chinese")
    module.setup("fit")
    assert module.batch_size == 3
    assert module.options.frame_count == 8
    assert len(module.records["train"]) + len(module.records["validation"]) == 40
    batch = next(iter(module.train_dataloader()))
    assert batch.subtitles[0] == f"你好{batch.names[0]}"
    mixed = MERCaptionPlusDataModule(three_sets, train_sets=list(SIZES), set_weights={"ovmerd": 3}, inputs=["text"])
    assert mixed.set_weights == {"mer-caption-plus": 1.0, "ovmerd": 3.0, "mer2026-human": 1.0}
