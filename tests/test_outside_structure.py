"""Answers in JSON5, YAML, Python's forms of objects, nested scores, rows and lists of chances, as language models write them.

Each once gave the words of a reason, or all words of a distribution, or none. A neighbour of `test_outside_third.py`.
"""

from __future__ import annotations

import pytest

from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.prompting.cleaning.loose_objects import loose_values, yaml_value
from affect_lightning_plugins.label_extractors.rules import RulesLabelExtractor
from test_outside_words import WORDS, mine, own_folder

__all__ = ["own_folder"]  # the fixture of the other file, which pytest finds by its name here

ANSWERS: dict[str, list[str]] = {
    "{'emotion': 'sad'}": ["sad"],
    "{emotion: 'sad'}": ["sad"],
    "{emotion: sad}": ["sad"],
    "{emotion: sad, confidence: 0.9}": ["sad"],
    '{emotion: "sad", reason: "He is not happy"}': ["sad"],
    "{'emotion': 'sad', 'reason': 'He isn't happy'}": ["sad"],
    '{"emotion": "sad",}': ["sad"],
    '{"emotions": ["sad", "angry",],}': ["sad", "angry"],
    '{"emotion": "sad", // not happy\n "score": 0.9}': ["sad"],
    '{/* happy? */ "emotion": "sad"}': ["sad"],
    '{\n  // happy is unlikely\n  emotion: "sad",\n}': ["sad"],
    '# happy is unlikely\n{"emotion": "sad"}': ["sad"],
    "```json5\n{emotion: 'sad', // calm?\n}\n```": ["sad"],
    '{"emotion": “sad”, "reason": “not happy”}': ["sad"],
    "{“emotion”: “sad”, “reason”: “no calm”}": ["sad"],
    '{"emotion": sad, "reason": "calm"}': ["sad"],
    '{"emotion": "sad" "reason": "calm"}': ["sad"],
    '{"emotion": None, "reason": "calm"}': [],
    "{happy: 0.1, sad: 0.8}": ["sad"],
    "{'happy': 0.1, 'sad': 0.8,}": ["sad"],
    '{"emotion":"sad";"reason":"calm"}': ["sad"],
    '{"emotion"="sad", "reason"="calm"}': ["sad"],
    '{"emotion": {"name": "sad", "score": 0.8}}': ["sad"],
    '{"emotion": {"name": "sad", "confidence": 0.8}, "reason": "calm"}': ["sad"],
    '{"emotions": [{"name": "sad", "score": 0.8}, {"name": "calm", "score": 0.1}]}': ["sad"],
    '{"emotions": [{"emotion": "sad", "intensity": 0.8}, {"emotion": "calm", "intensity": 0.1}]}': ["sad"],
    '{"sad": {"prob": 0.7}, "calm": {"prob": 0.1}}': ["sad"],
    '{"sad": {"score": 0.7, "reason": "tears"}, "calm": {"score": 0.1, "reason": "happy"}}': ["sad"],
    '{"emotions": {"sad": {"prob": 0.7}, "calm": {"prob": 0.2}}}': ["sad"],
    '{"emotions": {"sad": 0.7, "calm": 0.2}}': ["sad"],
    '{"emotions": {"sad": "70%", "calm": "20%"}}': ["sad"],
    '{"emotions": {"sad": "high", "calm": "low"}}': ["sad"],
    '{"emotions": {"sad": [0.7], "calm": [0.2]}}': ["sad"],
    '[{"sad": 0.7}, {"calm": 0.2}]': ["sad"],
    '{"scores": {"sad": 0.7, "calm": 0.2}}': ["sad"],
    '{"scores": {"sad": 0.7, "calm": 0.2}, "label": "sad"}': ["sad"],
    '{"probabilities": {"sad": 0.7, "calm": 0.2}, "reason": "happy"}': ["sad"],
    '{"distribution": {"sad": 0.7, "calm": 0.2}}': ["sad"],
    '{"emotion_scores": {"sad": 0.7, "calm": 0.2}}': ["sad"],
    '{"emotion": "sad", "emotion_scores": {"sad": 0.7, "calm": 0.6}}': ["sad"],
    '{"labels": ["sad", "calm"], "scores": [0.8, 0.1]}': ["sad"],
    '{"sequence": "x", "labels": ["sad", "calm"], "scores": [0.8, 0.1]}': ["sad"],
    '{"emotions": [["sad", 0.8], ["calm", 0.1]]}': ["sad"],
    '{"top_emotions": [{"label": "sad", "p": 0.8}, {"label": "calm", "p": 0.1}]}': ["sad"],
    '{"emotion": {"value": "sad", "reason": "calm"}}': ["sad"],
    '{"emotion": {"label": "sad", "explanation": "He is not happy or calm"}}': ["sad"],
    '{"emotion": {"type": "sad", "intensity": "high"}}': ["sad"],
    '{"emotion": {"primary": "sad", "intensity": "high"}}': ["sad"],
    '{"person": {"emotion": "sad", "clothes": "a happy shirt"}}': ["sad"],
    '{"persons": [{"id": 1, "emotion": "sad"}, {"id": 2, "emotion": "angry"}]}': ["sad", "angry"],
    '{"analysis": {"visual": "calm face", "audio": "happy voice"}, "emotion": "sad"}': ["sad"],
    '{"analysis": "calm", "conclusion": "sad"}': ["sad"],
    '{"happy": false, "sad": true}': ["sad"],
    '{"happy": "no", "sad": "yes"}': ["sad"],
    '{"is_happy": false, "is_sad": true}': ["sad"],
    '{"emotion_label": "sad", "emotion_id": 3}': ["sad"],
    "emotion: sad\nreason: calm face": ["sad"],
    "emotion:\n  name: sad\n  score: 0.8\nreason: calm": ["sad"],
    "emotions:\n  - name: sad\n    score: 0.8\n  - name: calm\n    score: 0.1": ["sad"],
    "emotions:\n  sad: 0.8\n  calm: 0.1": ["sad"],
    "emotions:\n- sad\n- angry\nreason: calm": ["sad", "angry"],
    "---\nemotion: sad\nconfidence: high\n---": ["sad"],
    "```yaml\nemotion: sad\nreason: calm\n```": ["sad"],
    "emotion: [sad, angry]\nreason: calm": ["sad", "angry"],
    "emotion: sad  # not happy": ["sad"],
    "sad:\n  prob: 0.8\ncalm:\n  prob: 0.1": ["sad"],
    "emotion = 'sad'\nreason = 'calm'": ["sad"],
    "Emotion(name='sad', score=0.8)": ["sad"],
    "EmotionResult(emotion='sad', reason='not happy')": ["sad"],
    "EmotionResult(label='sad', confidence=0.8), EmotionResult(label='calm', confidence=0.1)": ["sad"],
    "[Emotion(name='sad', score=0.8), Emotion(name='calm', score=0.1)]": ["sad"],
    "dict(emotion='sad', reason='calm')": ["sad"],
    "OrderedDict([('emotion', 'sad'), ('reason', 'calm')])": ["sad"],
    "defaultdict(<class 'float'>, {'sad': 0.8, 'calm': 0.1})": ["sad"],
    "Counter({'sad': 8, 'calm': 1})": ["sad"],
    "emotion='sad' reason='calm face'": ["sad"],
    "('sad', 0.8)": ["sad"],
    "[('sad', 0.8), ('calm', 0.1)]": ["sad"],
    "{'sad', 'angry'}": ["sad", "angry"],
    "array(['sad', 'angry'], dtype=object)": ["sad", "angry"],
    "array(['sad'], dtype='<U3')": ["sad"],
    "<Emotion.SAD: 3>": ["sad"],
    "Emotion.SAD": ["sad"],
    "namespace(emotion='sad', reason='calm')": ["sad"],
    "frozenset({'sad'})": ["sad"],
    '{"emotion": "sad"}\n{"emotion": "angry"}': ["sad", "angry"],
    '{"reason": "calm"}\n{"emotion": "sad"}': ["sad"],
    '{"thought": "maybe happy"} {"emotion": "sad"}': ["sad"],
    '{"emotion": "sad", "score": 0.8} {"emotion": "calm", "score": 0.1}': ["sad"],
    "<emotion>sad</emotion><reason>calm</reason>": ["sad"],
    "<emotion>sad</emotion>\n<confidence>0.9</confidence>": ["sad"],
    "<result><emotion>sad</emotion><explanation>He is not happy</explanation></result>": ["sad"],
    '<emotion name="sad" score="0.8"/>': ["sad"],
    "emotion,reason\nsad,calm face": ["sad"],
    "Emotion\tScore\nsad\t0.8\ncalm\t0.1": ["sad"],
    "sad;0.8\ncalm;0.1": ["sad"],
    "[sad:0.8][calm:0.1]": ["sad"],
    "(sad, 0.8), (calm, 0.1)": ["sad"],
    "sad=0.8 calm=0.1": ["sad"],
    "sad -> 0.8, calm -> 0.1": ["sad"],
    "sad → 0.8\ncalm → 0.1": ["sad"],
    "P(sad)=0.8, P(calm)=0.1": ["sad"],
    "p(sad) = 0.8; p(calm) = 0.1": ["sad"],
    "sad: 8e-1, calm: 1e-1": ["sad"],
    "sad: -0.2, calm: -2.3 (log probabilities)": ["sad"],
    "sad: -0.2, calm: -2.3": ["sad"],
    '{"sad": -0.2, "calm": -2.3}': ["sad"],
    "calm: 1/10, sad: 8/10": ["sad"],
    "calm: 0.1\nsad: 0.8\nTotal: 0.9": ["sad"],
    "Probability of sad: 0.8. Probability of calm: 0.1.": ["sad"],
    "The probability of sadness is 0.8 and the probability of calm is 0.1.": ["sadness"],
    "There is an 80% chance that he is sad and a 20% chance that he is calm.": ["sad"],
    "悲伤概率为80%，平静概率为20%": ["sad"],
    "{情绪: 悲伤, 理由: 不平静}": ["sad"],
    "{'情绪': '悲伤', '置信度': 0.8}": ["sad"],
    "{“情绪”：“悲伤”，“理由”：“平静”}": ["sad"],
    '{"情绪": {"名称": "悲伤", "概率": 0.8}}': ["sad"],
    '{"悲伤": 0.8, "平静": 0.1}': ["sad"],
    '[{"time": 0, "emotion": "happy"}, {"time": 1, "emotion": "calm"}]': ["happy", "calm"],
}


