"""Answers as GPT, Qwen, DeepSeek, R1-Omni, HumanOmni, ms-swift and lmms-eval leave them, as a new user brings them.

Each says one emotion; beside it stands another one that does not count. A neighbour of `test_outside_structure.py`.
"""

from __future__ import annotations

import pytest

from affect_lightning.prompting.cleaning import clean_response
from affect_lightning_plugins.label_extractors.rules import RulesLabelExtractor
from test_outside_words import CHINESE, WORDS

ANSWERS = {
    "gpt bullets": "- **Facial expression**: neutral\n- **Voice**: calm\n- **Overall emotion**: WORD",
    "gpt based": "Based on the facial cues, which are not calm, the most likely emotion is WORD.",
    "gpt possible": "Possible emotions: WORD (most likely), calm (less likely).",
    "gpt could": "While one could argue for calmness, the evidence points to WORD.",
    "gpt rank": "1) WORD — 85%\n2) calm — 10%\n3) bored — 5%",
    "gpt table3": "| Rank | Emotion | Confidence |\n|---|---|---|\n| 1 | WORD | 85% |\n| 2 | calm | 10% |",
    "qwen think": "<think>\nOkay, the user wants ... calm? bored?\n</think>\n\nThe emotion is WORD.",
    "r1 omni": "<think>In the video, a man looks calm.</think>\n<answer>WORD</answer>",
    "r1 open": "<think>calm</think><answer>['WORD']</answer>",
    "humanomni": "WORD.",
    "mcq": "Answer: (B) WORD",
    "mcq2": "B. WORD",
    "letter expl": "The answer is B) WORD because he is not calm.",
    "json emo list": '{"emotions":["WORD"],"not":["calm"]}',
    "json levels": '{"WORD":"strong","calm":"weak"}',
    "json int": '{"WORD":5,"calm":1}',
    "json pct": '{"WORD":"85%","calm":"10%"}',
    "json null": '{"WORD":1,"calm":null}',
    "json str num": '{"WORD":"0.85","calm":"0.10"}',
    "json nested levels": '{"emotions":{"primary":{"label":"WORD","score":0.8},"secondary":{"label":"calm","score":0.1}}}',
    "json conf list": '[{"emotion":"WORD","confidence":"high"},{"emotion":"calm","confidence":"low"}]',
    "json emotion+valence": '{"emotion":"WORD","valence":-0.5,"arousal":0.3}',
    "json answer reasoning": '{"reasoning":"The man seems calm at first","answer":"WORD"}',
    "json cot": '{"step1":"calm","step2":"bored","final_answer":"WORD"}',
    "json evidence": '{"emotion":"WORD","evidence":["calm voice","bored face"]}',
    "json time": '[{"start":0,"end":2,"emotion":"WORD"}]',
    "tool call": '<tool_call>{"name":"emotion","arguments":{"emotion":"WORD"}}</tool_call>',
    "function": '{"name":"predict_emotion","arguments":{"label":"WORD"}}',
    "xml": "<response><emotion>WORD</emotion><rationale>calm</rationale></response>",
    "md code": "`WORD`",
    "latex": "$\\text{WORD}$",
    "final": "Final emotion label: WORD.",
    "so": "He was calm; now WORD.",
    "instead": "Instead of calm, WORD.",
    "although": "Although calm was considered, WORD is the best answer.",
    "not a but b": "It's not calmness but rather WORD.",
    "shifts": "The user might expect calm, but it's WORD",
    "hedge": "Perhaps WORD.",
    "lack": "A lack of calm; WORD.",
    "rather": "WORD rather than calm",
    "none others": "WORD: yes; calm: no; bored: no",
    "boolean": "WORD=True, calm=False",
    "counts": "WORD WORD WORD calm",
    "emoji": "😢 WORD",
    "translation": "WORD (not calm)",
    "negparen": "WORD (vs. calm)",
    "hash": "#WORD",
    "score first": "0.85 WORD\n0.10 calm",
    "colon score rev": "0.85: WORD, 0.1: calm",
    "lmms": '["WORD"]',
    "unlike": "Unlike typical calm, he is WORD.",
    "no evidence": "There is no evidence of calm. There is evidence of WORD.",
    "would": "I would not call it calm; WORD.",
    "sub": "The subtitle says 'I am calm', yet the tone is WORD.",
    "than": "He looks more WORD than calm.",
    "calmq": "Is he calm? Not at all: WORD.",
    "empty room": "The room is calm. The person is WORD.",
    "csv": "1,WORD,0.9\n2,calm,0.1",
    "at first": "Hmm, at first calm. But the answer: WORD",
    "at first is": "At first calm. But the answer is WORD.",
    "echoed transcript": "The person in video says: calm. ... WORD",
    "echoed sentence": "The person in the video says: I am calm. WORD",
    "votes": "Votes: WORD 4, calm 1",
    "votes colon": "Votes: calm: 1; WORD: 4",
    "votes for": "4 votes for WORD, 1 vote for calm",
    "votes times": "WORD x4, calm x1",
    "previous clip": "Compared with the previous clip, which was calm, the person is WORD",
    "last clip": "Unlike the last clip, which was calm, she is WORD.",
    "another one": "Compared to her sister, who is calm, she is WORD.",
    "quoted question": "> calm?\nWORD",
    "quoted questions": "> Happy or sad?\n> Is the person calm?\n\n**WORD**",
    "pandas series": "0    WORD\nName: emotion, dtype: object",
    "pandas row": "emotion    WORD\nscore       0.8\nName: 0, dtype: object",
    "pandas scores": "WORD    0.8\ncalm    0.1\ndtype: float64",
    "pandas counts": "emotion\nWORD    4\ncalm    1\nName: count, dtype: int64",
    "pandas table": "  emotion  score\n0     WORD    0.8\n1     calm    0.1",
}
CHINESE_ANSWERS = {
    "zh": "这个人很WORD。",
    "zh dang": "表面平静，实际上WORD。",
    "zh final": "综合判断：WORD",
    "zh list": "情绪标签：WORD",
    "zh json": '{"情绪":"WORD","原因":"语气平静"}',
    "zh nested": '{"情绪":{"标签":"WORD","置信度":0.9},"理由":"平静"}',
    "zh rank": "1. WORD（85%）\n2. 平静（10%）",
    "zh more": "比起平静，更偏向WORD。",
    "zh not": "没有平静，只有WORD。",
    "zh rule": "可排除平静，WORD最可能。",
    "zh could": "可能是WORD，不太可能是平静。",
    "zh think": "<think>平静？</think>WORD",
    "zh step": "第一步：表情平静。第二步：语气低。结论：WORD",
    "zh before": "之前平静，现在WORD。",
    "zh thing": "房间很平静，他很WORD。",
    "zh degree": "WORD：高；平静：低",
    "zh yes": "WORD：是，平静：否",
    "zh quote": "他说“我很平静”，但语气WORD。",
    "zh neither": "既不平静也不无聊，而是WORD。",
    "zh score": "WORD 0.85，平静 0.10",
    "zh tri": "這個人不是平靜，而是WORD。",
    "zh if": "如果他平静，语调会平稳；他是WORD的。",
    "zh if so": "如果平静；他是WORD",
    "zh votes": "投票：WORD4，平静1",
    "zh votes 2": "4票WORD，1票平静",
    "zh compared": "与上一段平静的视频相比，他很WORD。",
    "zh quoted": "> 平静？\nWORD",
}


