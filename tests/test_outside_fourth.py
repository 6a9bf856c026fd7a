"""Feelings that are kept back, taken back, denied, somebody else's or of another time, read by the plugin `rules`.

Inputs as they came from models and from readers who tried to mislead the rules. The labels are what a careful reader takes.
"""

from __future__ import annotations

import pytest

from affect_lightning.prompting.cleaning import clean_response
from affect_lightning_plugins.label_extractors.rules import RulesLabelExtractor

RESPONSES = {
    "She cannot hide her joy.": ["joy"],
    "She is unable to hide her sadness.": ["sadness"],
    "She doesn't hide her anger.": ["anger"],
    "He fails to hide his anger.": ["anger"],
    "He cannot conceal his fear.": ["fear"],
    "She barely conceals her anger.": ["anger"],
    "He can't contain his excitement.": ["excitement"],
    "He can hardly contain his excitement.": ["excitement"],
    "He can't control his anger.": ["anger"],
    "She can't hold back her joy.": ["joy"],
    "He could not suppress his rage.": ["rage"],
    "He can't get over his grief.": ["grief"],
    "She has never been so angry.": ["angry"],
    "He has never felt so sad.": ["sad"],
    "I have never seen anyone so furious.": ["furious"],
    "He could not be more excited.": ["excited"],
    "She can't believe how happy she is.": ["happy"],
    "No one can miss how sad he is.": ["sad"],
    "He doesn't understand why he is sad.": ["sad"],
    "He doesn't deny being angry.": ["angry"],
    "I don't doubt she is sad.": ["sad"],
    "She isn't only sad.": ["sad"],
    "There is hardly any anger, mostly fear.": ["fear"],
    "Instead of joy, there's fear.": ["fear"],
    "Nothing suggests he is angry. He seems amused.": ["amused"],
    "There's nothing to suggest she is sad. She seems excited.": ["excited"],
    "Nothing indicates that he is angry; he looks calm.": ["calm"],
    "He is sad, but not angry or afraid.": ["sad"],
    "sad, but not angry or scared": ["sad"],
    "not angry or scared, but sad": ["sad"],
    "The person is sad. Other emotions such as anger or joy are not observed.": ["sad"],
    "The person is sad. No other emotions (e.g. anger, joy) were detected.": ["sad"],
    "The person is 'happy'? No, the person is 'sad'.": ["sad"],
    "Happy? Not at all. He is miserable.": ["miserable"],
    "I wouldn't say he is happy. He's sad.": ["sad"],
    "not_sad": [],
    "no_anger, joy": ["joy"],
    "He is less than pleased: annoyed.": ["annoyed"],
    "He refuses to be sad. He's cheerful.": ["cheerful"],
    "Sadly, no emotion can be seen.": [],
    "Sadly, the face is not visible.": [],
    "The emotion is 开心 not 难过.": ["happy"],
    "不能说他高兴，他很难过。": ["sad"],
    "表面平静，内心愤怒。": ["angry"],
    "她从来没有这么高兴过。": ["happy"],
    "他没有掩饰自己的愤怒。": ["angry"],
    "无法抑制的喜悦": ["happy"],
    "happy... no wait, sad": ["sad"],
    "Happy. No, sad.": ["sad"],
    "happy -> no, sad": ["sad"],
    "Happy, no, sad.": ["sad"],
    "Emotion: happy. No wait. Emotion: sad": ["sad"],
    "I'd say happy. Hmm, actually sad.": ["sad"],
    "I first thought happy. But no. Sad.": ["sad"],
    "Initially I thought anger, but on closer look it's fear.": ["fear"],
    "Final answer: sad. (My first guess was happy.)": ["sad"],
    "I can't say she is angry. She is disappointed.": ["disappointed"],
    "I cannot say that he is happy; he is sad.": ["sad"],
    "I can't tell if she is happy. She might be nervous.": ["nervous"],
    "Although the interviewer seems annoyed, the woman answers cheerfully.": ["cheerfully"],
    "While others are laughing happily, she is lonely.": ["lonely"],
    "The listener looks bored, whereas the speaker is excited.": ["excited"],
    "The dog is happy. The owner is sad.": ["sad"],
    "主持人很开心，但说话人很紧张。": ["nervous"],
    "She was happy a minute ago; now she is crying with sorrow.": ["sorrow"],
    "Before the news she was cheerful. Afterwards she is heartbroken.": ["heartbroken"],
    "Usually he is cheerful, but here he is sad.": ["sad"],
    "He is normally calm; today he is furious.": ["furious"],
    "Soon he will be happy. He is sad.": ["sad"],
    "Had he won, he would be happy. He is sad.": ["sad"],
    "刚才还很高兴，现在很悲伤。": ["sad"],
    "One might assume he is angry; in fact, he is joking and amused.": ["amused"],
    "This would make anyone angry, yet she stays calm.": ["calm"],
    "He wishes everyone a Happy New Year in a tired voice.": ["tired"],
    "I'm sorry to hear that. The person is sad.": ["sad"],
    "Hopefully this helps. Emotion: anger.": ["anger"],
    "The furrowed brows suggest worry. Final: angry": ["angry"],
    "The tone suggests anger.\nThe person is sad.": ["anger", "sad"],
    "The trembling voice suggests fear. The man is sad.": ["fear", "sad"],
    "The smile suggests that she is happy. However, her tears indicate that she is sad.": ["happy", "sad"],
    "His smile suggests that he is happy. He is also proud.": ["happy", "proud"],
    "Her crossed arms suggest anger. Her words show disappointment.": ["anger", "disappointment"],
    "语气表明他愤怒。他很难过。": ["angry", "sad"],
    "Step 1: The smile suggests happy.\nStep 2: The tears suggest otherwise.\nFinal: sad": ["sad"],
    "He looks calm. Wait, no one is happy.": ["calm"],
    "She says no, and is sad.": ["sad"],
    "lack_of_interest, sad": ["lack of interest", "sad"],
    "She has never been happier.": ["happier"],
    "He could not be sadder.": ["sadder"],
    "She is not happier than before.": [],
    "She never stops being angry.": ["angry"],
    "She does not stop being angry.": ["angry"],
    "She stopped being angry.": [],
    "He denies being angry. He is calm.": ["calm"],
    "He thinks that she is angry. He is worried.": ["worried"],
    "The woman believes he is angry, and she is afraid.": ["afraid"],
    "She thinks she is lucky and happy.": ["lucky", "happy"],
    "There are no signs of anger, sadness, or fear; the speaker is simply content.": ["content"],
    "She seems quite content with the result.": ["content"],
    "I'm content.": ["content"],
    "The main content is sad.": ["sad"],
    "What she says is about the content of the talk. She is calm.": ["calm"],
    "他很sad，不是happy": ["sad"],
    "不是angry，而是sad": ["sad"],
    "他不sad，很happy": ["happy"],
    "他担心妈妈会生气。": ["worried"],
}


@pytest.mark.parametrize(("response", "labels"), RESPONSES.items())
def test_a_careful_reader_takes_these_labels(response: str, labels: list[str]) -> None:
    assert sorted(RulesLabelExtractor().extract([response])[0]) == sorted(labels)
    once = clean_response(response).text
    assert clean_response(str(once)).text == once, "cleaning again changes nothing"


def test_what_follows_a_conclusion_counts_for_sentiments_too() -> None:
    rules = RulesLabelExtractor()
    pairs = {
        "The words suggest happiness. The sentiment is negative.": "negative",
        "She cannot hide her joy.": "positive",
        "I can't say it is positive. It is negative.": "negative",
    }
    assert rules.sentiment(rules.extract(list(pairs))) == list(pairs.values())
