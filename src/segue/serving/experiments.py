"""The experiment of a service: which model answers a request, and what the journal keeps of it."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from segue.errors import ParameterError
from segue.online.arms import Split, read_experiment
from segue.online.interleaving import team_draft
from segue.serving.journal import Exposure
from segue.serving.schema.answers import ListedItem
from segue.serving.schema.messages import RecommendRequest
from segue.serving.settings import ServeSettings
from segue.storage import identity

if TYPE_CHECKING:
    from segue.serving.engine import Ranker
    from segue.serving.models import ModelSet

logger = logging.getLogger(__name__)


class Part(NamedTuple):
    """The part that a request takes in an experiment.

    Attributes:
        split: the experiment.
        arm: the arm that answers; None if there is none, or two are interleaved.
        interleaved: the two arms that are interleaved; empty if they are not.
        unit: session, or hash of the user, that the arm was drawn for.
        user: hash of the user; None if the request names none.
        forced: whether the request names a model, and takes no part.
        bot: whether the request says that no person sees the answer.
    """

    split: Split
    arm: str | None = None
    interleaved: tuple[str, ...] = ()
    unit: str | None = None
    user: str | None = None
    forced: bool = False
    bot: bool = False

    def rankers(self, models: "ModelSet", named: str | None) -> "list[Ranker]":
        """Return the models that answer: that of the arm, or those of two arms.

        Where the model of an arm is not loaded, the default model answers, and the session stays in its arm.

        Args:
            models: the models in service.
            named: model that the request names.

        Raises:
            Refused: see ``ModelSet.ranker``.
        """
        arms = self.interleaved or (() if self.arm is None else (self.arm,))
        found = [models.rankers.get(self.split.experiment.arms[arm].model) for arm in arms] or [models.ranker(named)]
        return [one or models.ranker(None) for one in found]

    def merge(self, first: Sequence[ListedItem], second: Sequence[ListedItem], k: int, seed: str) -> list[ListedItem]:
        """Interleave the lists of the two arms."""
        lists = (first, second)
        merged = []
        for team, place in team_draft([one.item for one in first], [one.item for one in second], k, seed):
            item = lists[team][place]
            item.arm = self.interleaved[team]
            merged.append(item)
        return merged

    def noted(self, exposure: Exposure, items: Sequence[ListedItem]) -> Exposure:
        """Return an exposure with what the journal keeps of the experiment."""
        arms = [one.arm or "" for one in items] if self.interleaved else None
        return structs.replace(
            exposure,
            scores=[one.score for one in items],
            experiment=self.split.experiment.name,
            plan=self.split.plan,
            arm=self.arm,
            unit=self.unit,
            user=self.user,
            forced=self.forced,
            bot=self.bot,
            arms=arms,
        )


class Experiments:
    """The experiment that a file declares: read at the start, and again when the file changes. A wrong file is refused
    and the experiment before it goes on.

    Args:
        file: the file.
        models: names of the models in service.

    Attributes:
        split: the experiment.
        problem: why the file was refused; None if it was not.

    Raises:
        ParameterError: the file is wrong.
    """  # noqa: D205

    def __init__(self, file: Path, models: Sequence[str]) -> None:
        self.file, self._models = file, list(models)
        self.problem: str | None = None
        self._seen = identity(file)
        self.split = Split(read_experiment(file, self._models))

    def reload(self) -> None:
        """Read the file again if it was changed; called outside of the event loop."""
        found = identity(self.file)
        if found == self._seen:
            return
        self._seen = found
        try:
            self.split = Split(read_experiment(self.file, self._models))
        except ParameterError as error:
            self.problem = str(error)
            logger.error("the experiment was not loaded: %s", error)
            return
        self.problem = None
        logger.info("the experiment %s was loaded: %s", self.split.experiment.name, self.split.plan)

    def part_of(self, request: RecommendRequest, pseudonym: Callable[[str], str]) -> Part | None:
        """Return the part that a request takes; None without consent, which leaves no trace.

        Args:
            request: the request.
            pseudonym: keyed hash of the id of a user.
        """
        if not request.consent:
            return None
        split = self.split
        named = None if request.user_id is None else str(request.user_id)
        user = None if named is None else pseudonym(named)
        if request.model is not None:
            return Part(split, user=user, forced=True, bot=request.bot)
        experiment = split.experiment
        if experiment.unit == "user":
            drawn, unit = named, user
        else:
            drawn = unit = None if request.session_id is None else str(request.session_id)
        if drawn is None:
            return Part(split, user=user, bot=request.bot)
        if experiment.interleave:
            return Part(split, None, tuple(experiment.arms), unit, user, bot=request.bot)
        return Part(split, split.arm_of(drawn), (), unit, user, bot=request.bot)


def experiments_of(settings: ServeSettings) -> Experiments | None:
    """Return the experiment of the settings; None if there is none.

    Raises:
        ParameterError: its file is wrong, or the journal, from which it is reported, is not kept.
    """
    if settings.experiment is None:
        return None
    if not settings.journal:
        raise ParameterError("--experiment: needs the journal, which segue experiment reads; remove --no-journal")
    return Experiments(settings.experiment, list(settings.models))
