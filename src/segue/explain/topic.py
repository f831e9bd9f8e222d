"""What an explanation consists of, and how it is written as Markdown."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from inspect import cleandoc

from pydantic import BaseModel

from segue.errors import ParameterError
from segue.markdown import section, table
from segue.parameters import Parameter, describe, typed

_LONGEST_DEFAULT = 30
"""Characters of a default that are shown."""


@dataclass(frozen=True)
class Topic:
    """An explanation.

    Attributes:
        name: the name on the command line.
        title: the heading.
        idea: what it is and why it is done.
        formula: equations in plain text.
        guide: which of several methods to use, or what its parameters mean, as Markdown; may be empty.
        example: computes a worked example with the functions that training and evaluation use; returns Markdown.
        options: the parameters that control it, each with its section first: ``sasrec.dropout``.
        pitfall: the mistake that is made most often.
        sources: where it comes from.
        pages: pages of the docs on it, such as ``metrics.md``, relative to the folder of the docs.
        also: other names that lead to it.
    """

    name: str
    title: str
    idea: str
    formula: str
    example: Callable[[], str]
    options: tuple[str, ...]
    pitfall: str
    sources: tuple[str, ...]
    guide: str = ""
    pages: tuple[str, ...] = ()
    also: tuple[str, ...] = field(default=())

    def markdown(self, level: int = 1, link: Callable[[str], str] = "`docs/{}`".format) -> str:
        """Return the explanation as Markdown; the example is computed now.

        Args:
            level: level of its heading.
            link: how a page of the docs is written.
        """
        rows = [_option_row(name) for name in self.options]
        lines = [
            f"{'#' * level} {self.title}\n",
            cleandoc(self.idea) + "\n",
            f"```text\n{cleandoc(self.formula)}\n```\n",
            *section("Which to use, and when", cleandoc(self.guide), level + 1),
            *section("Worked example", self.example(), level + 1),
            *section("Options", table(["option and default", "meaning"], rows, numbers=False), level + 1),
            *section("Pitfall", cleandoc(self.pitfall), level + 1),
            *section("Source" if len(self.sources) == 1 else "Sources", self.sources, level + 1),
            *section("Further reading", map(link, self.pages), level + 1),
        ]
        return "\n".join(lines).rstrip() + "\n"

    def to_dict(self) -> dict[str, object]:
        """Return the explanation as values for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "idea": cleandoc(self.idea),
            "formula": cleandoc(self.formula),
            "guide": cleandoc(self.guide),
            "example": self.example(),
            "options": list(self.options),
            "pitfall": cleandoc(self.pitfall),
            "sources": list(self.sources),
            "pages": list(self.pages),
        }


@dataclass(frozen=True)
class Chapter:
    """Topics that are read together, on one page of the docs.

    Attributes:
        name: of the page.
        title: its heading.
        topics: in the order of reading.
    """

    name: str
    title: str
    topics: tuple[Topic, ...]


def option_settings(option: str) -> list[str]:
    """Return what is typed to set an option to its default; first the kind of its section, where the default has none.

    Args:
        option: the option with its section first, such as ``sasrec.training.loss.n_samples``.

    Raises:
        ParameterError: it is not declared.
    """
    found, command = _declared(option)
    value = found.default
    shown = ",".join(f"{one:g}" for one in value) if command and isinstance(value, tuple) else typed(value)
    shown = shown if len(shown) <= _LONGEST_DEFAULT else "..."
    if command:
        return [f"{command} --{found.name.replace('_', '-')} {shown}"]
    owner = option.rpartition(".")[0]
    kind = _declared(owner)[0].default if found.kinds else None
    needed = [f"--set {owner}={found.kinds[0]}"] if found.kinds and kind not in found.kinds else []
    return [*needed, f"--set {option}={shown}"]


def _option_row(option: str) -> tuple[str, str]:
    """Return how an option is set to its default, and what it means, as its declaration says."""
    return f"`{' '.join(option_settings(option))}`", _declared(option)[0].description


def _declared(option: str) -> tuple[Parameter, str]:
    """Return the declaration of an option, and the command that has it; empty for ``--set``."""
    section_name, _, name = option.partition(".")
    config, command = _declaration(section_name)
    found = next((one for one in describe(config) if one.name == name), None)
    if found is None:
        raise ParameterError(f"option '{option}': is not declared; segue models {section_name} lists the parameters")
    return found, command


def _declaration(section_name: str) -> tuple[type[BaseModel], str]:
    """Return the configuration of a section, and the command whose options it declares; empty for ``--set``."""
    match section_name:
        case "protocol":
            from segue.protocols.protocol import Protocol

            return Protocol, ""
        case "distillation":
            from segue.training.config import Distillation

            return Distillation, ""
        case "plot":
            from segue.embeddings.options import PlotOptions

            return PlotOptions, "segue plot"
        case "run":
            from segue.experiment.config import RunConfig

            return RunConfig, "segue run"
        case _:
            from segue.models.registry import model_class

            return model_class(section_name).Config, ""


def decimals(values: Iterable[float], places: int = 4) -> list[str]:
    """Return numbers as the cells of a table; no negative zero."""
    return [f"{value + 0.0:.{places}f}".replace("-0." + "0" * places, "0." + "0" * places) for value in values]
