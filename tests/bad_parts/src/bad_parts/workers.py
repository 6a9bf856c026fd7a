"""A face detector and label extractors."""

from affect_lightning.contracts import FaceDetector, LabelExtractor


class TupleDetector(FaceDetector):
    """Gives plain numbers."""

    def detect(self, frames):
        return [[(0, 0, 5, 5, 0.9)] for _ in frames]

    def identity(self):
        return "tuples"


class TooFew(LabelExtractor):
    """Leaves the last response out."""

    def extract(self, responses):
        return [["happy"] for _ in responses][1:]

    def sentiment(self, labels):
        return ["neutral" for _ in labels]

    def identity(self):
        return "too few"


class OwnSentiments(TooFew):
    """Calls sentiments otherwise."""

    def extract(self, responses):
        return [["happy"] for _ in responses]

    def sentiment(self, labels):
        return ["good" for _ in labels]