@pytest.mark.parametrize("form", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_says_its_emotion_alone(form: str) -> None:
    answers = [form.replace("WORD", word) for word in WORDS]
    plain = [[word] for word in WORDS]
    assert [[label.lower() for label in labels] for labels in RulesLabelExtractor().extract(answers)] == plain
    for answer in answers:
        once = clean_response(answer).text
        assert clean_response(str(once)).text == once, "cleaning again changes nothing"


@pytest.mark.parametrize("form", CHINESE_ANSWERS.values(), ids=CHINESE_ANSWERS)
def test_a_chinese_answer_says_its_emotion_alone(form: str) -> None:
    plain = RulesLabelExtractor().extract([f"她很{word}。" for word in CHINESE])
    assert RulesLabelExtractor().extract([form.replace("WORD", word) for word in CHINESE]) == plain


OTHERS: dict[str, list[str]] = {
    "sad 4, calm 1": ["sad", "calm"],  # votes, or ranks: both words count
    "Speaker 1, Speaker 2": [],
    "> The person is sad.": ["sad"],
    "> She is sad.\n\nHer voice is low.": ["sad"],
    "The person in the video says: I am so happy!": ["happy"],
    "Series([], dtype: object)": [],
    "She felt rejected or disappointed.": ["disappointed"],  # no label "she felt rejected"
    "他和朋友一样高兴。": ["happy"],
}


@pytest.mark.parametrize(("response", "labels"), OTHERS.items())
def test_what_only_looks_like_such_a_form_is_read_as_it_was(response: str, labels: list[str]) -> None:
    assert RulesLabelExtractor().extract([response])[0] == labels
