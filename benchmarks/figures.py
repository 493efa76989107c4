"""Rows, the figures they give, and the goals of those figures."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bench import Bench
from peers import KBROKER


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on the ratio of a figure to another peer's in the same round, or (against None) on the figure itself."""

    bound: float
    at_least: bool
    against: str | None = None

    def met_by(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


def at_least(bound: float, against: str | None = None) -> Goal:
    return Goal(bound, True, against)


def at_most(bound: float, against: str | None = None) -> Goal:
    return Goal(bound, False, against)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report: `key` of what a row measured, for `subject`, beside the other peers of the row."""

    title: str
    key: str
    unit: str
    goals: tuple[Goal, ...] = ()
    subject: str = KBROKER


@dataclass(frozen=True, slots=True)
class Row:
    """One workload.

    family    what `--rows` chooses by; rows of a family share the A/A control of the row that has one
    subjects  names of peers, measured one after the other in each round
    measure   one round of one subject; keys are those of the figures
    quick     the subjects in the quick form; empty: the row is not part of it
    rounds    in the quick and in the full form, if not the form's own
    warm_up   a first round that is not counted
    shared    uses the peers that run throughout, not processes of its own
    """

    name: str
    family: str
    subjects: tuple[str, ...]
    measure: Callable[[Bench, str], dict[str, float]]
    figures: tuple[Figure, ...]
    quick: tuple[str, ...] = ()
    rounds: tuple[int, int] | None = None
    warm_up: bool = True
    shared: bool = True

    def shortened(self) -> "Row":
        """As the quick form measures it; a row that is not part of that is left whole, for who asks for it by name."""
        if not self.quick:
            return self
        figures = tuple(figure for figure in self.figures if figure.subject in self.quick)
        return replace(self, subjects=self.quick, figures=figures)
