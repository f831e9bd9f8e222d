"""The file of rules of a running service, which is read again when it changes."""

from dataclasses import dataclass, field
from pathlib import Path

from segue.errors import ParameterError
from segue.serving.catalogue.rules import Rules
from segue.storage import identity


@dataclass(eq=False)
class RulesFile:
    """A file of rules that is read again when it changes. If it is wrong then, the old rules stay.

    Attributes:
        path: the file; None has no rules.
        rules: the rules that are in use.
        loaded: milliseconds since 1970 when they were read.
        problem: why the file as it is now is not in use.
    """

    path: Path | None
    rules: Rules = field(default_factory=Rules)
    loaded: int | None = None
    problem: str | None = None
    _seen: tuple[int, ...] | None = None

    def refresh(self, now: int, *, force: bool = False) -> bool:
        """Read the file if it has changed; return whether there are other rules now.

        Args:
            now: milliseconds since 1970.
            force: read it even if it seems to be the same.
        """
        if self.path is None or ((seen := identity(self.path)) == self._seen and not force):
            return False
        self._seen = seen
        try:
            rules = Rules.read(self.path)
        except ParameterError as error:
            self.problem = str(error)
            return False
        changed, self.problem = rules.version != self.rules.version or self.loaded is None, None
        self.rules, self.loaded = rules, now
        return changed
