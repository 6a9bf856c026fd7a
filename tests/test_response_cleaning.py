"""Responses as reasoning models, chat models and graders' prompts give them, and what of them says an emotion."""

from __future__ import annotations

from pathlib import Path

import pytest

from affect_lightning.prompting.cleaning import KINDS, CleanResponse, clean_response, simplified
from affect_lightning.safe_npz import read_npz
from affect_lightning_plugins.label_extractors.rules import RulesLabelExtractor

BORED = "The person feels bored."

THOUGHTS = [
    f"<think>\nHappy, or sad?\n</think>\n\n{BORED}",
    f"<thinking>She may be sad.</thinking>{BORED}",
    f"She may be sad.</think>{BORED}",
    f"<think>Sad?</think><answer>{BORED}</answer>",
    f"<think>Sad? <answer>{BORED}</answer>",
    f"<answer>{BORED}",
    f"{BORED} <think>or sad",
    f"<think>a<think>sad</think>b</think>{BORED}",
    f"<think>one</think><think>sad</think>{BORED}",
    f"<|think|>sad<|/think|>{BORED}",
    f"◁think▷sad◁/think▷{BORED}",
    f"[THINK]sad[/THINK]{BORED}",
    f"&lt;think&gt;sad&lt;/think&gt;{BORED}",
    f"<|channel|>analysis<|message|>sad<|end|><|start|>assistant<|channel|>final<|message|>{BORED}<|return|>",
]


@pytest.mark.parametrize("response", THOUGHTS)
def test_thoughts_are_no_answer(response: str) -> None:
    clean = clean_response(response)
    assert (clean.text, clean.removed[0]) == (BORED, "thoughts")


@pytest.mark.parametrize("response", ["<think>She is sad", "[THINK] sad", "She is sad.</think>", "<think></think>"])
def test_a_thought_alone_says_nothing(response: str) -> None:
    assert clean_response(response).text == ""


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ('{"emotion": "happy", "confidence": 0.9}', "[happy]"),
        ('```json\n{"emotion": "happy"}\n```', "[happy]"),
        ('Here it is:\n```\n{"emotions": ["happy", "calm"], "reason": "no angry brows"}\n```', "[happy, calm]"),
        ("The result is {'emotion': 'happy', 'valence': 0.8}.", "[happy]"),
        ('{"emotion": "happy", "reason": "she lau', "[happy]"),
        ('{"result": {"primary_emotion": "happy", "secondary_emotion": "calm"}}', "[happy, calm]"),
        ('[{"label": "sad", "score": 0.8}, {"label": "happy", "score": 0.1}]', "[sad]"),
        ('{"happy": 0.1, "sad": 0.8, "confidence": 0.9}', "[sad]"),
        ('{"emotion": "The person is sad."}', "The person is sad."),
        ('{"emotion": null}', ""),
        ('{"情绪": "高兴"}', "[高兴]"),
        ("| Emotion | Confidence |\n| --- | --- |\n| happy | 0.9 |\n| sad | 0.1 |", "[happy]"),
        ("| Field | Value |\n| --- | --- |\n| Emotion | happy |\n| Cue | angry brows |", "[happy]"),
        ("**happy**", "happy"),
        ("### Emotion: **happy**", "Emotion: happy"),
        ("so it is $\\boxed{happy}$", "[happy]"),
        ("At first sad. \n**Final Answer:** happy", "happy"),
        ("答案：高兴", "高兴"),
        ("happy: 0.1, sad: 0.8, angry: 0.1", "[sad]"),
        ("happy 10%, sad 90%", "[sad]"),
        ("1. Sad (80%)\n2. Happy (10%)", "[Sad]"),
        ("The emotions are happy: 0.1, sad: 0.8", "[sad]"),
        ("happy (80-90%), sad (5-10%)", "[happy]"),
        ("Reasoning: She may be sad.\nEmotion: happy", "[happy]"),
        ("Emotion: happy. Reason: she is not sad.", "[happy.]"),
        ("Main emotion: happy; secondary emotion: calm; confidence: 0.7", "[happy, calm]"),
        ("Answer: B) happy\nExplanation: not sad", "[happy]"),
        ("Emotion: not sad but happy\nReason: a smile", "not sad but happy"),
        ("Emotion: happy (confidence: 0.9)", "Emotion: happy"),
        ("The emotion is happy with a confidence of 0.9.", "The emotion is happy."),
        ("happy, confidence 90%", "happy"),
        ("emotion: happy\nconfidence: 0.9", "[happy]"),
        ("**Emotions:**\n- happy\n- calm\n**Confidence:** high", "[happy, calm]"),
        ("思考：可能难过。\n答案：高兴", "[高兴]"),
        ("Analysis: a sad face.\nConclusion: The person is happy.", "The person is happy."),
        ("happy: yes\nsad: no\nangry: no", "[happy]"),
        ("happy (high), calm (medium), sad (low)", "[happy, calm]"),
        ("- [x] happy\n- [ ] sad", "[happy]"),
        ("| Emotion | Present |\n|---|---|\n| happy | Yes |\n| sad | No |", "[happy]"),
        ("| Emotion | happy |\n|---|---|\n| Confidence | 0.9 |", "[happy]"),
        ('{"happy": true, "sad": false}', "[happy]"),
        ('{"happy": "0.9", "sad": "0.1"}', "[happy]"),
        ('[["happy", 0.9], ["sad", 0.1]]', "[happy]"),
        ('{"time": 0, "emotion": "happy"}\n{"time": 1, "emotion": "calm"}', "[happy, calm]"),
        ('"{\\"emotion\\": \\"happy\\", \\"confidence\\": 0.9}"', "[happy]"),
        ("{&quot;emotion&quot;: &quot;happy&quot;}", "[happy]"),
        ("At first sad.\n\n**Final Answer**\nhappy", "happy"),
        ("She could be sad, so the answer is happy.", "happy."),
    ],
)
def test_structure_gives_its_emotions_and_neither_keys_nor_numbers(response: str, text: str) -> None:
    clean = clean_response(response)
    assert clean.text == text
    assert "structure" in clean.removed


