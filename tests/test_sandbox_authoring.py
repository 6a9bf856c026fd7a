"""The authoring half of the sandbox: emotions, sentences, labels, descriptions, faults."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product
from random import Random

import numpy as np
import pytest

from affect_lightning.errors import ConfigurationError
from affect_lightning.sandbox.authoring import FAULT_KINDS, AuthoredClip, author_test_set, author_training
from affect_lightning.sandbox.clip_texts import draw_sentence, every_sentence, sentence_count, split_of
from affect_lightning.sandbox.emotions import EMOTIONS, joint_table, label_words, showings
from affect_lightning.sandbox.priors import TEST_CORPORA, TRAINING_PRIOR
from affect_lightning.sandbox.sentence_slots import SLOTS, TEMPLATES

TRAINING_PEOPLE = range(24)
TEST_PEOPLE = range(24, 32)


@pytest.fixture(scope="module")
def training() -> list[AuthoredClip]:
    return author_training(2000, seed=5, identities=TRAINING_PEOPLE)


@pytest.fixture(scope="module")
def tests() -> dict[str, list[AuthoredClip]]:
    return {key: author_test_set(key, 200, seed=5, identities=TEST_PEOPLE) for key in TEST_CORPORA}


# --- emotions


def test_every_possible_triple_belongs_to_exactly_one_emotion() -> None:
    owners = defaultdict(set)
    for name in EMOTIONS:
        for way in showings(name):
            owners[way.triple].add(name)
    assert all(len(names) == 1 for names in owners.values())
    assert len(owners) == sum(len(showings(name)) for name in EMOTIONS)
    assert [triple for triple, names in owners.items() if names == {"neutral"}] == [("rest", "plain", "routine")]


def test_two_own_codes_identify_an_emotion_and_one_leaves_two() -> None:
    felt = [emotion for emotion in EMOTIONS.values() if emotion.name != "neutral"]
    for first, second in (("face", "voice"), ("face", "topic"), ("voice", "topic")):
        assert len({(getattr(item, first), getattr(item, second)) for item in felt}) == len(felt)
    for modality in ("face", "voice", "topic"):
        assert set(Counter(getattr(item, modality) for item in felt).values()) == {2}


def test_deviating_clips_differ_from_their_emotion_in_one_modality_only() -> None:
    for name, emotion in EMOTIONS.items():
        for way in showings(name):
            own = (emotion.face, emotion.voice, emotion.topic)
            differing = [index for index in range(3) if way.triple[index] != own[index]]
            assert len(differing) == (way.agreement != "congruent")
            assert way.conflict == any(way.triple[index] not in ("rest", "plain", "routine") for index in differing)


def test_joint_tables_sum_to_one_and_keep_the_prior() -> None:
    for specification in TEST_CORPORA.values():
        table = joint_table(specification.prior)
        assert sum(row.probability for row in table) == pytest.approx(1.0)
        for name, share in specification.prior.items():
            assert sum(row.probability for row in table if row.emotion == name) == pytest.approx(share)


def test_label_words_are_many_and_each_names_one_emotion() -> None:
    assert len(label_words()) >= 42
    owners = Counter(word for emotion in EMOTIONS.values() for word in {w for band in emotion.words for w in band})
    assert set(owners.values()) == {1}


def test_label_words_stand_in_their_emotions_sector_of_the_built_in_wheels() -> None:
    taxonomy = pytest.importorskip("affect_lightning.metrics.taxonomy").Taxonomy.builtin()
    for name, emotion in EMOTIONS.items():
        own = [taxonomy.sector(name, wheel) for wheel in range(1, 6)]
        for band in emotion.words:
            for word in band:
                sectors = [taxonomy.sector(word, wheel) for wheel in range(1, 6)]
                differing = sum(sector != expected for sector, expected in zip(sectors, own, strict=True))
                assert differing <= (1 if word == band[0] else 2), (word, sectors, own)


# --- sentences


def test_fillers_and_templates_are_distinct_in_both_languages() -> None:
    for pairs in (*SLOTS.values(), [pair for topic in TEMPLATES for pair in TEMPLATES[topic]]):
        assert len({pair.english for pair in pairs}) == len(pairs) == len({pair.chinese for pair in pairs})


@pytest.mark.parametrize("topic", list(TEMPLATES))
def test_a_topic_has_thousands_of_distinct_short_sentences_without_emotion_words(topic: str) -> None:
    assert sentence_count(topic) > 4000
    random = Random(0)
    drawn = [draw_sentence(topic, split, random) for split in ("training", "test") for _ in range(1500)]
    assert len({sentence.english for sentence in drawn}) > 1500
    assert all(4 <= len(sentence.english.split()) <= 14 for sentence in drawn)
    words = {word.strip(".,").lower() for sentence in drawn for word in sentence.english.split()}
    assert not words & set(label_words())
    assert all(s.english[0].isupper() and s.english.endswith(".") and s.chinese.endswith("。") for s in drawn)


@pytest.mark.parametrize("topic", list(TEMPLATES))
def test_no_template_can_exceed_the_length_limits(topic: str) -> None:
    for template in TEMPLATES[topic]:
        slots = {name: name.rstrip("12") for name in _slot_names(template.english)}
        longest = {slot: max((p.english for p in SLOTS[kind]), key=_word_count) for slot, kind in slots.items()}
        shortest = {slot: min((p.english for p in SLOTS[kind]), key=_word_count) for slot, kind in slots.items()}
        assert _word_count(template.english.format(**longest)) <= 14
        assert _word_count(template.english.format(**shortest)) >= 4
        assert set(_slot_names(template.english)) == set(_slot_names(template.chinese))


def _slot_names(text: str) -> list[str]:
    return [part.split("}")[0] for part in text.split("{")[1:]]


def _word_count(text: str) -> int:
    return len(text.split())


def test_no_sentence_belongs_to_two_topics_or_to_both_splits() -> None:
    topics = defaultdict(set)
    splits = defaultdict(set)
    for topic, number in product(TEMPLATES, (0, 6, 11)):
        for sentence in every_sentence(topic, number):
            topics[sentence.english].add(topic)
            splits[sentence.chinese].add(split_of(sentence.english))
    assert len(topics) > 10_000
    assert {len(names) for names in topics.values()} == {1}
    assert {len(names) for names in splits.values()} == {1}


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="there is no number 99"):
        list(every_sentence("event", 99))


# --- authored clips


def test_a_quarter_of_the_clips_is_incongruent_and_most_of_these_conflict(training: list[AuthoredClip]) -> None:
    incongruent = [clip for clip in training if clip.agreement != "congruent"]
    assert len(incongruent) / len(training) == pytest.approx(0.25, abs=0.02)
    assert sum(clip.conflict for clip in incongruent) / len(incongruent) >= 0.5
    assert {clip.agreement for clip in incongruent} == {"mask", "irony", "controlled voice"}


def test_emotions_follow_the_prior_and_intensity_tells_nothing_of_them(training: list[AuthoredClip]) -> None:
    for name, share in TRAINING_PRIOR.items():
        clips = [clip for clip in training if clip.emotion == name]
        assert len(clips) / len(training) == pytest.approx(share, abs=0.01)
        strengths = [clip.script.intensity for clip in clips]
        assert np.mean(strengths) == pytest.approx(0.7, abs=0.04)
        assert 0.4 <= min(strengths) <= max(strengths) <= 1.0


def test_labels_number_one_to_four_and_start_with_a_typical_word(training: list[AuthoredClip]) -> None:
    assert {len(clip.labels) for clip in training} == {1, 2, 3, 4}
    for clip in training:
        words = EMOTIONS[clip.emotion].words
        assert len(set(clip.labels)) == len(clip.labels)
        assert set(clip.labels) <= {word for band in words for word in band}
        assert clip.labels[0] in {band[0] for band in words}
    assert len({word for clip in training for word in clip.labels}) >= 42


def test_descriptions_are_compact_and_name_the_labels(training: list[AuthoredClip]) -> None:
    for clip in training:
        sentences = [part for part in clip.description.split(".") if part.strip()]
        assert 2 <= len(sentences) <= 3
        assert 25 <= len(clip.description.split()) <= 45, clip.description
        assert all(label in sentences[-1] for label in clip.labels)
        assert ("Although" in clip.description) == (clip.agreement != "congruent")
    assert len({clip.description for clip in training}) > 0.6 * len(training)


def test_a_typical_deviation_reads_as_it_should() -> None:
    clips = author_training(600, seed=0, identities=TRAINING_PEOPLE)
    masked = [clip for clip in clips if (clip.emotion, clip.script.face) == ("sadness", "smile")]
    assert masked
    for clip in masked:
        assert "mask" in clip.description or "hides" in clip.description
        assert clip.script.voice == "low"
        assert clip.script.topic == "event"


def test_test_sets_share_no_person_and_no_sentence_with_training(
    training: list[AuthoredClip], tests: dict[str, list[AuthoredClip]]
) -> None:
    english = {clip.script.sentence_english for clip in training}
    chinese = {clip.script.sentence_chinese for clip in training}
    for clips in tests.values():
        assert not english & {clip.script.sentence_english for clip in clips}
        assert not chinese & {clip.script.sentence_chinese for clip in clips}
        assert {clip.script.identity for clip in clips} == set(TEST_PEOPLE)
    assert {clip.script.identity for clip in training} == set(TRAINING_PEOPLE)


def test_names_are_unique_and_small_test_sets_keep_their_prior() -> None:
    for key, specification in TEST_CORPORA.items():
        clips = author_test_set(key, 40, seed=1, identities=TEST_PEOPLE)
        assert len({clip.script.name for clip in clips}) == 40
        for name, share in specification.prior.items():
            assert abs(sum(clip.emotion == name for clip in clips) - 40 * share) < 2


def test_faults_are_planted_in_turn_and_falsify_descriptions_only() -> None:
    clean = author_training(220, seed=2, identities=TRAINING_PEOPLE)
    faulty = author_training(220, seed=2, identities=TRAINING_PEOPLE, faults=0.2)
    changed = [pair for pair in zip(clean, faulty, strict=True) if pair[0] != pair[1]]
    assert Counter(after.script.fault for _, after in changed) == dict.fromkeys(FAULT_KINDS, 4)
    for before, after in changed:
        assert after.labels == before.labels
        if after.script.fault == "empty_description":
            assert after.description == ""
        elif after.script.fault == "wrong_description":
            own = {word for band in EMOTIONS[before.emotion].words for word in band}
            conclusion = {word.strip(".,:") for word in after.description.split()}
            assert conclusion & (set(label_words()) - own)
            assert not conclusion & own
        else:
            assert after.description == before.description


def test_bad_fault_options_and_counts_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"share of faults is 1\.5"):
        author_training(5, seed=0, identities=TRAINING_PEOPLE, faults=1.5)
    with pytest.raises(ConfigurationError, match="choose one or more of truncated"):
        author_training(5, seed=0, identities=TRAINING_PEOPLE, faults=0.5, fault_kinds=["rain"])
    with pytest.raises(ConfigurationError, match="no sandbox test set 'mosi'"):
        author_test_set("mosi", 5, seed=0, identities=TEST_PEOPLE)


def test_neutral_and_only_neutral_has_sentiment_zero(tests: dict[str, list[AuthoredClip]]) -> None:
    for clip in tests["cmumosi"]:
        assert (clip.sentiment == 0.0) == (clip.emotion == "neutral")
        assert np.sign(clip.sentiment) == EMOTIONS[clip.emotion].valence