@pytest.mark.parametrize(("response", "labels"), ANSWERS.items())
def test_an_answer_in_any_structure_has_the_words_that_it_tells(response: str, labels: list[str]) -> None:
    assert sorted(RulesLabelExtractor().extract([response])[0]) == sorted(labels)
    once = clean_response(response).text
    assert clean_response(str(once)).text == once, "cleaning again changes nothing"


FORMS = (
    "{emotion: 'WORD', // not calm\n}",
    '{"emotion": {"name": "WORD", "score": 0.8}, "reason": "calm"}',
    '{"WORD": {"prob": 0.7}, "calm": {"prob": 0.1}}',
    "emotion:\n  name: WORD\n  score: 0.8\nreason: calm",
    "[Emotion(name='WORD', score=0.8), Emotion(name='calm', score=0.1)]",
    '{"emotion": "WORD", "score": 0.8} {"emotion": "calm", "score": 0.1}',
    "P(WORD)=0.8, P(calm)=0.1",
    '{"labels": ["WORD", "calm"], "scores": [0.8, 0.1]}',
)


@pytest.mark.parametrize("form", FORMS)
def test_a_structure_scores_as_its_word(capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert mine(capsys, "response", [form.replace("WORD", word) for word in WORDS]) == pytest.approx(100.0)


@pytest.mark.parametrize(
    "text",
    [
        "She is sad.",
        "He (the man) is sad.",
        "{",
        "{emotion: ",
        "f(x",
        "[happy, calm",
        "{" * 50,
        "(" * 50_000,
        "{'a': " * 3000,
    ],
)
def test_what_is_no_object_is_none(text: str) -> None:
    assert loose_values(text) == []


def test_a_text_without_a_block_is_no_yaml() -> None:
    assert yaml_value("She is sad.\nReason: her voice") is None
    assert yaml_value("Note:\n  reason: calm\nhe is: \n") == {"Note": {"reason": "calm"}, "he is": ""}
