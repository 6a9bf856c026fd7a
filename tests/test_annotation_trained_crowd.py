"""`annotate crowd --train`: members learn from labelled sets out of a feature cache, are cross-validated, saved, and vote."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affect_lightning.annotation.catalogue import build_stage
from affect_lightning.annotation.tables import ClipTable, read_clip_table, write_clip_table
from affect_lightning.annotation.trained_crowd.attention_fusion import AttentionFusion
from affect_lightning.annotation.trained_crowd.fitting import FittingOptions, Targets, fit, loss_of, predict
from affect_lightning.annotation.trained_crowd.folds import stratified_folds, watched_part
from affect_lightning.annotation.trained_crowd.member_plans import plan_members
from affect_lightning.annotation.trained_crowd.saved_crowd import read_crowd
from affect_lightning.annotation.trained_crowd.text_features import hashed_text
from affect_lightning.annotation.trained_crowd.validation import chance_waf, cross_validate, fit_watched, weighted_f1
from affect_lightning.command_line.program import main
from affect_lightning.contracts import ClipRecord
from affect_lightning.errors import AffectLightningError, ConfigurationError
from trained_crowd_cases import EMOTIONS, made_features, write_cache, write_labels

pytest.importorskip("sklearn", reason="scikit-learn comes with crowd-kit")
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold

QUICK = FittingOptions(hidden=16, epochs=12, patience=4, folds=3, learning_rate=0.01)
FEW = (
    *("--hidden", 16, "--epochs", 12, "--patience", 4, "--learning-rate", 0.01, "--batch-size", 8),
    *("--folds", 3, "--seeds", 0, 1, "--taxonomy", "builtin"),
)
CLIPS = ("joy", "sadness", "neutral") * 4


def emotions_of(count: int) -> list[str]:
    return [EMOTIONS[number % 3] for number in range(count)]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two labelled sets, twelve clips without labels, and a cache of all of them; joy and positive are one direction."""
    monkeypatch.chdir(tmp_path)
    emotions = emotions_of(45)
    values = [1.5, -0.6, 0.0, -2.4] * 10
    write_labels(tmp_path / "sets", emotions, values)
    clips: dict[tuple[str, str], Mapping[str, torch.Tensor] | None] = {}
    for number, emotion in enumerate(emotions):
        clips["meld", f"meld_{number:03}"] = made_features(f"m{number}", EMOTIONS.index(emotion))
    for number, value in enumerate(values):
        clips["cmumosi", f"mosi_{number:03}"] = made_features(f"s{number}", 0 if value > 0 else 1)
    for number, emotion in enumerate(CLIPS):
        clips["own", f"clip_{number:02}"] = made_features(f"c{number}", EMOTIONS.index(emotion))
    write_cache(tmp_path / "features", clips)
    rows = "".join(f"clip_{number:02},words\n" for number in range(len(CLIPS)))
    Path("clips.csv").write_text("name,subtitle\n" + rows, encoding="utf-8")
    return tmp_path


def words(*more: object) -> list[str]:
    sets = ("--train", "meld", "cmumosi", "--data", "sets", "--features", "features")
    return list(map(str, ("annotate", "crowd", "clips.csv", *sets, *FEW, *more)))