@pytest.mark.parametrize(
    "response",
    [
        "sad</s>",
        "sad<|im_end|>\n<|im_start|>user\nAnd happy?",
        "<|im_start|>assistant\nsad<|im_end|>",
        "USER: happy or sad? ASSISTANT: sad</s>",
        "[INST] happy or sad? [/INST] sad",
        "sad<end_of_turn>\n<start_of_turn>user\nhappy?",
        "sad\nUSER: happy?",
        "system\nYou are kind.\nuser\nIs she happy, sad or angry?\nassistant\nsad",
    ],
)
def test_a_chat_has_one_answer(response: str) -> None:
    assert clean_response(response).text == "sad"


@pytest.mark.parametrize(
    ("response", "question"),
    [
        ("Is she happy, sad or angry?\nShe is sad.", "Is she happy, sad or angry?"),
        ("What emotion does the person feel: happy, sad or angry? She is sad.", ""),
        ("Question: happy or sad? Answer: She is sad.", ""),
        ("她的情绪是高兴还是难过？She is sad.", ""),
    ],
)
def test_an_echoed_question_is_no_answer(response: str, question: str) -> None:
    assert clean_response(response, question).text == "She is sad."
    assert "echoed question" in clean_response(response, question).removed


@pytest.mark.parametrize(
    ("response", "left"),
    [
        ("As an expert in emotions, please focus on the voice to find the person's feelings.", ""),
        (
            "Please describe the clip. Please predict the emotional state of the person. She is sad.",
            "Please describe the clip. She is sad.",
        ),
        ("What?; Please identify the emotion of the speaker.", "What?;"),
        ("She says: please, help me. She feels afraid.", None),
        ("They are pleased. The person may provide an emotional answer.", None),
    ],
)
def test_an_instruction_that_is_repeated_is_no_answer(response: str, left: str | None) -> None:
    clean = clean_response(response)
    assert clean.text == (response if left is None else left)
    assert ("echoed question" in clean.removed) == (left is not None)
    assert clean_response(clean.text).text == clean.text


@pytest.mark.parametrize(
    "response",
    [
        "I'm happy to help! She is sad.",
        "Sure, I'd be glad to assist you with that. She is sad.",
        "Certainly! I would love to analyze this video.\nShe is sad.",
        "Happy to help. She is sad.",
        "She is sad. Would you like to hear how happy the others are?",
        "She is sad. Let me know if you want more. I'm happy to help!",
    ],
)
def test_courtesy_is_no_feeling(response: str) -> None:
    assert clean_response(response).text == "She is sad."
    assert RulesLabelExtractor().extract([response, "She is happy to help her friend."]) == [["sad"], ["happy"]]


REFUSALS = [
    "I'm sorry, but I can't identify emotions of people in a video.",
    "Sorry, I cannot determine whether the person is happy or sad.",
    "I cannot tell.",
    "I can't tell whether she is happy or angry.",
    "As an AI language model, I do not have the ability to feel sad or happy.",
    "I apologize, but I am unable to process videos.",
    "It is impossible to say whether she is happy or sad.",
    "Unable to determine the emotion.",
    "There is not enough information to judge if he is angry.",
    "The emotional state cannot be determined.",
    "I don't know.",
    "Sorry, no person is there, so happy or sad can't be decided.",
    "No face is visible; the emotion (happy, sad, angry) is unknown.",
    "The emotion is not clear: happy or sad.",
    "Emotion: unknown (could be happy or sad)",
    "Cannot be determined: happy/sad/angry",
    "As a text-based AI, I'm unable to see. If she smiles, she is happy.",
    "很遗憾，由于画面中没有人脸，我无法对其情绪（如高兴、悲伤）做出判断。",
    "根据现有信息不足以判断人物是高兴还是愤怒。",
    "對不起，我沒有辦法辨識影片中人物是開心還是難過。",
    "抱歉，我无法识别视频中人物的情绪。",
    "很抱歉，我不能判断他是高兴还是难过。",
    "无法判断这个人是高兴还是难过。",
    "看不出来他是高兴还是难过",
    "说不清是高兴还是难过",
    "說不清他是高興還是難過",
    "這個人的情緒無法確定。",
    "作为一个人工智能语言模型，我没有情感，不会高兴或难过。",
    "不知道",
]


