"""Taxonomies: reading the official tables, refusing what executes, the built-in table, label texts."""

from __future__ import annotations

import contextlib
import io
import pickle
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.label_strings import is_no_word, label_key
from affect_lightning.metrics import Taxonomy, Wheel, hit_rate, parse_labels, set_f_score
from affect_lightning.metrics.builtin import builtin_valences
from affect_lightning.safe_npz import load_plain_pickle, read_npz
from metric_cases import PlainTaxonomy, expected, official_truth, read_label_table, saved_outputs
from vocabulary_making import FOLDER, build_tables

SAME_SECTOR_SHARE = 0.90  # of the label occurrences in the reference outputs
FIGURE_TOLERANCE = 2.0  # percentage points on every figure of expected.json

SANDBOX_WORDS = {
    "joy": "cheerful upbeat hopeful happy joyful optimistic delighted jubilant blissful",
    "sadness": "unhappy downcast melancholy sad sorrowful gloomy miserable despondent depressed",
    "anger": "annoyed irritated bothered angry mad exasperated furious enraged infuriated",
    "disgust": "repulsed queasy repelled disgusted appalled sickened revolted nauseated",
    "surprise": "surprised startled awed amazed awestruck astounded flabbergasted dumbfounded",
    "fear": "uneasy nervous apprehensive worried anxious afraid terrified frightened scared",
}


@cache
def official(folder: Path) -> Taxonomy:
    return Taxonomy.from_official(folder)


def test_official_sectors_agree_with_another_reader(reference: Path) -> None:
    taxonomy, other = official(reference / "emotion_wheel"), PlainTaxonomy(reference / "emotion_wheel")
    assert len(taxonomy.forms) == len([form for form in other.bases if form])
    for form in list(taxonomy.forms)[::7]:
        for wheel in range(5):
            for level in (1, 2):
                assert taxonomy.sector(form, wheel + 1, level) == other.sector(form, wheel, level), form


def test_both_releases_are_told_apart(reference: Path) -> None:
    folder = reference / "emotion_wheel"
    older, newer = official(folder), Taxonomy.from_official(folder, release="2026")
    assert (older.name, newer.name) == ("official-2025", "official-2026")
    assert (len(older.forms), len(newer.forms)) == (7385, 7356)  # 2025 counts an empty form, which is no word
    assert older.sha256 != newer.sha256
    assert older == Taxonomy.from_official(folder)
    assert newer == Taxonomy.from_official(folder / "wheel_mapping_2026.npz")
    assert older.wheels == newer.wheels


def test_unknown_release() -> None:
    with pytest.raises(ConfigurationError, match="no official taxonomy release '2024'. Choose one of 2025, 2026"):
        Taxonomy.from_official(".", release="2024")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="wheel does not exist; expected a folder with format.csv"):
        Taxonomy.from_official(tmp_path / "wheel")


