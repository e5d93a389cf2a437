#!/usr/bin/env python3
"""When did whom see somebody fail, and come back? One row an observer, one panel a run.

usage: flapping.py RUN... [-o FILE.png|svg]      RUN: a directory written by `dcsim run -o`
Prints the numbers that it draws.
"""

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import records

FAILED, BACK = "#c0392b", "#27ae60"


def read(directory):
    info = records.summary(directory)
    failed, back, marks, observers = {}, {}, [], set()
    for r in records.records(directory, "member-failed", "member-flap", "agent-start", "firewall-changed"):
        minute = r["t"] / records.NS / 60
        if r["ev"] == "firewall-changed":
            marks.append((minute, f"{r['firewall']} {r.get('change', '')}"))
            continue
        observers.add(r["node"])
        if r["ev"] == "member-failed":
            failed.setdefault(r["node"], []).append(minute)
        elif r["ev"] == "member-flap":
            back.setdefault(r["node"], []).append(minute)
    return info, sorted(observers), failed, back, marks


def draw(axis, directory):
    info, observers, failed, back, marks = read(directory)
    rows = {name: i for i, name in enumerate(reversed(observers))}
    for series, color in ((failed, FAILED), (back, BACK)):
        axis.eventplot([series.get(name, []) for name in rows], lineoffsets=list(rows.values()), linelengths=0.8,
                       linewidths=0.6, colors=color)
    for minute, text in marks:
        axis.axvline(minute, color="black", linewidth=0.8, linestyle="--")
        axis.annotate(text, (minute, 1.0), xycoords=("data", "axes fraction"), xytext=(3, 3), textcoords="offset points", fontsize=8)
    axis.set_yticks(list(rows.values()), list(rows), fontsize=7)
    axis.set_ylim(-0.7, max(len(rows) - 0.3, 0.7))
    axis.set_xlim(0, info["simulated_ns"] / records.NS / 60)
    events = sum(map(len, failed.values()))
    axis.set_title(f"{info['scenario']} (seed {info['seed']}): {events} member-failed events", loc="right", fontsize=9)
    print(f"{info['scenario']}: {events} member-failed, {sum(map(len, back.values()))} flaps, {len(observers)} observers")
    for name in observers:
        print(f"  {name:<20} failed {len(failed.get(name, [])):>5}   came back {len(back.get(name, [])):>5}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("-o", "--output", default="flapping.png")
    arguments = parser.parse_args()
    figure, axes = plt.subplots(len(arguments.runs), 1, figsize=(9, 2.6 * len(arguments.runs)), squeeze=False, sharex=True)
    for axis, run in zip(axes[:, 0], arguments.runs):
        draw(axis, run)
    axes[-1, 0].set_xlabel("simulated minutes      red: a member fails in this agent's view      green: it is back within a minute", fontsize=8)
    figure.tight_layout()
    figure.savefig(arguments.output, dpi=110, metadata={"Software": None} if arguments.output.endswith(".png") else None)
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    records.main(main)
