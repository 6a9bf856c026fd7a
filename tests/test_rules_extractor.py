"""The rule-based label extractor: cases by hand, and its agreement with an LLM and with people on real data."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affect_lightning.contracts import LabelExtractor
from affect_lightning.metrics import Taxonomy, hit_rate, sentiment_waf, set_f_score
from affect_lightning.plugin_loading import build_part
from affect_lightning.safe_npz import read_npz
from affect_lightning_plugins.label_extractors import mentions
from affect_lightning_plugins.label_extractors.mention import Mention
from metric_cases import official_truth, read_label_table, saved_outputs

CHECKPOINTS = tuple(f"checkpoint_0000{epoch}" for epoch in range(30, 61, 5))
MEAN_DISTANCE, LARGEST_DISTANCE = 1.0, 2.0  # percentage points from the scores of the LLM's labels
SENTIMENT_AGREEMENT = 0.94
F_SCORE_ON_DESCRIPTIONS = 0.72


@pytest.fixture(scope="module")
def extractor() -> LabelExtractor:
    return build_part("label_extractors", "rules")


@cache
def official(folder: Path) -> Taxonomy:
    return Taxonomy.from_official(folder)


@pytest.mark.parametrize(
    ("response", "labels"),
    [
        # lists
        ("The person feels nervous, worried and anxious.", ["nervous", "worried", "anxious"]),
        (
            "The character's emotional state is concerned, under pressure, persuasive.",
            ["concerned", "under pressure", "persuasive"],
        ),
        ("['happy', 'Calm', 'happy']", ["happy", "calm"]),
        ("[]", []),
        ("neutral", ["neutral"]),
        ("Sad, very tired; somewhat angry", ["sad", "tired", "angry"]),
        ("- joyful\n- relaxed", ["joyful", "relaxed"]),
        ("The character's emotional state is not worried, excited.", ["excited"]),
        # prose
        ("Together these cues suggest that the speaker feels sad and gloomy.", ["sad", "gloomy"]),
        ("His raised brows show surprise, and his tone is annoyed.", ["surprise", "annoyed"]),
        ("She might be sad, or perhaps a bit lonely.", ["sad", "lonely"]),
        ("The smile is a mask: the speaker is furious.", ["furious"]),
        # negation
        ("She is not happy.", []),
        ("There is no sign of anger or fear; the man seems sad rather than bored.", ["sad"]),
        ("Her face is calm, without any obvious signs of nervousness or unease.", ["calm"]),
        ("She is not only angry but also disappointed.", ["angry", "disappointed"]),
        ("He cannot help but feel proud.", ["proud"]),
        ("The person isn’t calm and doesn’t look bored; she is happy.", ["happy"]),
        # two languages
        ("The person seems 开心 because of the news.", ["happy"]),
        ("这个人感到 angry。", ["angry"]),
        ("Her tone is not positive.", []),
        ("I cannot tell whether she is angry.", []),
        ("He lacks confidence and looks scared.", ["scared"]),
        ("He is anything but happy.", []),
        ("The man is far from calm; he is furious.", ["furious"]),
        ("Neither angry nor sad, the woman is relaxed.", ["relaxed"]),
        ("The emotional state is not positive.", []),
        ("The person feels happy, not sad.", ["happy"]),
        # hedges
        ("She might be a little nervous.", ["nervous"]),
        ("He seems somewhat anxious, perhaps even afraid.", ["anxious", "afraid"]),
        # somebody else's emotion, and things
        ("Although her friend is very angry, she feels calm.", ["calm"]),
        ("His brother's grief moves him to tears; he feels sympathy.", ["sympathy"]),
        ("Her daughter plays while she is angry.", ["angry"]),
        ("The other person's anger is obvious, while she stays amused.", ["amused"]),
        ("The man made another person feel sad, and he himself is delighted.", ["delighted"]),
        ("In a tense situation, the woman is frightened.", ["frightened"]),
        # quoted speech is not the speaker's state
        (
            'The subtitle reads "I am so happy today!" We can infer that he is sarcastic and bitter.',
            ["sarcastic", "bitter"],
        ),
        # Chinese
        ("情绪：高兴、激动", ["happy", "excited"]),
        ("她没有明显的紧张或不安，感到很高兴。", ["happy"]),
        ("他不开心。", ["sad"]),
        ("我们可以推断她感到愤怒和失望。", ["angry", "disappointed"]),
        ("对方的愤怒很明显，而她感到担心。", ["worried"]),
        ("['高兴', '激动']", ["happy", "excited"]),
        ("他可能有些紧张。", ["nervous"]),
        ("她似乎有点失望，也许还有些难过。", ["disappointed", "sad"]),
        ("他的情绪并不积极。", []),
        ("她没有表现出任何愤怒或悲伤。", []),
        ("她并没有生气，而是感到失望。", ["disappointed"]),
        ("她既不高兴也不难过。", []),
        ("他既高兴又难过。", ["happy", "sad"]),
        ("朋友的悲伤让他感到同情。", ["sympathetic"]),
        ("她的同事很愤怒，但她保持平静。", ["calm"]),
        ("她对朋友感到愤怒。", ["angry"]),
        # nothing
        ("", []),
        ("The video shows a table.", []),
    ],
)
def test_labels_by_hand(extractor: LabelExtractor, response: str, labels: list[str]) -> None:
    assert extractor.extract([response]) == [labels]


@pytest.mark.parametrize(
    ("labels", "sentiment"),
    [
        (["happy", "excited"], "positive"),
        (["sad"], "negative"),
        (["neutral"], "neutral"),
        ([], "neutral"),
        (["neutral", "calm"], "neutral"),
        (["excited", "sad"], "negative"),  # a judgement against something tips the balance
        (["not happy"], "negative"),
        (["deeply joyful"], "positive"),
        (["unheard-of"], "neutral"),
        (["anxious", "happy"], "positive"),  # balanced: the last word decides
        (["happy", "anxious"], "negative"),
        (["positive", "negative"], "neutral"),  # a balance of both by name takes no side
        (["negative", "positive", "sad"], "negative"),
    ],
)
def test_sentiment_by_hand(extractor: LabelExtractor, labels: list[str], sentiment: str) -> None:
    assert extractor.sentiment([labels]) == [sentiment]


def test_identity_is_stable_and_named(extractor: LabelExtractor) -> None:
    assert extractor.identity() == build_part("label_extractors", "rules").identity()
    assert extractor.identity().startswith("rules-")


@settings(max_examples=400, deadline=None)
@given(st.lists(st.text(), max_size=3))
def test_any_text_gives_words_without_repeats(responses: list[str]) -> None:
    extractor = build_extractor()
    labels = extractor.extract(responses)
    assert len(labels) == len(responses)
    assert all(len(set(words)) == len(words) and all(words) for words in labels)
    assert set(extractor.sentiment(labels)) <= {"positive", "negative", "neutral"}


PIECES = (
    *(
        "happy",
        "sad",
        "at a loss",
        "angry",
        "in high spirits",
        "calm",
        "HAPPY",
        "surprise",
        "self-doubting",
        "don't care",
    ),
    *("not", "no", "without", "neither", "nor", "rather than", "lack of", "fails to", "can't", "isn’t", "anything but"),
    *("far from being", "whether", "if", "not only", "but", "and is", "however", "her friend's", "makes others feel"),
    *("other people are", "the child’s", "atmosphere", "and tense situations", "the", "a", "she", "İ", "K", "ſad", "é"),
    *(",", ";", ".", "-", "'", "“", "_", "1", "not-so-", "\n"),
)


def seen_closely(sentence: str) -> list[Mention]:
    """The emotion words of a sentence, each looked at for every doubt, without any quick look before."""
    plain = mentions.plain_text(sentence)
    tokens = list(mentions._TOKEN.finditer(plain))
    words = [token[0] for token in tokens]
    found = [
        Mention(" ".join(words[first:end]), tokens[first].start(), tokens[end - 1].end())
        for first, end in mentions._spans(words)
    ]
    return [one for one in found if not any(doubt(plain, one) for _, doubt in mentions._DOUBTS)]


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from((" ", " ", " ", ""))), max_size=14))
def test_the_quick_looks_hide_nothing(pieces: list[tuple[str, str]]) -> None:
    sentence = "".join(f"{piece}{between}" for piece, between in pieces)
    assert mentions.meant_mentions(sentence) == seen_closely(sentence)
    assert len(mentions.plain_text(sentence)) == len(sentence)


@cache
def build_extractor() -> LabelExtractor:
    return build_part("label_extractors", "rules")


@cache
def responses_of(reference: Path, key: str, checkpoint: str) -> dict[str, str]:
    paths = (reference / "affectgpt_outputs" / key).glob(f"{checkpoint}*.npz")
    (path,) = [path for path in paths if "openset" not in path.name]
    return read_npz(path)["name2reason"]


@pytest.mark.parametrize("key", ["mer2023", "meld"])
def test_hit_rates_lie_near_those_of_an_llms_labels(reference: Path, extractor: LabelExtractor, key: str) -> None:
    truth, taxonomy, distances = official_truth(reference, key), official(reference / "emotion_wheel"), []
    for checkpoint in CHECKPOINTS:
        responses, theirs = (
            responses_of(reference, key, checkpoint),
            saved_outputs(reference, key, checkpoint, "openset"),
        )
        ours = extractor.extract([responses[name] for name in truth])
        scores = [
            hit_rate(labels, list(truth.values()), taxonomy) for labels in (ours, [theirs[name] for name in truth])
        ]
        distances.append(100 * abs(scores[0].hit_rate - scores[1].hit_rate))
    assert sum(distances) / len(distances) <= MEAN_DISTANCE
    assert max(distances) <= LARGEST_DISTANCE


def test_sentiments_agree_with_an_llm(reference: Path, extractor: LabelExtractor) -> None:
    same = total = 0
    for key in ("cmumosi", "cmumosei", "sims"):
        truth, distances = official_truth(reference, key), []
        agreed_before, clips_before = same, total
        for checkpoint in CHECKPOINTS:
            responses = responses_of(reference, key, checkpoint)
            theirs = saved_outputs(reference, key, checkpoint, "openset-sentiment")
            ours = extractor.sentiment(extractor.extract([responses[name] for name in truth]))
            same += sum(word == theirs[name] for name, word in zip(truth, ours, strict=True))
            total += len(truth)
            scores = [sentiment_waf(words, list(truth.values())) for words in (ours, [theirs[name] for name in truth])]
            distances.append(100 * abs(scores[0] - scores[1]))
        assert (same - agreed_before) / (total - clips_before) >= SENTIMENT_AGREEMENT, key
        assert sum(distances) / len(distances) <= MEAN_DISTANCE, key
        assert max(distances) <= LARGEST_DISTANCE, key
    assert same / total >= SENTIMENT_AGREEMENT


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_descriptions_lead_to_the_words_of_people(reference: Path, extractor: LabelExtractor, language: str) -> None:
    with (reference / "emer" / "descriptions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    truth = read_label_table(reference / "ovmerd" / "check-openset.csv")
    labels = extractor.extract([row[language] for row in rows])
    score = set_f_score(labels, [truth[row["name"]] for row in rows], official(reference / "emotion_wheel"))
    assert score.f >= F_SCORE_ON_DESCRIPTIONS
