"""Answers of a sixth kind, each as a careful reader takes it.

A word that is said twice beside others, reasons in a list below the answer, levels and numbers in words, what is set aside
in the same sentence, words that introduce a list, and a score that a response states with its reason.
"""

from __future__ import annotations

import pytest

from affect_lightning.unibench.scoring.stated_sentiments import stated_sentiment
from affect_lightning_plugins.label_extractors.rules import RulesLabelExtractor

ANSWERS = {
    "She is sad and angry. She is sad.": ["sad", "angry"],
    "Her face looks sad, and her voice sounds sad and tired.": ["sad", "tired"],
    "She is sad. She is sad. She is angry.": ["sad", "angry"],
    "She feels anger. The emotions are anger, sadness, and fear.": ["anger", "sadness", "fear"],
    "The person appears happy. The emotions conveyed are happiness, excitement, and gratitude.": [
        "happy",
        "happiness",
        "excitement",
        "gratitude",
    ],
    "The emotions in this clip are surprise, joy, and excitement. The surprise and joy are clear from her face.": [
        "surprise",
        "joy",
        "excitement",
    ],
    "- Face: sadness\n- Voice: sadness, fear\n- Text: anger": ["sadness", "fear", "anger"],
    "The most prominent emotion is sadness. There is also a hint of fear. The sadness is clear in her voice.": [
        "sadness",
        "fear",
    ],
    "他很生气。他的情绪是生气、难过和害怕。": ["angry", "sad", "afraid"],
    "她很难过。她很难过也很生气。": ["sad", "angry"],
    "The man in the video appears to be angry. Here is why:\n"
    "1. His brows are furrowed\n2. His voice is loud and tense\n3. He slams the table": ["angry"],
    "The dominant emotion appears to be happiness. The reasons are:\n"
    "\n1. **Smile**: a wide smile\n2. **Voice**: excited, high pitch\n3. **Posture**: relaxed": ["happiness"],
    "The person in the video feels sad, as evidenced by:\n"
    "1. Tears in the eyes\n2. A trembling, fearful voice\n3. No smile or joy": ["sad"],
    "He is surprised rather than scared, and a little amused.": ["surprised", "amused"],
    "She is disappointed rather than angry, and worried about the future.": ["disappointed", "worried"],
    "Sadness: moderate; Anger: mild; Happiness: none; Fear: none": ["sadness", "anger"],
    "Happiness: none; Sadness: severe; Anger: none": ["sadness"],
    "Anger: moderate\nContempt: mild\nHappiness: none": ["anger", "contempt"],
    "| Emotion | Level |\n|---|---|\n| Joy | None |\n| Anger | Moderate |\n| Sadness | Mild |": ["anger", "sadness"],
    "- Anger: not present\n- Happiness: not observed\n- Sadness: clearly visible": ["sadness"],
    "Joy: N/A\nSadness: 80%\nAnger: N/A": ["sadness"],
    "joy 0/5, anger 4/5": ["anger"],
    "Joy: 0. Anger: 4. Fear: 1.": ["anger"],
    "anger (score: 4), sadness (score: 1), joy (score: 0)": ["anger"],
    "angry (confidence: 70%), sad (confidence: 20%), neutral (confidence: 10%)": ["angry"],
    "I'd say 70% anger and 30% sadness.": ["anger"],
    "The model predicts anger with probability 0.85, sadness with probability 0.10, joy with probability 0.05.": [
        "anger"
    ],
    "Fear with 62% confidence, surprise with 21% confidence.": ["fear"],
    "On a scale of 1-7: happiness 2, sadness 6, anger 5, fear 1.": ["sadness", "anger"],
    "愤怒：不明显；悲伤：明显；恐惧：无": ["sad"],
    "开心指数2/10，难过指数8/10": ["sad"],
    "Emotion intensities — anger: very high; sadness: low; happiness: none.": ["anger"],
    "angry (70% confident)": ["angry"],
    "sadness [high], anger [low]": ["sadness"],
    "Looking at her smile, this shouldn't be read as genuine happiness. She is sad.": ["sad"],
    "I considered anger, but the voice is too soft for that. He is sad.": ["sad"],
    "While some may interpret this as sadness, the context suggests exhaustion.": ["exhaustion"],
    "It may seem that she's angry, but she is amused.": ["amused"],
    "Her state is closer to disappointment than to anger.": ["disappointment"],
    "It is less about anger and more about hurt.": ["hurt"],
    "There's little joy left in his voice. He is sad.": ["sad"],
    "乍一看像是愤怒，但仔细看其实是着急。": ["anxious"],
    "几乎看不到快乐，只有悲伤": ["sad"],
    "She wants her mother to be happy, and is worried.": ["worried"],
    "The woman is worried that he might be angry.": ["worried"],
    "He accuses him of being jealous and sounds furious.": ["furious"],
    "He is calm, trying to make the sad girl laugh.": ["calm"],
    "The song in the background is melancholic, while he is cheerful.": ["cheerful"],
    "He sits in an empty, cold room. He looks depressed.": ["depressed"],
    "The person is sad. Please note that I'm happy to look at other clips.": ["sad"],
    "The person's happiness seems genuine, not forced.": ["happiness"],
    "She expresses her love and joy.": ["love", "joy"],
    "She feels a range of emotions, such as sadness and anger.": ["sadness", "anger"],
    "The man feels emotions like anger or sadness.": ["anger", "sadness"],
    "The person feels a mix of emotions, including sadness, frustration, and disappointment.": [
        "sadness",
        "frustration",
        "disappointment",
    ],
    "The person feels emotions of joy and pride.": ["joy", "pride"],
    "He feels a lot of emotions, mainly sadness.": ["sadness"],
    "He sounds upset and his voice trembles.": ["upset"],
    "emotions such as anger, frustration": ["anger", "frustration"],
    "a range of emotions such as sadness.": ["sadness"],
    "1. Anger (confidence: 0.75)\n2. Disgust (confidence: 0.15)\n3. Sadness (confidence: 0.05)": ["anger"],
    "**Anger**: 75% confidence\n**Sadness**: 20% confidence": ["anger"],
    "The man, without saying a word, shows contempt and disgust.": ["contempt", "disgust"],
    "Without hesitation, she expresses her love and joy.": ["love", "joy"],
    "He barely contains his rage.": ["rage"],
    "She barely reacts, appearing indifferent.": ["indifferent"],
    "The expression is one of concern rather than anger, combined with a bit of sadness.": ["concern", "sadness"],
    "I love this film.": [],
    "He is sad without showing anger, fear or surprise.": ["sad"],
    "The person feels happy. <script>alert(1)</script>": ["happy"],
    "The person feels happy. See figure (2)": ["happy"],
}
SENTIMENTS = {
    "**Sentiment Score:** 1.8\n\n**Explanation:** She is scared during the film but loved it.": "positive",
    "sentiment_score: 0.5\nreason: The speaker was angry at first, but then praises the service.": "positive",
    "I would give a sentiment score of 0.5. The speaker is annoyed by the length but enjoys the film.": "positive",
    "The sentiment score is -0.4, as the speaker is only happy about leaving early.": "negative",
    "0.6. The speaker says the film is sad but beautiful.": "positive",
    "0.4 (slightly positive, despite the complaint)": "positive",
    "得分：0.3。理由：说话人抱怨交通，但语气幽默。": "positive",
    "The sentiment score, ranging from -1 (most negative) to 1 (most positive), is 0.7.": "positive",
    "I assign a sentiment score of 0.2, where -1 is very negative and 1 is very positive.": "positive",
    "Sentiment: 2 (very negative = 1, very positive = 5)": "negative",
    "On a scale of 1-7 the sentiment is 2.": "negative",
    "sentiment score of 3 out of 5": None,
    "between 0.2 and 0.4": None,
    "Text sentiment: 0.5\nAudio sentiment: 0.2\nVisual sentiment: -0.4\nMultimodal sentiment: 0.3": None,
}


@pytest.mark.parametrize("response", ANSWERS)
def test_the_labels_are_those_of_a_careful_reader(response: str) -> None:
    assert RulesLabelExtractor().extract([response])[0] == ANSWERS[response]


@pytest.mark.parametrize("response", SENTIMENTS)
def test_a_stated_score_counts_more_than_its_reason(response: str) -> None:
    """A stated score of one sign; several scores, or a scale that is not told, are left to the other rules."""
    assert stated_sentiment(response) == SENTIMENTS[response]
