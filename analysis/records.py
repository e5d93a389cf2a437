"""Reads what `dcsim run -o DIR` writes. The one loader of all plots: it checks what it reads and says what is wrong."""

import json
import pathlib
import sys

NS = 1_000_000_000


class BadRun(Exception):
    """A directory that is no recorded run, or a record that is not as the format says."""


def summary(directory):
    """The run's summary.json as a dict."""
    path = pathlib.Path(directory) / "summary.json"
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadRun(f"{path}: {error}") from error
    for key in ("scenario", "seed", "digest", "simulated_ns", "counts"):
        if key not in data:
            raise BadRun(f"{path}: no `{key}`")
    return data


def records(directory, *events):
    """Yields the records of trace.jsonl whose `ev` is among `events` (all if none is given), in order."""
    path = pathlib.Path(directory) / "trace.jsonl"
    wanted = set(events)
    last = 0
    try:
        with path.open() as lines:
            for number, line in enumerate(lines, 1):
                try:
                    record = json.loads(line)
                    t, ev = record["t"], record["ev"]
                except (ValueError, KeyError, TypeError) as error:
                    raise BadRun(f"{path}:{number}: not a record: {error}") from error
                if not isinstance(t, int) or t < last:
                    raise BadRun(f"{path}:{number}: time goes back")
                last = t
                if not wanted or ev in wanted:
                    yield record
    except OSError as error:
        raise BadRun(f"{path}: {error}") from error


def main(function):
    """Runs a script's main function; a bad run is a message and exit status 2."""
    try:
        sys.exit(function())
    except BadRun as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
