"""The command `tune`, also `shoal tune`: look at searches in folders."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from shoal.tune.exceptions import TuneError

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
"""Longer ones first: they begin with shorter ones."""
USUAL = ("trial_id", "status", "training_iteration", "time_total_s")


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--desc", is_flag=True, help="The largest first."),
        click.option("--limit", type=click.IntRange(1), default=None, help="Rows at most."),
        click.option("--result-columns", default=None, help="Metrics and parameters to show: 'loss,config/lr'."),
        click.option("--columns", default=None, help="Columns to show instead of the usual ones."),
        click.option("--filter", "condition", default=None, help="'COLUMN OP VALUE', with <, <=, ==, !=, >= or >."),
        click.option("--output", "-o", type=click.Path(dir_okay=False), default=None, help="Write .csv or .pkl here."),
        click.option("--sort", default=None, help="Columns to sort by: 'loss,trial_id'."),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Look at searches of shoal.tune in folders."""


@main.command("list-trials")
@click.argument("experiment_path", type=click.Path(exists=True, file_okay=False))
@_options
def list_trials(experiment_path: str, columns: str | None, result_columns: str | None, **options: Any) -> None:
    """List the trials of the search in EXPERIMENT_PATH."""
    from shoal.tune.analysis import ExperimentAnalysis

    try:
        analysis = ExperimentAnalysis(experiment_path)
    except (FileNotFoundError, TuneError) as error:
        raise click.ClickException(str(error)) from error
    frame = analysis.dataframe()
    statuses = {trial.trial_id: trial.status for trial in analysis.trials}
    if len(frame):
        frame["status"] = [statuses.get(trial_id, "") for trial_id in frame["trial_id"]]
    usual = [*USUAL, *(name for name in frame.columns if _tells_trials_apart(frame, name))]
    _show(frame, columns, result_columns, usual, **options)


@main.command("list-experiments")
@click.argument("project_path", type=click.Path(exists=True, file_okay=False))
@_options
def list_experiments(project_path: str, columns: str | None, result_columns: str | None, **options: Any) -> None:
    """List the searches in the folders of PROJECT_PATH."""
    import pandas as pd

    from shoal.tune.analysis import ExperimentAnalysis

    rows = []
    for folder in sorted(Path(project_path).iterdir()):
        if not folder.is_dir():
            continue
        try:
            trials = ExperimentAnalysis(folder).trials
        except FileNotFoundError:
            continue
        changed = dt.datetime.fromtimestamp(folder.stat().st_mtime).astimezone()
        counts = {
            status.lower(): sum(trial.status == status for trial in trials)
            for status in ("RUNNING", "TERMINATED", "ERROR")
        }
        rows.append({"name": folder.name, "trials": len(trials), **counts, "changed": f"{changed:%Y-%m-%d %H:%M:%S}"})
    if not rows:
        raise click.ClickException(f"there are no searches in the folders of {project_path}")
    frame = pd.DataFrame(rows)
    _show(frame, columns, result_columns, list(frame.columns), **options)


@main.command("add-note")
@click.argument("path", type=click.Path(exists=True, file_okay=False))
@click.option("--filename", default="note.txt", show_default=True, help="Of the note, in PATH.")
def add_note(path: str, filename: str) -> None:
    """Write a note beside a search, or change it, in your editor."""
    note = Path(path) / filename
    text = click.edit(note.read_text() if note.exists() else "")
    if text is None:
        click.echo(f"{note} is as it was")
        return
    note.write_text(text)
    click.echo(f"wrote {note}")


def _show(
    frame: Any,
    columns: str | None,
    result_columns: str | None,
    usual: list[str],
    *,
    sort: str | None,
    output: str | None,
    condition: str | None,
    limit: int | None,
    desc: bool,
) -> None:
    """Chooses rows and columns of a table, and prints it or writes it to a file."""
    if condition is not None:
        frame = frame[_matching(frame, condition)]
    if sort is not None:
        frame = frame.sort_values(_named(sort, frame), ascending=not desc)
    if limit is not None:
        frame = frame.head(limit)
    if columns is not None or result_columns is not None:
        chosen = _named(",".join(part for part in (columns, result_columns) if part), frame)
        if columns is None:
            chosen = [*(name for name in USUAL if name in frame), *chosen]
    else:
        chosen = [name for name in usual if name in frame]
    frame = frame[list(dict.fromkeys(chosen))]
    if output is None:
        click.echo(frame.to_string(index=False))
        return
    if output.endswith(".csv"):
        frame.to_csv(output, index=False)
    elif output.endswith(".pkl"):
        frame.to_pickle(output)
    else:
        raise click.BadParameter(f"{output!r} ends neither in .csv nor in .pkl", param_hint="--output")
    click.echo(f"wrote {output}")


def _named(text: str, frame: Any) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in frame.columns:
            raise click.BadParameter(f"there is no column {name!r}; there are {', '.join(map(str, frame.columns))}")
    return names


def _matching(frame: Any, condition: str) -> Any:
    for sign, compare in COMPARISONS.items():
        name, found, text = condition.partition(sign)
        if found:
            (column,) = _named(name, frame) or [""]
            value: Any = text.strip()
            if frame[column].dtype.kind in "ifu":
                try:
                    value = float(value)
                except ValueError:
                    raise click.BadParameter(
                        f"{value!r} is no number, as {column} has", param_hint="--filter"
                    ) from None
            elif frame[column].dtype.kind == "b":
                value = value.lower() == "true"
            return compare(frame[column], value)
    raise click.BadParameter(f"{condition!r} has none of {', '.join(COMPARISONS)}", param_hint="--filter")


def _tells_trials_apart(frame: Any, name: str) -> bool:
    from shoal.tune._internal.logic.trial_table import ADDED

    if name in ADDED or name in ("logdir", "status"):
        return False
    return not name.startswith("config/") or frame[name].astype(str).nunique() > 1


if __name__ == "__main__":
    main()
