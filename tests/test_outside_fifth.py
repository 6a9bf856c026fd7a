"""Answers as chat models, GPT and lmms-eval leave them, as a fourth new user brought them: none is read wrong in silence.

Text behind the model's own end, "isn't A or B", what is ruled out, scores and remarks beside a word above a `Reason:` line,
tables without outer bars, mixtures, and what a lack shows. The labels are what a careful reader takes.
"""

from __future__ import annotations

import pytest

from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.sentiment_strings import read_sentiment
from affect_lightning.unibench.scoring.predictions import Prediction
from affect_lightning.unibench.scoring.set_answers import answers_of
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
    "| Modality | Observation |\n|---|---|\n| Face | smile, raised cheeks |\n| Voice | cheerful pitch |\n\n**Predicted emotion:** happy": [  # noqa: E501
        "happy"
    ],
    "| Cue | Evidence |\n|---|---|\n| Facial | frown, tight lips |\n| Vocal | raised voice |\n\nConclusion: the person is angry.": [  # noqa: E501
        "angry"
    ],
    "The person is sad.\n\n| Cue | Observation |\n|---|---|\n| Face | tears |\n| Voice | sobbing |": ["sad"],
    "| Feature | Value |\n|---|---|\n| Pitch | high |\n| Tempo | fast |\n\nEmotion: happy": ["happy"],
    "| Modality | Evidence | Indicates |\n|---|---|---|\n| Face | smile | happiness |\n| Voice | bright | happiness |\n\n**Emotion:** happiness": [  # noqa: E501
        "happiness"
    ],
    "He is tense and looks sad.": ["tense", "sad"],
    "She is shocked and appears angry.": ["shocked", "angry"],
    "nervous, sounds angry": ["nervous", "angry"],
    "tired and seems sad": ["tired", "sad"],
    "He is sad and sounds angry.": ["sad", "angry"],
    "He seems torn between anger and joy.": ["anger", "joy"],
    "angry, deep sadness": ["angry", "sadness"],
    "She is surprised, then becomes sad.": ["surprised", "sad"],
    "The emotion is one of great anger and surprise.": ["anger", "surprise"],
    "The emotion conveyed in this clip is one of deep sorrow and longing.": ["sorrow", "longing"],
    "surprise and genuine happiness": ["surprise", "happiness"],
    "overwhelming joy and surprise": ["joy", "surprise"],
    "surprise, slight worry": ["surprise", "worry"],
    "quiet sadness, nostalgia": ["sadness", "nostalgia"],
    "sad and increasingly angry": ["sad", "angry"],
    "sad, visibly angry": ["sad", "angry"],
    "Surprised and genuinely happy": ["surprised", "happy"],
    "A woman laughs; she's happy and relaxed.": ["happy", "relaxed"],
    "His expression is serious rather than angry, and his voice is happy.": ["serious", "happy"],
    "She is surprised rather than angry, and her face looks happy.": ["surprised", "happy"],
    "She is surprised and not angry, and her voice sounds happy.": ["surprised", "happy"],
    "The tone is playful instead of angry, and he is happy.": ["playful", "happy"],
    "The person is angry. My confidence is about 90%.": ["angry"],
    "The person is sad. My confidence is about 80%.": ["sad"],
    "Joy (high confidence)": ["joy"],
    "Sadness (medium confidence)": ["sadness"],
    "With moderate confidence, I would say that he is angry.": ["angry"],
    "Fear. Confidence is high.": ["fear"],
    "The person is afraid (about 85% confidence).": ["afraid"],
    "Emotion: sadness\nOther emotions considered: anger, fear": ["sadness"],
    "**Observed emotion:** Anger\n\n**Not observed:** Sadness, fear, joy": ["anger"],
    "Emotion: surprise\nLess likely: sad": ["surprise"],
    '{"emotion": "anger", "alternative_emotions": ["sadness"]}': ["anger"],
    "Confidence:\n- Anger: 85%\n- Sadness: 10%\n- Happy: 5%": ["anger"],
    "Emotion scores (0-10):\nJoy: 9\nSadness: 3\nAnger: 0": ["joy"],
    "Nothing in her voice suggests anger. She is simply sad.": ["sad"],
    "There's little evidence of happiness; sadness dominates.": ["sadness"],
    "Although he says he's happy, his tone tells that he is angry.": ["angry"],
    "开心，因为他终于不用再难过了。": ["happy"],
    "虽然他嘴上说自己很高兴，但是语气和表情显示他很生气。": ["angry"],
    "Primary emotion: joy\nEmotions not present: fear, sadness": ["joy"],
    "I wouldn't call this happiness. It's sadness.": ["sadness"],
    "Anger doesn't fit. Sadness does.": ["sadness"],
    "Despite saying that she is fine and happy, she looks sad.": ["sad"],
    "Anger: dominant\nSadness: slight\nFear: none": ["anger"],
    "Emotion: fear\nOpposite: calm": ["fear"],
    "Emotion: sad\nPossible confusion: tired, bored": ["sad"],
    "Someone might interpret her silence as anger; it is in fact sadness.": ["sadness"],
    "While her smile could indicate happiness, the tears indicate sadness.": ["sadness"],
    "He is angry. If you need an analysis of another emotion, such as fear or joy, just ask.": ["angry"],
    "I'm afraid the video is too short, but he seems happy.": ["happy"],
    "The woman is sad because she lost her beloved dog.": ["sad"],
    "情绪状态为：愤怒、不满。理由：他大声质问对方。": ["angry", "dissatisfied"],
    "He doesn't look angry, and his voice sounds happy.": ["happy"],
    "There is no anger, and the voice is calm.": ["calm"],
    "No anger is visible, and the tone is calm.": ["calm"],
    "He is not angry, and he is calm.": ["calm"],
    "The man is not sad and his bright smile shows that he is happy.": ["happy"],
    "She isn't crying, and her voice is calm.": ["calm"],
    "He is not afraid and even seems amused.": ["amused"],
    "His face shows no smile, and he sounds sad.": ["sad"],
    "Her voice lacks joy and she is sad.": ["sad"],
    "It is difficult to determine the exact emotion. The person may be sad.": ["sad"],
    "Hard to say, but I'd go with happy.": ["happy"],
    "She can no longer hide her sadness.": ["sadness"],
    "She is not angry or sad.": [],
    "He is neither happy nor sad, and his voice is calm.": ["calm"],
}
SENTIMENTS = {
    "Positive<|im_end|>\n<|im_start|>user\nnext?<|im_end|>\n<|im_start|>assistant\nNegative": "positive",
    "Somewhat negative, leaning towards neutral": "negative",
    "Most likely: positive. Least likely: negative.": "positive",
    "| Sentiment | Probability |\n|---|---|\n| Positive | 0.72 |\n| Neutral | 0.20 |\n| Negative | 0.08 |": "positive",
    "Positive. Not: negative, neutral": "positive",
}
# In a set of sentiments, what a response states counts more than the emotions in it.
STATED = {
    '{"sentiment": "positive", "emotion": "sad"}': "positive",
    '{"emotion": "happy", "sentiment": "negative"}': "negative",
    '{"sentiment": "negative", "emotions": ["amused", "sarcastic"]}': "negative",
    '{"sentiment": "positive", "emotion": "touched, sad"}': "positive",
    "Sentiment: positive\nEmotion: sad": "positive",
    "Emotion: happy\nSentiment: negative": "negative",
    "Sentiment: positive\nEmotions: sad, moved": "positive",
    "sentiment: negative, emotion: happy": "negative",
    "Polarity: negative. Emotion: joy.": "negative",
    '{"emotion":"neutral","sentiment":"positive"}': "positive",
    '{"polarity":"negative","emotion":"surprise"}': "negative",
    "The overall sentiment is positive, despite a mention of bad acting.": "positive",
    "Positive. The speaker liked the movie even though the beginning was bad.": "positive",
    "The review is positive: the speaker loved the sad ending.": "positive",
    "The speaker expresses a positive sentiment toward the horror film.": "positive",
    "This is a positive review of a sad movie.": "positive",
    "The answer is negative because the happy ending felt fake.": "negative",
    "The sentiment is clearly negative: the speaker enjoyed nothing.": "negative",
    "The sentiment expressed by the speaker is negative, although she smiles and laughs happily.": "negative",
    "Overall negative sentiment with a touch of humor and joy.": "negative",
    "Overall sentiment: positive. Some scenes are sad and scary, but the reviewer enjoyed them.": "positive",
    "She is sad that the series is over because she loved it so much. The sentiment is positive.": "positive",
    "The sentiment expressed in this video is strongly positive. The speaker says she was afraid it would be terrible, but it was not.": "positive",  # noqa: E501
    "情感为正面。他说这部电影虽然悲伤，但是很感人。": "positive",
    "情感为负面，尽管她面带微笑、语气愉快。": "negative",
    "积极。影片中的悲伤情节打动了她。": "positive",
    "The sentiment is not positive. He is sad.": "negative",
    "She is happy.": "positive",
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


def test_a_stated_sentiment_counts_more_than_an_emotion() -> None:
    predictions = [
        Prediction(str(number), "cmu-mosi", "", response, truth_labels=(), truth_sentiment=1.0)
        for number, response in enumerate(STATED)
    ]
    found = answers_of("cmu-mosi", predictions, RulesLabelExtractor(), by_sentiment=True).sentiments
    assert dict(zip(STATED, found, strict=True)) == STATED
