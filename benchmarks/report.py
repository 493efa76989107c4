"""The report: one Markdown table and the same as JSON, with every sample."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from figures import Goal
from peers import AGAIN, APACHE, KFAKE, KINDS, SYNCED
from rounds import Measured
from verdicts import CONTROL_RANGE, CONTROL_SPREAD, Control, Line, Outcome, Spread, controls, lines

BEGIN, END = "<!-- last full run -->", "<!-- end of last full run -->"
SHORT = {APACHE: "Kafka", KFAKE: "kfake", SYNCED: "synced", "kbroker": "own relaxed"}


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how the run was made."""

    date: str
    form: str
    command: str
    machine: str
    versions: str
    load_average: float
    minutes: float


def markdown(setting: Setting, rows: list[Measured]) -> str:
    judged = lines(rows)
    return "\n".join(
        [
            f"Run of {setting.date}, {setting.form} form, {setting.minutes:.0f} minutes.",
            f"Load average at the start: {setting.load_average:.2f}.",
            f"{setting.machine}; {setting.versions}.",
            "",
            f"    {setting.command}",
            "",
            *_commands(rows),
            _summary(judged),
            "",
            "| workload | unit | kbroker | Apache Kafka | ratio | kfake | ratio | goal | verdict |",
            "|---|---|---:|---:|---:|---:|---:|---|---|",
            *(_table_line(line) for line in judged),
            "",
            *_controls(controls(rows)),
            *_reasons(rows),
        ]
    )


def write(folder: Path, setting: Setting, rows: list[Measured]) -> str:
    """Writes report.md and report.json into the folder, and returns the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(setting, rows)
    (folder / "report.md").write_text(text + "\n")
    (folder / "report.json").write_text(json.dumps(_as_json(setting, rows), indent=1) + "\n")
    return text


def write_into_readme(readme: Path, text: str) -> None:
    """Replaces what stands between the two marks. Raises ValueError if they are missing."""
    whole = readme.read_text()
    head, begin, rest = whole.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{readme.name} has no section between {BEGIN} and {END}")
    readme.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")


# -- the table ------------------------------------------------------------------------------------------


def _table_line(line: Line) -> str:
    cells = [
        line.figure.title,
        line.figure.unit,
        _value(line, line.figure.subject),
        _value(line, APACHE),
        _ratio(line, APACHE),
        _value(line, KFAKE),
        _ratio(line, KFAKE),
        "; ".join(_outcome(outcome) for outcome in line.outcomes),
        line.verdict + (": " + ", ".join(line.noise) if line.verdict.startswith("noisy") else ""),
    ]
    return f"| {' | '.join(cells)} |"


def _value(line: Line, name: str) -> str:
    if name in line.values:
        spread = line.values[name]
        if spread.low == spread.high:
            return _number(spread.median)
        return f"{_number(spread.median)} ({_number(spread.low)} to {_number(spread.high)})"
    if name in line.failed:
        return "failed"
    return "absent" if name in line.absent else ""


def _ratio(line: Line, name: str) -> str:
    return _range(line.ratios[name]) if name in line.ratios else ""


def _range(ratio: Spread) -> str:
    if ratio.low == ratio.high:
        return f"{ratio.median:.2f}"
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _outcome(outcome: Outcome) -> str:
    text = _goal(outcome.goal)
    if outcome.value is None:
        return f"{text}: not measured"
    if outcome.goal.against not in (None, APACHE, KFAKE):
        text += f": {_range(outcome.value)}"
    if not outcome.met:
        return f"**{text}: missed**"
    worst = outcome.value.low if outcome.goal.at_least else outcome.value.high
    return text if outcome.goal.met_by(worst) else f"{text} (not in every round)"


def _goal(goal: Goal) -> str:
    sign = "≥" if goal.at_least else "≤"
    return f"{sign} {goal.bound:g}" + (f"x {SHORT[goal.against]}" if goal.against else "")


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


# -- around the table ------------------------------------------------------------------------------------------


def _commands(rows: list[Measured]) -> list[str]:
    """How each kind of peer that took part was started."""
    seen = {KINDS[name].command: None for measured in rows for name in measured.samples}
    return [*(f"    {command}" for command in seen), ""]


def _summary(judged: list[Line]) -> str:
    verdicts = [line.verdict for line in judged if line.outcomes]
    met = sum(verdict.startswith("met") for verdict in verdicts)
    missed = sum(verdict == "missed" for verdict in verdicts)
    noisy = sum(verdict.startswith("noisy") for verdict in verdicts)
    return (
        f"Of {len(verdicts)} lines with a goal {met} meet it, {missed} miss it, {noisy} were too noisy to say, "
        f"{len(verdicts) - met - missed - noisy} could not be judged."
    )


def _controls(found: list[Control]) -> list[str]:
    low, high = CONTROL_RANGE
    listed = [
        f"- {control.row}: {_range(control.ratio)}, {'steady' if control.steady else 'NOT STEADY'}" for control in found
    ]
    if not listed:
        return []
    heading = (
        f"A/A control ({KINDS[AGAIN].title}, against the first; median within {low:g} to {high:g}, spread below "
        f"{CONTROL_SPREAD:.0%}):"
    )
    return [heading, "", *listed, ""]


def _reasons(rows: list[Measured]) -> list[str]:
    """Why figures are missing; each reason once."""
    absent = {f"- {KINDS[name].title} is absent: {why}": None for each in rows for name, why in each.absent.items()}
    failed = [
        f"- {each.row.name}: {KINDS[name].title} failed: {why}" for each in rows for name, why in each.failed.items()
    ]
    return [*absent, *failed]


# -- JSON ------------------------------------------------------------------------------------------


def _as_json(setting: Setting, rows: list[Measured]) -> dict[str, object]:
    return {
        "setting": asdict(setting),
        "lines": [
            {
                "title": line.figure.title,
                "row": line.row,
                "family": line.family,
                "unit": line.figure.unit,
                "subject": line.figure.subject,
                "values": {name: asdict(spread) for name, spread in line.values.items()},
                "ratios": {name: asdict(spread) for name, spread in line.ratios.items()},
                "goals": [asdict(outcome) | {"met": outcome.met} for outcome in line.outcomes],
                "verdict": line.verdict,
                "noise": line.noise,
            }
            for line in lines(rows)
        ],
        "controls": [asdict(control) | {"steady": control.steady} for control in controls(rows)],
        "samples": {
            each.row.name: {name: [asdict(sample) for sample in listed] for name, listed in each.samples.items()}
            for each in rows
        },
        "absent": {each.row.name: each.absent for each in rows if each.absent},
        "failed": {each.row.name: each.failed for each in rows if each.failed},
    }
