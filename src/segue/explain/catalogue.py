"""All topics by name."""

from segue.errors import UnknownNameError
from segue.explain import counts, data, diagnosis, evaluation, losses, networks, training, vectors
from segue.explain.topic import Chapter, Topic

CHAPTERS: tuple[Chapter, ...] = (
    data.CHAPTER,
    counts.CHAPTER,
    networks.CHAPTER,
    losses.CHAPTER,
    training.CHAPTER,
    evaluation.CHAPTER,
    diagnosis.CHAPTER,
    vectors.CHAPTER,
)
"""The chapters in the order of reading."""

TOPICS: dict[str, Topic] = {topic.name: topic for chapter in CHAPTERS for topic in chapter.topics}
"""The topics by name."""


def find(name: str) -> Topic:
    """Return a topic by its name, or by another name that leads to it.

    Raises:
        UnknownNameError: there is no such topic.
    """
    wanted = name.lower().replace(" ", "-").replace("_", "-")
    for topic in TOPICS.values():
        if wanted in (topic.name, *topic.also):
            return topic
    raise UnknownNameError("topic", name, TOPICS)
