"""From samples to the lines of a report: medians and ranges, ratios within rounds, goals, what makes a row noisy."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from figures import Figure, Goal
from peers import AGAIN, KBROKER
from rounds import Measured

NOISY_CORES = 0.5  # busy with something else, before or during a round
CONTROL_RANGE = (0.9, 1.1)  # what the median ratio of kbroker to itself may be
CONTROL_SPREAD = 0.3  # and how far its rounds may lie apart


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and range over rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        listed = list(values)
        return cls(median(listed), min(listed), max(listed))

    @property
    def relative(self) -> float:
        return (self.high - self.low) / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A goal and what was found; `value` None: it could not be judged, which is not a pass."""

    goal: Goal
    value: Spread | None

    @property
    def met(self) -> bool:
        return self.value is not None and self.goal.met_by(self.value.median)


@dataclass(slots=True)
class Line:
    """One figure of one row, judged."""

    figure: Figure
    row: str
    family: str
    values: dict[str, Spread]
    ratios: dict[str, Spread]
    outcomes: list[Outcome]
    absent: dict[str, str]
    failed: dict[str, str]
    noise: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """met, missed, noisy (with what it would be), absent, failed, or nothing where there is no goal."""
        if self.figure.subject not in self.values:
            return "failed" if self.figure.subject in self.failed else "absent"
        plain = self._without_noise()
        if not self.noise:
            return plain
        return f"noisy ({plain})" if plain else "noisy"

    def _without_noise(self) -> str:
        judged = [outcome for outcome in self.outcomes if outcome.value is not None]
        if any(not outcome.met for outcome in judged):
            return "missed"
        if len(judged) < len(self.outcomes):
            return "met, peer absent" if judged else "peer absent"
        return "met" if judged else ""


@dataclass(frozen=True, slots=True)
class Control:
    """kbroker measured against a second kbroker of the same settings, by the first figure of a row."""

    row: str
    family: str
    ratio: Spread

    @property
    def steady(self) -> bool:
        low, high = CONTROL_RANGE
        return low <= self.ratio.median <= high and self.ratio.relative < CONTROL_SPREAD


def controls(rows: list[Measured]) -> list[Control]:
    found = []
    for measured in rows:
        ratio = _ratio(measured, measured.row.figures[0].key, AGAIN, KBROKER)
        if ratio is not None:
            found.append(Control(measured.row.name, measured.row.family, ratio))
    return found


def lines(rows: list[Measured]) -> list[Line]:
    unsteady = {control.family for control in controls(rows) if not control.steady}
    judged = []
    for measured in rows:
        noise = _noise(measured)
        if measured.row.family in unsteady:
            noise.append("A/A control")
        judged += [_line(measured, figure, noise) for figure in measured.row.figures if _in_this_form(measured, figure)]
    return judged


def _in_this_form(measured: Measured, figure: Figure) -> bool:
    """False for a figure that a shorter form of the row leaves out for everybody."""
    samples = [sample for listed in measured.samples.values() for sample in listed]
    return not samples or any(figure.key in sample.values for sample in samples)


def _line(measured: Measured, figure: Figure, noise: list[str]) -> Line:
    subject, key = figure.subject, figure.key
    values = {
        name: Spread.of(sample.values[key] for sample in samples)
        for name, samples in measured.samples.items()
        if all(key in sample.values for sample in samples)
    }
    ratios = {}
    for name in values:
        if name != subject and (ratio := _ratio(measured, key, subject, name)) is not None:
            ratios[name] = ratio
    outcomes = [
        Outcome(goal, values.get(subject) if goal.against is None else ratios.get(goal.against))
        for goal in figure.goals
    ]
    row = measured.row
    return Line(figure, row.name, row.family, values, ratios, outcomes, measured.absent, measured.failed, list(noise))


def _ratio(measured: Measured, key: str, of: str, to: str) -> Spread | None:
    """The ratio within each round, so that what slows a whole round down cancels out."""
    pairs = zip(measured.samples.get(of, ()), measured.samples.get(to, ()), strict=False)
    found = [
        one.values[key] / other.values[key]
        for one, other in pairs
        if key in one.values and other.values.get(key, 0.0) > 0
    ]
    return Spread.of(found) if found else None


def _noise(measured: Measured) -> list[str]:
    samples = [sample for listed in measured.samples.values() for sample in listed]
    before = max((sample.busy_before for sample in samples), default=0.0)
    during = max((sample.foreign_cores for sample in samples), default=0.0)
    noise = []
    if before >= NOISY_CORES:
        noise.append(f"load {before:.1f} before a round")
    if during >= NOISY_CORES:
        noise.append(f"{during:.1f} cores busy elsewhere")
    return noise
