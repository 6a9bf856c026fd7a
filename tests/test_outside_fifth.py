"""Answers as chat models, GPT and lmms-eval leave them, as a fourth new user brought them: none is read wrong in silence.

Text behind the model's own end, "isn't A or B", what is ruled out, scores and remarks beside a word above a `Reason:` line,
tables without outer bars, mixtures, and what a lack shows. The labels are what a careful reader takes.
"""

from __future__ import annotations

import pytest

from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.sentiment_strings import read_sentiment
from affect_lightning_plugins.label_extractors.rules import RulesLabelExtractor

LABELS = {
    "sad<|im_end|>\n<|im_start|>user\nHow about this one?<|im_end|>\n<|im_start|>assistant\nhappy<|im_end|>": ["sad"],
    "Emotion: sad<|endoftext|>Human: What about this clip?\nAssistant: happy": ["sad"],
    "sad</s>USER: What else?ASSISTANT: happy": ["sad"],
    "sad\nUser: and the next clip?\nAssistant: happy": ["sad"],
    "sad<end_of_turn>\n<start_of_turn>user\nnext<end_of_turn>\n<start_of_turn>model\nhappy": ["sad"],
    "sad\n\nQuestion: What about the next?\nAnswer: happy": ["sad"],
    "<|im_start|>user\nWhat is it? happy?<|im_end|>\n<|im_start|>assistant\nsad<|im_end|>": ["sad"],
    "USER: Is she happy?\nASSISTANT: sad": ["sad"],
    "ASSISTANT: sad": ["sad"],
    "[INST] Is she happy? [/INST] sad</s>": ["sad"],
    "This man isn't sad or angry, but surprised.": ["surprised"],
    "They aren't happy or excited.": [],
    "They aren't happy or excited. They are bored.": ["bored"],
    "The woman isn't angry or upset; she's worried.": ["worried"],
    "He isn't worried or afraid.": [],
    "She isn't sad, she is tired.": ["tired"],
    "This man isn't sad or angry.": [],
    "She didn't look sad or angry.": [],
    "He isn't happy or surprised, he is angry": ["angry"],
    "Emotion: Angry\n\nNot: happy, sad, neutral": ["angry"],
    "Emotion: sad\nNot happy, not angry": ["sad"],
    "Most likely emotion: sad. Least likely emotion: happy.": ["sad"],
    "Emotion: sad\nNegated: happy": ["sad"],
    "Emotion | Present\n--- | ---\nHappy | No\nSad | Yes\nAngry | No": ["sad"],
    "Emotion | Score\n--- | ---\nhappy | 0.1\nsad | 0.9": ["sad"],
    "The person in the video is most likely feeling surprised, rather than afraid.": ["surprised"],
    "The person is most likely surprised, rather than afraid.": ["surprised"],
    "The emotion differs from fear: it is surprise.": ["surprise"],
    "This could be mistaken for anger, but it is anxiety.": ["anxiety"],
    "The emotional state is sad. This is different from anger, which would show in a raised voice.": ["sad"],
    "A mixture of sadness and anger": ["sadness", "anger"],
    "A blend of joy and surprise": ["joy", "surprise"],
    "Feelings of guilt and shame": ["guilt", "shame"],
    "Mix of fear and disgust": ["fear", "disgust"],
    "Emotion: Sad, with a hint of anger\nReason: tears": ["sad", "anger"],
    "Sure! The emotions are: sad, lonely, hopeless.": ["sad", "lonely", "hopeless"],
    "The emotions are: sad, lonely, hopeless.": ["sad", "lonely", "hopeless"],
    "Sure! The emotions are: sad, lonely, anxious.": ["sad", "lonely", "anxious"],
    "Certainly! The person appears to be sad, lonely, and anxious.": ["sad", "lonely", "anxious"],
    "It's an expression of loneliness, anxiety, and sadness.": ["loneliness", "anxiety", "sadness"],
    "该人物的情绪状态为：焦虑、担忧、无助": ["anxious", "worried", "helpless"],
    "Top-3: sad (0.61), fearful (0.22), neutral (0.17)": ["sad"],
    "Top 3 emotions: 1. sad (61%) 2. fearful (22%) 3. neutral (17%)": ["sad"],
    "1. **Sad** (0.8): She cries.\n2. **Angry** (0.1): she frowns.": ["sad"],
    "Emotion: happy\nSarcasm: no": ["happy"],
    "Predicted emotion: happy. Ground truth: sad.": ["happy"],
    "Emotion: Angry (confidence: 0.92)\nReason: He raised his voice.": ["angry"],
    "Emotion: Sad (0.8)\nExplanation: She cries.": ["sad"],
    "情绪：悲伤（0.9）\n原因：他在流泪。": ["sad"],
    "Emotion: 😢 Sad\nReason: She cries.": ["sad"],
    "Answer: Sad (B)\nReason: She cries.": ["sad"],
    '{"emotion": "Sad (0.8)", "reason": "She is not happy"}': ["sad"],
    "Emotion: sad (primary), lonely (secondary)\nReason: she cries.": ["sad", "lonely"],
    "Emotion: Angry (92%)\nExplanation: She shouts.": ["angry"],
    "Emotion: Angry (high confidence)\nExplanation: She shouts.": ["angry"],
    "Emotion: Angry (score: 0.8)\nExplanation: She shouts.": ["angry"],
    "Emotion: Angry [0.8]\nExplanation: She shouts.": ["angry"],
    "**Emotion:** Sad (0.8)\n**Reason:** tears": ["sad"],
    "- Emotion: Sad (0.8)\n- Reason: tears": ["sad"],
    "Emotion: Sadness (grief)\nReason: tears": ["sadness"],
    "Emotion: Sad (negative)\nReason: tears": ["sad"],
    "Emotion: Sad – tears\nReason: tears": ["sad"],
    "Emotion: Sad - low voice\nReason: tears": ["sad"],
    "Emotion: <sad>\nReason: tears": ["sad"],
    "<answer>Emotion: Sad (0.8)\nReason: tears</answer>": ["sad"],
    "Emotions: Sad, Disappointed (moderate)\nReason: tears": ["sad", "disappointed"],
    "The lack of enthusiasm suggests boredom.": ["boredom"],
    "His low voice and the lack of eye contact suggest that he is sad.": ["sad"],
    "The absence of joy suggests sadness.": ["sadness"],
    "缺乏笑容表明她很难过。": ["sad"],
    "He isn't so much angry as disappointed.": ["disappointed"],
    "She is not so much sad as tired.": ["tired"],
    "I'm unable to identify emotions of people in images.": [],
    "The person could be happy or excited, but most likely she is nervous.": ["nervous"],
}
SENTIMENTS = {
    "Positive<|im_end|>\n<|im_start|>user\nnext?<|im_end|>\n<|im_start|>assistant\nNegative": "positive",
    "Somewhat negative, leaning towards neutral": "negative",
    "Most likely: positive. Least likely: negative.": "positive",
    "| Sentiment | Probability |\n|---|---|\n| Positive | 0.72 |\n| Neutral | 0.20 |\n| Negative | 0.08 |": "positive",
    "Positive. Not: negative, neutral": "positive",
}


@pytest.mark.parametrize(("response", "labels"), LABELS.items())
def test_labels_are_those_of_a_careful_reader(response: str, labels: list[str]) -> None:
    assert sorted(RulesLabelExtractor().extract([response])[0]) == sorted(labels)
    once = clean_response(response).text
    assert clean_response(str(once)).text == once, "cleaning again changes nothing"


@pytest.mark.parametrize(("response", "sentiment"), SENTIMENTS.items())
def test_sentiments_are_those_of_a_careful_reader(response: str, sentiment: str) -> None:
    assert read_sentiment(clean_response(response).text) == sentiment


def test_a_refusal_of_pictures_is_a_refusal() -> None:
    assert clean_response("I'm unable to identify emotions of people in images.").refused