def run_json(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> dict[str, Any]:
    capsys.readouterr()
    code = main([*arguments, "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    return capsys.readouterr().err


def linear_problem(count: int, noise: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors [N, 10] and the one of three classes whose direction is the longest."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 10, generator=generator)
    directions = torch.randn(10, 3, generator=torch.Generator().manual_seed(99))
    return features, (features @ directions + noise * torch.randn(count, 3, generator=generator)).argmax(1)


def test_a_member_is_as_right_as_logistic_regression_on_a_linear_problem() -> None:
    (learnt, classes), (unseen, truths) = linear_problem(400, 0.5, 1), linear_problem(2000, 0.5, 2)
    regression = LogisticRegression(max_iter=1000).fit(learnt.numpy(), classes.numpy())
    theirs = float((regression.predict(unseen.numpy()) == truths.numpy()).mean())
    targets = Targets(classes, torch.full((400,), torch.nan), 3)
    options = FittingOptions(learning_rate=0.003, epochs=40, patience=8)
    network = fit({"audio": learnt}, targets, range(320), range(320, 400), options, seed=0)
    ours = float((predict(network, {"audio": unseen})[0] == truths).float().mean())
    assert theirs > 0.8, "the problem is linear"
    assert ours > theirs - 0.03


def test_a_sentiment_is_the_least_squares_answer_on_a_linear_problem() -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(800, 6, generator=generator)
    values = (features @ torch.tensor([0.3, -0.2, 0.1, 0.0, 0.2, -0.1])).clamp(-1, 1)
    targets = Targets(torch.full((800,), -1), values, 0)
    options = FittingOptions(dropout=0.0, hidden=32, learning_rate=0.01, epochs=30)
    network = fit({"face": features[:600]}, targets.of(torch.arange(600)), range(500), range(500, 600), options, seed=0)
    chosen, said = predict(network, {"face": features[600:]})
    solution = torch.linalg.lstsq(features[:600], values[:600, None]).solution
    theirs = float(((features[600:] @ solution)[:, 0] - values[600:]).square().mean())
    assert float((said - values[600:]).square().mean()) < theirs + 0.005
    assert set(chosen.tolist()) == {-1}


def test_the_network_weighs_modalities_by_numbers_from_all_of_them() -> None:
    torch.manual_seed(0)
    network = AttentionFusion({"audio": 3, "face": 2}, classes=4, hidden=5, dropout=0.5).eval()
    clips = {"audio": torch.randn(6, 3), "face": torch.randn(6, 2)}
    network.standardise_by(clips)
    scores, sentiments = network(clips)
    hidden = []
    for name, values in clips.items():
        scaled = (values - values.mean(0)) / values.std(0, unbiased=False)
        hidden.append((scaled @ network.projections[name][0].weight.T + network.projections[name][0].bias).clamp(min=0))
    first, last = network.attention[0], network.attention[3]
    weights = torch.cat(hidden, 1) @ first.weight.T + first.bias
    weights = weights.clamp(min=0) @ last.weight.T + last.bias
    fused = hidden[0] * weights[:, :1] + hidden[1] * weights[:, 1:]
    torch.testing.assert_close(scores, fused @ network.emotion.weight.T + network.emotion.bias)
    torch.testing.assert_close(sentiments, (fused @ network.sentiment.weight.T + network.sentiment.bias)[:, 0])


def test_the_loss_counts_each_term_over_the_clips_that_have_it() -> None:
    network = AttentionFusion({"audio": 3}, classes=2, hidden=4, dropout=0.0)
    clips = {"audio": torch.randn(4, 3)}
    targets = Targets(torch.tensor([0, -1, 1, -1]), torch.tensor([torch.nan, 0.5, torch.nan, torch.nan]), 2)
    scores, sentiments = network(clips)
    likely = scores.log_softmax(1)
    expected = -(likely[0, 0] + likely[2, 1]) / 2 + (sentiments[1] - 0.5) ** 2
    torch.testing.assert_close(loss_of(network, clips, targets), expected)
    nothing = loss_of(network, clips, Targets(torch.full((4,), -1), torch.full((4,), torch.nan), 2))
    assert nothing.item() == 0.0


def test_folds_are_those_of_scikit_learn_in_size_and_share() -> None:
    strata = ["joy"] * 31 + ["sadness"] * 17 + ["anger"] * 5
    random.Random(0).shuffle(strata)
    fold_of = stratified_folds(strata, 5, seed=3)
    theirs = StratifiedKFold(5, shuffle=True, random_state=0).split(np.zeros(len(strata)), strata)
    sizes, per_class = [], Counter[tuple[str, int]]()
    for _, test in theirs:
        sizes.append(len(test))
        per_class.update((name, count) for name, count in Counter(strata[place] for place in test).items())
    found = [[place for place, number in enumerate(fold_of) if number == fold] for fold in range(5)]
    assert sorted(map(len, found)) == sorted(sizes)
    ours = Counter((name, count) for fold in found for name, count in Counter(strata[place] for place in fold).items())
    assert ours == per_class, "each class is spread as evenly"
    assert fold_of == stratified_folds(strata, 5, seed=3) != stratified_folds(strata, 5, seed=4)


def test_the_watched_part_leaves_rare_classes_to_be_learnt() -> None:
    learnt, watched = watched_part(["a"] * 10 + ["b"] * 4, 5, seed=1)
    assert sorted([*learnt, *watched]) == list(range(14))
    assert len(watched) == 2
    assert max(watched) < 10, "four clips of b are fewer than the five parts"
    assert len(watched_part(["a", "b"], 5, seed=0)[1]) == 1


def test_scores_are_those_of_scikit_learn() -> None:
    draw = random.Random(5)
    true = [draw.choice("abbccc") for _ in range(200)]
    said = [draw.choice("abcd") for _ in range(200)]
    assert weighted_f1(said, true) == pytest.approx(f1_score(true, said, average="weighted", zero_division=0))
    most = Counter(true).most_common(1)[0][0]
    constant = f1_score(true, [most] * 200, average="weighted", zero_division=0)
    by_share = sum((count / 200) ** 2 for count in Counter(true).values())
    assert chance_waf(true) == pytest.approx(max(constant, by_share))


def test_a_clip_is_predicted_by_a_network_that_never_saw_its_label() -> None:
    features, classes = linear_problem(90, 1.0, 7)
    targets = Targets(classes, torch.full((90,), torch.nan), 3)
    strata = classes.tolist()
    fold_of = stratified_folds(strata, 3, seed=0)
    said, _ = cross_validate({"audio": features}, targets, strata, fold_of, QUICK, seed=4)
    for fold in range(3):  # the same by hand
        others = [place for place in range(90) if fold_of[place] != fold]
        mine = torch.tensor([place for place in range(90) if fold_of[place] == fold])
        network = fit_watched({"audio": features}, targets, strata, others, QUICK, 4 * 3 + fold)
        assert predict(network, {"audio": features[mine]})[0].tolist() == said[mine].tolist()
    mine = torch.tensor([place for place in range(90) if fold_of[place] == 0])
    wrong = classes.clone()
    wrong[mine] = (wrong[mine] + 1) % 3
    again, _ = cross_validate(
        {"audio": features}, replace(targets, emotions=wrong), wrong.tolist(), fold_of, QUICK, seed=4
    )
    assert again[mine].tolist() == said[mine].tolist(), "labels of a fold change nothing in the fold"
    assert again.tolist() != said.tolist(), "and something in the others"


def test_one_command_trains_and_votes(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, words("--out", "crowd.parquet", "--save", "crowd", "--figure", "shares.svg"))
    table = read_clip_table(Path("crowd.parquet"))
    names = ["audio+face.0", "audio+face.1", "face.0", "face.1", "audio.0", "audio.1"]
    assert [member["name"] for member in found["members"]] == names
    assert [name for name in table.columns if name.startswith("votes.")] == [f"votes.{name}" for name in names]
    wanted = ["neutral" if emotion == "neutral" else {"joy": "happy", "sadness": "sad"}[emotion] for emotion in CLIPS]
    assert table.column("crowd_emotion") == wanted, (
        "words of MELD are sectors of wheel 1, and neutral a class of its own"
    )
    moods = table.column("crowd_sentiment")
    assert [moods[place] for place in (0, 1)] == ["positive", "negative"]
    assert all(0.5 <= share <= 1 for share in table.column("crowd_emotion_share"))
    assert table.column("crowd_emotion_voters") == [6] * 12
    assert [record.stage for record in table.records] == ["clips", "crowd"]
    record = table.records[-1]
    assert record.parts["crowd"] == f"6 members, {found['crowd']}"
    assert "meld train, 45 clips" in record.parts["training sets"]
    assert set(record.parts) >= {"features audio:made", "features face:made", "taxonomy"}
    assert record.options["train"] == ["meld", "cmumosi"]
    for task, clips in (("emotion", 45), ("sentiment", 30)):  # ten of the forty sentiments are exactly 0
        crowd = found["cross_validated"][task]
        assert crowd["clips"] == clips
        assert crowd["waf"] > 90 > crowd["chance"]
        assert crowd["waf"] >= min(member[task]["waf"] for member in found["members"])
        assert crowd["by_share"][0]["clips"] == clips
    assert "held out" in Path("shares.svg").read_text(encoding="utf-8")


def test_a_saved_crowd_votes_alike_on_every_part(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, words("--out", "whole.parquet", "--save", "crowd"))
    whole = read_clip_table(Path("whole.parquet"))
    assert sorted(path.name for path in Path("crowd").iterdir()) == ["crowd.json", "members.safetensors"]
    for part, (first, end) in enumerate(((0, 5), (5, 12))):
        write_clip_table(Path(f"part{part}.parquet"), ClipTable(whole.data.select(["name"]).slice(first, end - first)))
        arguments = ["annotate", "crowd", f"part{part}.parquet", "--crowd", "crowd", "--features", "features"]
        again = run_json(capsys, [*arguments, "--out", f"voted{part}.parquet"])
        assert again["crowd"] == found["crowd"]
        voted = read_clip_table(Path(f"voted{part}.parquet"))
        assert voted.data.to_pylist() == whole.data.drop_columns(["subtitle"]).slice(first, end - first).to_pylist()
        assert voted.records[-1].parts == whole.records[-1].parts


def test_three_parts_with_a_saved_crowd_are_the_bytes_of_one(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with Path("clips.csv").open("a", encoding="utf-8") as stream:
        stream.write("broken,\nabsent,\n")
    write_cache(work / "more", {("own", "broken"): None})
    run_json(
        capsys, words("--subsets", "audio", "--features", "features", "more", "--missing", "abstain", "--save", "crowd")
    )
    arguments = ["annotate", "crowd", "clips.csv", "--crowd", "crowd", "--features", "features", "more"]
    arguments += ["--missing", "abstain", "--taxonomy", "builtin"]
    whole = run_json(capsys, [*arguments, "--out", "one.parquet"])
    assert (whole["without_features"], whole["unreadable"]) == (1, ["broken"])
    for part in ("2/3", "1/3", "3/3"):
        assert main([*arguments, "--out", "three.parquet", "--part", part]) == 0
    assert run_json(capsys, [*arguments, "--out", "three.parquet", "--merge"]) == whole
    assert Path("three.parquet").read_bytes() == Path("one.parquet").read_bytes()
    assert read_clip_table(Path("three.parquet")).column("crowd_emotion")[-2:] == [None, None]


def test_the_same_training_takes_the_saved_crowd_and_another_is_refused(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_json(capsys, words("--save", "crowd"))
    assert main(words("--save", "crowd")) == 0
    assert "Trained:" not in capsys.readouterr().err
    assert "it was trained on other sets or features" in refused(capsys, words("--save", "crowd", "--seed", 7))


def test_equal_seeds_give_equal_crowds(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crowds = [run_json(capsys, words("--subsets", "audio", "--save", name))["crowd"] for name in ("one", "two")]
    assert crowds[0] == crowds[1]
    first, second = (member.network.state_dict() for member in read_crowd(Path("one")).members)
    assert any(not torch.equal(first[name], second[name]) for name in first), "seeds differ"


def test_a_damaged_crowd_is_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_json(capsys, words("--subsets", "audio", "--save", "crowd"))
    arguments = ["annotate", "crowd", "clips.csv", "--crowd", "crowd", "--features", "features"]
    weights = Path("crowd/members.safetensors").read_bytes()
    Path("crowd/members.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert "its files have changed since then" in refused(capsys, arguments)
    Path("crowd/crowd.json").write_text("{", encoding="utf-8")
    assert "is no folder of a saved crowd" in refused(capsys, arguments)


def test_features_that_were_made_in_another_way_are_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_json(capsys, words("--subsets", "audio", "--save", "crowd"))
    clips = {("own", f"clip_{number:02}"): made_features(f"c{number}", 0) for number in range(len(CLIPS))}
    write_cache(work / "others", clips, weights="w2")
    arguments = ["annotate", "crowd", "clips.csv", "--crowd", "crowd", "--features"]
    assert "the features audio:made were made in another way" in refused(capsys, [*arguments, "others"])
    assert "that were made in different ways (the encoder's weights differ)" in refused(
        capsys, [*arguments, "features", "others"]
    )
    write_cache(work / "third", clips, encoder="third")
    assert "the crowd reads audio:made; there is audio:third, face:third" in refused(capsys, [*arguments, "third"])


def test_members_of_several_encoders_are_named_by_them(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = next((work / "features").iterdir())
    assert folder.is_dir()
    clips = {
        (corpus, f"{name}_{number:03}"): made_features(f"x{name}{number}", 0)
        for corpus, name, count in (("meld", "meld", 45), ("cmumosi", "mosi", 40))
        for number in range(count)
    }
    clips |= {("own", f"clip_{number:02}"): made_features(f"xc{number}", 0) for number in range(len(CLIPS))}
    write_cache(work / "features", clips, encoder="other", widths={"audio": 6})
    found = run_json(capsys, words("--subsets", "audio", "--seeds", 0))
    assert [member["name"] for member in found["members"]] == ["audio:made.0", "audio:other.0"]


def test_members_abstain_where_a_clip_lacks_what_they_read(
    work: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with Path("clips.csv").open("a", encoding="utf-8") as stream:
        stream.write("broken,\nabsent,\nsound,\n")
    write_cache(work / "more", {("own", "broken"): None})
    write_cache(work / "more", {("own", "sound"): made_features("sound", 0)}, widths={"audio": 6})
    arguments = words("--features", "features", "more", "--out", "crowd.parquet")
    assert "2 of 15 have no cached features" in refused(capsys, arguments)
    found = run_json(capsys, [*arguments, "--missing", "abstain"])
    table = read_clip_table(Path("crowd.parquet"))
    assert (found["without_features"], found["unreadable"]) == (2, ["broken"])
    assert found["verdicts"]["emotion"]["without_a_vote"] == 2
    assert table.column("crowd_emotion_voters")[-3:] == [0, 0, 2], "the members that only hear vote"
    assert table.column("crowd_emotion")[-3:-1] == [None, None]
    assert table.column("votes.audio+face.0")[-3:] == [None, None, None]
    assert "could not be read when they were cached: broken" in caplog.text


def test_subtitles_are_a_modality_without_a_model(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, words("--text", "hashed", "--subsets", "audio+text", "text", "--missing", "error"))
    assert [member["name"] for member in found["members"]] == ["audio+text.0", "audio+text.1", "text.0", "text.1"]
    Path("clips.csv").write_text("name\nclip_00\n", encoding="utf-8")
    message = refused(capsys, words("--text", "hashed"))
    assert "Add a column 'subtitle' with what is said" in message
    chinese = hashed_text(["今天 很好", "今天很好", "", "Today is fine"])
    torch.testing.assert_close(chinese[0], chinese[1])
    assert float(chinese[2].abs().sum()) == 0.0
    assert float(chinese[0] @ chinese[3]) < 0.5


def test_a_member_that_guesses_is_warned_of_and_can_be_left_out(
    work: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    noise = {
        ("meld", f"meld_{number:03}"): made_features(f"n{number}", 0, {"frame": 4}, strength=0.0)
        for number in range(45)
    }
    noise |= {
        ("own", f"clip_{n:02}"): made_features(f"nc{n}", 0, {"frame": 4}, strength=0.0) for n in range(len(CLIPS))
    }
    write_cache(work / "features", noise, widths={"frame": 4}, encoder="noise")
    one_set = words("--train", "meld", "--subsets", "audio", "frame", "--min-score", 60, "--out", "crowd.parquet")
    found = run_json(capsys, one_set)
    poor = [member for member in found["members"] if member["name"].startswith("frame")]
    assert all(member["emotion"]["waf"] < 60 for member in poor)
    warned = [member["name"] for member in poor if member["emotion"]["waf"] <= member["emotion"]["chance"]]
    assert all(f"Leave {name} out with --min-score" in caplog.text for name in warned)
    assert "Leave audio" not in caplog.text
    table = read_clip_table(Path("crowd.parquet"))
    assert [name for name in table.columns if name.startswith("votes.")] == ["votes.audio.0", "votes.audio.1"]
    assert "with 100, 0 of 2 members vote" in refused(
        capsys, words("--train", "meld", "--subsets", "frame", "--min-score", 100)
    )


def test_the_warning_comes_exactly_below_guessing(work: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Labels that the features contradict in each fold: a member cannot be better than a guess."""
    write_labels(work / "shuffled", random.Random(1).sample(emotions_of(45), 45))
    stage = build_stage("crowd", {
        "train": ["meld"], "data": "shuffled", "features": ["features"], "subsets": ["audio"], "hidden": 4, "epochs": 2,
        "folds": 3, "taxonomy": "builtin",
    })  # fmt: skip
    stage.columns_of(ClipTable.of_columns({"name": ["clip_00"]}))
    members = stage.trained.members  # type: ignore[attr-defined]
    for member in members:
        score = member.scores["emotion"]
        assert (f"Leave {member.plan.name} out" in caplog.text) == (score.waf <= score.chance)
    assert any(member.scores["emotion"].waf <= member.scores["emotion"].chance for member in members)


@pytest.mark.parametrize(
    ("emotions", "more", "message"),
    [
        ([*EMOTIONS * 5, "anger"], (), "3 folds need 3 clips of each class, and there are fewer of mad (1)"),
        (["joy"] * 9, (), "Bring clips of two classes or more: happy is all that 9 labelled clips show"),
        (EMOTIONS * 5, ("--over", "happy,sad"), "none of its 15 clips has a sentiment or exactly one of the classes"),
        (EMOTIONS * 5, ("--over", "wheel9"), "There is no wheel 9"),
        (EMOTIONS * 5, ("--subsets", "audio+body"), "out of audio, face; got 'audio+body'"),
        (EMOTIONS * 5, ("--subsets", "audio", "--seeds", "0"), "A crowd has two members or more"),
        (EMOTIONS * 5, ("--seeds", "1", "1"), "Name each seed once"),
        (EMOTIONS * 5, ("--folds", "1"), "folds must be at least 2; got 1"),
        (EMOTIONS * 5, ("--dropout", "1"), "dropout must be at least 0 and below 1"),
        (EMOTIONS * 5, ("--train", "mer2024"), "MER2024 has no training part"),
        (EMOTIONS * 5, ("--train", "meld", "MELD"), "MELD stands there twice"),
        (EMOTIONS * 5, ("--crowd", "there"), "not both"),
        (EMOTIONS * 5, ("--member", "a.csv"), "Leave out --member"),
        (EMOTIONS * 5, ("--features", "nowhere"), "There is no feature cache in nowhere"),
        (EMOTIONS * 5, ("--corpus", "meld"), "12 of 12 have no cached features"),
        (EMOTIONS * 5, ("--encode", "sandbox"), "it has neither"),
    ],
)
def test_what_cannot_be_learnt_is_refused(
    work: Path, capsys: pytest.CaptureFixture[str], emotions: list[str], more: tuple[str, ...], message: str
) -> None:
    write_labels(work / "few", emotions)
    if "--encode" in more:
        Path("clips.csv").write_text("name\nclip_00\n", encoding="utf-8")
        stage = build_stage(
            "crowd",
            {"train": ["meld"], "data": "few", "encode": ["sandbox"], "folds": 3, "taxonomy": "builtin", "epochs": 1},
            {"encode": lambda name, clips, folder: work / "features"},
        )
        with pytest.raises(ConfigurationError, match="a column `media` with their paths, or --media FOLDER"):
            stage.columns_of(read_clip_table(Path("clips.csv")))
        return
    assert message in refused(capsys, words("--train", "meld", "--data", "few", *more))


def test_rare_classes_are_left_out_only_when_asked(
    work: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    write_labels(work / "few", [*EMOTIONS * 5, "anger"])
    found = run_json(capsys, words("--train", "meld", "--data", "few", "--rare", "drop"))
    assert found["cross_validated"]["emotion"]["clips"] == 15
    assert "left out: mad (1)" in caplog.text


def test_sentiments_of_one_sign_are_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_labels(work / "few", EMOTIONS * 5, [1.0] * 12 + [-1.0])
    message = refused(capsys, words("--data", "few"))
    assert "3 with a negative sentiment; there are 12 and 1" in message


def test_sentiment_alone_needs_no_emotions(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, words("--train", "cmumosi", "--over", "sentiment", "--out", "crowd.parquet"))
    assert list(found["verdicts"]) == ["sentiment"]
    columns = read_clip_table(Path("crowd.parquet")).columns
    assert "sentiment_votes.audio.0" in columns
    assert "crowd_emotion" not in columns


def test_a_name_in_several_sets_needs_the_set(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cache(work / "features", {("ovmerd", "clip_03"): made_features("o", 0)})
    assert "1 names are in several sets of the caches, such as clip_03 in ovmerd, own" in refused(capsys, words())
    assert run_json(capsys, words("--corpus", "own"))["clips"] == 12


def test_a_configuration_builds_the_stage_with_what_its_caller_offers(work: Path) -> None:
    asked: list[tuple[str, list[str]]] = []

    def encode(experiment: str, clips: Any, folder: Path) -> Path:
        asked.append((experiment, [record.name for record in clips]))
        assert folder == work / "features"
        return folder

    options = {
        "train": ["meld"], "data": "sets", "features": [str(work / "features")], "encode": ["sandbox"], "corpus": "own",
        "hidden": 16, "epochs": 12, "learning_rate": 0.01, "batch_size": 8, "folds": 3, "seeds": [0], "taxonomy": "builtin",
        "media": "clips",
    }  # fmt: skip
    stage = build_stage("crowd", options, {"encode": encode})
    assert stage.scope == "distribution", "all clips wait for the training"
    assert list(stage.parts()) == ["training sets"], "a change of the labels changes what was asked for"
    table = read_clip_table(Path("clips.csv"))
    done = stage.run(table)
    assert [(name, len(clips)) for name, clips in asked] == [("sandbox", 45), ("sandbox", 12)]
    assert done.column("crowd_emotion")[0] == "happy"
    assert "save" not in done.records[0].options
    votes = build_stage("crowd", {"over": "happy,sad", "taxonomy": "builtin"})
    assert votes.scope == "clip"
    voted = votes.run(ClipTable.of_columns({"name": ["x"], "votes.a": ["happy"], "votes.b": ["happy"]}))
    assert voted.column("crowd_emotion") == ["happy"], "without members, the columns of the table vote"


def test_plans_are_a_product_that_begins_with_those_that_see_most() -> None:
    from affect_lightning.annotation.trained_crowd.clip_features import FeatureInput

    inputs = {
        label: FeatureInput(label, label.split(":")[0], 4, "d")
        for label in ("audio:a", "face:b", "face:c", "text:hashed")
    }
    plans = plan_members(inputs, (), (0, 1, 2))
    assert len(plans) == 3 * (2 + 2 + 2 + 1), "all three, face+text, audio+text without a face, audio+face"
    assert plans[0].inputs == ("audio:a", "face:b", "text:hashed")
    assert len({plan.name for plan in plans}) == len(plans)
    assert len(plan_members({"a:x": inputs["audio:a"]}, (), (0, 1))) == 2


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    features = torch.full((20, 3), 1e30)
    features[::2] *= -1
    targets = Targets(torch.tensor([0, 1] * 10), torch.full((20,), torch.nan), 2)
    with pytest.raises(AffectLightningError, match="Lower the learning rate"):
        fit({"audio": features}, targets, range(15), range(15, 20), replace(QUICK, learning_rate=1e30), seed=0)


def test_clips_are_encoded_by_the_experiment(corpus: Path, tmp_path: Path) -> None:
    from affect_lightning.annotation.trained_crowd.clip_features import FeatureCaches
    from affect_lightning.command_line.annotate_trained_crowd import encode_clips

    video = sorted((corpus / "mer-caption-plus" / "video").glob("*.mp4"))[:2]
    records = [ClipRecord(path.stem, "own", video=path) for path in video]
    tiny = str(Path(__file__).parent / "tiny.yaml")
    folder = encode_clips(tiny, records, tmp_path / "features")
    caches = FeatureCaches([folder], with_text=False)
    assert set(caches.inputs) == {"audio:tiny-audio", "face:tiny-video"}
    located = caches.locate(records, caches.inputs, None)
    for label, item in caches.inputs.items():
        rows = located.rows(label)
        assert rows.shape == (2, item.width)
        assert rows.isfinite().all()
    assert encode_clips(tiny, records, tmp_path / "features") == folder