@pytest.mark.parametrize("response", REFUSALS)
def test_a_refusal_has_no_label(response: str) -> None:
    clean = clean_response(response)
    assert (clean.text, clean.refused) == ("", True)
    assert RulesLabelExtractor().extract([response]) == [[]]


@pytest.mark.parametrize(
    ("response", "labels"),
    [
        ("I'm sorry, but I can't see faces. However, the person sounds sad.", ["sad"]),
        ("It is hard to say, but she seems angry.", ["angry"]),
        ("我无法看到视频，但从声音来看他很难过。", ["sad"]),
        ("The person feels sorry for the loss.", ["sorry"]),
        ("She cannot tell her mother, because she is sad.", ["sad"]),
        ("他不知道该怎么办，很着急。", ["anxious"]),
        ("她无法接受这个结果，感到很难过。", ["sad"]),
        ("No face is visible, but the voice sounds sad.", ["sad"]),
        ("The emotion is unclear at first, but she seems sad.", ["sad"]),
    ],
)
def test_what_follows_a_refusal_counts_and_the_feelings_of_people_are_no_refusal(
    response: str, labels: list[str]
) -> None:
    assert RulesLabelExtractor().extract([response]) == [labels]
    assert not clean_response(response).refused


@pytest.mark.parametrize(
    ("response", "labels"),
    [
        ("neither happy nor sad, just surprised", ["surprised"]),
        ("The person is neither happy nor sad, just surprised.", ["surprised"]),
        ("neither happy nor sad", []),
        ("not angry, only tired", ["tired"]),
        ("這個人很開心。", ["happy"]),
        ("這個人感到厭惡，也很驚訝。", ["disgusted", "surprised"]),
        ("高興、緊張", ["happy", "nervous"]),
    ],
)
def test_neither_nor_and_traditional_characters(response: str, labels: list[str]) -> None:
    assert sorted(RulesLabelExtractor().extract([response])[0]) == sorted(labels)


def test_traditional_words_lead_to_the_simplified_ones() -> None:
    pairs = "難過 难过|憤怒 愤怒|驚訝 惊讶|焦慮 焦虑|沮喪 沮丧|興奮 兴奋|擔心 担心|懷疑 怀疑|滿足 满足|緊張 紧张"
    for pair in pairs.split("|"):
        traditional, plain = pair.split(" ")
        assert simplified(traditional) == plain == simplified(plain)


@pytest.mark.parametrize(
    "response", [*THOUGHTS, *REFUSALS, "[happy, calm]", BORED, "At 10:30 the man is sad.", "Is she sad?", "", " "]
)
def test_cleaning_again_changes_nothing(response: str) -> None:
    once = clean_response(response).text
    assert clean_response(once).text == once


def test_the_authors_responses_stay_but_for_end_marks_and_refusals(reference: Path) -> None:
    responses: set[str] = set()
    for folder in ("affectgpt_outputs", "baseline_outputs"):
        for path in (reference / folder).rglob("*.npz"):
            content = read_npz(path)
            if "name2reason" in content:
                responses.update(map(str, content["name2reason"].values()))
    assert len(responses) > 10_000
    removed = [clean for clean in map(clean_response, responses) if clean.removed]
    assert {kind for clean in removed for kind in clean.removed} <= {"chat marks", "echoed question", "refusal"}
    # Only models of others repeat the instruction, and in that sentence stands a request to the model.
    echoes = [text for text in responses if "echoed question" in clean_response(text).removed]
    assert 0 < len(echoes) < 0.002 * len(responses)
    assert all("please focus" in text for text in echoes)
    assert sum("refusal" in clean.removed for clean in removed) < 0.002 * len(responses)
    assert set(KINDS) >= {"chat marks", "refusal"}


@pytest.mark.parametrize(
    "response",
    [
        "|---|---|\n|---|---|",
        '{{"emotion": {}}}',
        "{{1: 2}, [3]}",
        '[["", 1], ["", 2]]',
        '{"emotion": ' * 2000,
        "Emotion:\nReason:",
        "yes",
        "&lt;&quot;",
    ],
)
def test_broken_structure_ends_no_score(response: str) -> None:
    again = clean_response(clean_response(response).text)
    assert RulesLabelExtractor().extract([response]) == [[]]
    assert again.removed == ()


@pytest.mark.parametrize(
    "response",
    [
        "The person feels calm: a high, steady voice and no tears.",
        "She says: yes, I am happy about the note: it was kind.",
        "Her reason is plain; the confidence of the speaker shows.",
        "She speaks with confidence and certainty, and sad.",
        "Would you like to leave, she asks, and she is sad.",
        "The answer is not what he expected, and he is disappointed.",
    ],
)
def test_prose_with_such_words_stays_prose(response: str) -> None:
    assert clean_response(response) == CleanResponse(response)