class Malicious:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def planted(path: Path, content: bytes) -> Path:
    """An .npz with one object array whose pickle is `content`."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("format_mapping.npy", stream.getvalue() + content)
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused_unexecuted(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "executed"
    path = planted(tmp_path / "evil.npz", pickle.dumps({"a": [Malicious(mark)]}, protocol))
    with pytest.raises(DataError, match="evil.npz, member format_mapping.npy holds a pickle that asks for"):
        Taxonomy.from_official(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n.",
        b"Pid\n.",
        b"",
        b"garbage",
        b"cnumpy\ndtype\n(S'V100000000'\ntR.",
        b"cnumpy\nndarray\n((I2\ntS'O'\ntR.",
        b"]" * 200 + b"a" * 199 + b".",
        b"}(S'a'\ncnumpy\ndtype\nu.",
        b"]q\x00h\x00a.",
    ],
)
def test_hostile_and_broken_pickles_are_errors(content: bytes) -> None:
    with pytest.raises(DataError, match="test pickle"):
        load_plain_pickle(content, "test pickle")


def test_plain_data_is_read_as_numpy_reads_it(tmp_path: Path) -> None:
    data = {
        "a": {"emo": 3, "val": np.float64(-0.6)},
        "b": [1.5, None, ("x", b"y"), {2, 3}],
        "c": np.arange(6).reshape(2, 3),
    }
    np.savez(
        tmp_path / "plain.npz", corpus=np.array(data, dtype=object), names=np.array(["ü", "b"]), empty=np.zeros((0, 2))
    )
    content = read_npz(tmp_path / "plain.npz")
    assert content["corpus"]["a"] == data["a"]
    assert content["corpus"]["b"] == data["b"]
    assert np.array_equal(content["corpus"]["c"], data["c"])  # type: ignore[arg-type]
    assert content["names"].tolist() == ["ü", "b"]
    assert content["empty"].shape == (0, 2)


@pytest.mark.parametrize(
    ("content", "message"), [(b"nothing", "is not a valid .npz"), (None, "does not exist; expected an .npz file")]
)
def test_files_that_are_no_npz(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "labels.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_npz(path)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_never_crash_the_reader(content: bytes) -> None:
    with contextlib.suppress(DataError):
        load_plain_pickle(content, "fuzz")


def test_a_word_in_two_places_belongs_to_the_last_and_inner_names_to_the_first_middle() -> None:
    wheel = Wheel.from_rows([("Bad ", "Awful", "lost"), ("sad", "Hurt", "lost"), ("sad", "alone", "empty")])
    assert (wheel.sector_of("lost", 1), wheel.sector_of("lost", 2)) == ("sad", "hurt")
    assert wheel.sector_of("sad", 2) == "alone"
    assert wheel.sector_of("unheard-of", 1) is None


def test_only_ranked_taxonomies_keep_the_order_of_wheel_words() -> None:
    wheel = Wheel.from_rows([("good", "a", "calm"), ("bad", "b", "alarmed")])
    tables = {"ready": ["ready"]}, {"ready": ["calm", "alarmed"]}, [wheel]
    assert Taxonomy("ranked", *tables, ranked=True).sector(" Ready ", 1) == "good"
    assert Taxonomy("sorted", *tables).sector("ready", 1) == "bad"
    assert Taxonomy("ranked", *tables, ranked=True) != Taxonomy("sorted", *tables)


def test_an_empty_taxonomy_is_refused() -> None:
    with pytest.raises(DataError, match="'none' has 0 word forms, 0 base words and 0 wheels"):
        Taxonomy("none", {}, {}, [])


def test_encoding_gives_each_label_one_id() -> None:
    taxonomy = Taxonomy.builtin()
    encoded = taxonomy.encode([["Happy", "happy "], "[HAPPY]", [], None])
    assert encoded.shape == (4, 5)
    assert (encoded[0] == encoded[1]).all()
    assert not encoded[2:].any()
    assert taxonomy.sectors("happy", 1) == {"happy"}
    assert taxonomy.sectors(["happy", "furious", "unheard-of"], 2) == {"happy", "angry"}


def test_built_tables_are_what_the_script_makes() -> None:
    made = build_tables((FOLDER / "lexicon.tsv").read_text(encoding="utf-8"))
    for name, text in made.items():
        kept = (FOLDER / name).read_text(encoding="utf-8")
        assert kept == text, f"{name} is old: run python tests/vocabulary_making.py"


def test_every_wheel_word_of_the_lexicon_stands_on_a_wheel() -> None:
    taxonomy = Taxonomy.builtin()
    on_wheels = set().union(*(wheel.inner for wheel in taxonomy.wheels))
    named = {word for words in taxonomy.synonyms.values() for word in words}
    assert named <= on_wheels
    assert all(-1.5 <= valence <= 1 for valence in builtin_valences().values())


def test_builtin_wheels_are_the_published_ones(reference: Path) -> None:
    theirs = official(reference / "emotion_wheel").wheels
    for ours, their in zip(Taxonomy.builtin().wheels, theirs, strict=True):
        assert ours.inner == {word.replace("’", "'"): sector for word, sector in their.inner.items()}


def test_sandbox_emotions_stand_in_sectors_of_their_own() -> None:
    taxonomy, sectors = Taxonomy.builtin(), {}
    for emotion, words in SANDBOX_WORDS.items():
        for wheel in range(1, 6):
            found = {taxonomy.sector(word, wheel) for word in words.split()} - {None}
            assert len(found) <= (2 if emotion == "surprise" else 1), (emotion, wheel)
            sectors[emotion, wheel] = found
    for wheel in (1, 2):  # the other wheels have no sector of their own for disgust or surprise
        inner = [sectors[emotion, wheel] for emotion in SANDBOX_WORDS]
        assert len(set().union(*inner)) == len(SANDBOX_WORDS)
    assert not taxonomy.knows("neutral")


def test_builtin_figures_lie_near_the_official_ones(reference: Path) -> None:
    taxonomy, figures = Taxonomy.builtin(), expected(reference)
    for key in ("mer2023", "meld"):
        truth = official_truth(reference, key)
        for checkpoint, figure in figures[key]["by_checkpoint"].items():
            labels = saved_outputs(reference, key, checkpoint, "openset")
            result = hit_rate([labels[name] for name in truth], list(truth.values()), taxonomy)
            assert 100 * result.hit_rate == pytest.approx(figure, abs=FIGURE_TOLERANCE), (key, checkpoint)
    truth = official_truth(reference, "ovmerd")
    cases = {("predict", level): figures["ovmerd"]["predict-openset.csv"][f"level{level}"] for level in (1, 2)}
    cases.update({(model, 1): figure for model, figure in figures["ovmerd"]["baseline_outputs"].items()})
    for (model, level), figure in cases.items():
        folder = reference / ("ovmerd" if model == "predict" else f"baseline_outputs/{model}")
        (path,) = folder.glob("predict-openset.csv" if model == "predict" else "*-openset.npz")
        labels = read_label_table(path)
        result = set_f_score([labels[name] for name in truth], list(truth.values()), taxonomy, level)
        found = {"f": 100 * result.f, "p": 100 * result.precision, "r": 100 * result.recall}
        assert found == {name: pytest.approx(value, abs=FIGURE_TOLERANCE) for name, value in figure.items()}, model


def test_builtin_sectors_agree_on_most_label_occurrences(reference: Path) -> None:
    ours, theirs = Taxonomy.builtin(), official(reference / "emotion_wheel")
    same = total = 0
    for path in sorted(reference.glob("*_outputs/*/*-openset.npz")):
        for text in read_label_table(path).values():
            for label in parse_labels(text):
                same += sum(agreement(ours, theirs, label.lower()))
                total += 5
    assert total > 5 * 100_000
    assert same / total >= SAME_SECTOR_SHARE


@cache
def agreement(ours: Taxonomy, theirs: Taxonomy, label: str) -> tuple[bool, ...]:
    return tuple(ours.sector(label, wheel) == theirs.sector(label, wheel) for wheel in range(1, 6))


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("['a', 'b c']", ("a", "b c")),
        ("[a, b]", ("a", "b")),
        ('["a","b"]', ("a", "b")),
        (" a , b,, ", ("a", "b")),
        ("高兴，激动、 calm", ("高兴", "激动", "calm")),
        (["高兴，激动"], ("高兴", "激动")),
        ("[]", ()),
        ("", ()),
        (None, ()),
        (["a ", None, "", 3], ("a", "3")),
        (("do not care.",), ("do not care",)),
    ],
)
def test_label_texts(text: object, labels: tuple[str, ...]) -> None:
    assert parse_labels(text) == labels  # type: ignore[arg-type]


words = st.text(
    st.characters(exclude_characters="'\",，、;；|｜「」『』“”【】（）\t\r\n[]", exclude_categories=("Cs",)), min_size=1
).filter(label_key)


def is_nothing(label: str) -> bool:
    """Whether a label is what tables write where nothing is; only those with letters are left out of lists."""
    return any(map(str.isalpha, label)) and is_no_word(label_key(label))


@settings(max_examples=250, deadline=None)
@given(st.lists(words, max_size=6), st.randoms(use_true_random=False))
def test_label_texts_and_lists_agree_in_any_order(labels: list[str], random) -> None:  # type: ignore[no-untyped-def]
    stripped = tuple(word for label in labels for word in parse_labels([label]))
    assert [word.lower() for word in stripped] == [label_key(label) for label in labels if not is_nothing(label)]
    quoted = ", ".join(f"'{label}'" for label in labels)
    assert parse_labels(f"[{', '.join(labels)}]") == parse_labels(f"[{quoted}]") == parse_labels(labels) == stripped
    shuffled = random.sample(labels, len(labels))
    taxonomy = Taxonomy.builtin()
    assert (taxonomy.encode([labels]) == taxonomy.encode([shuffled])).all()
