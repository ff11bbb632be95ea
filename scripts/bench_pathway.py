"""Times `nearline replay` beside counting by item and kind with Pathway. Started by bench_pathway.sh.

    bench_pathway.py NEARLINE FOLDER EVENTS RUNS     prints the table
    bench_pathway.py --count LOG COUNTS              what Pathway is to do, as a process of its own
"""

import csv
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

THREADS = "2"
MEMBERS, ITEMS = 138_000, 26_000


def count(log, counts):
    """As Pathway's documentation has it: the log read once, grouped, counted, and written when all is read."""
    import pathway as pw

    class Event(pw.Schema):
        item: str
        kind: str

    events = pw.io.jsonlines.read(log, schema=Event, mode="static")
    by_cell = events.groupby(pw.this.item, pw.this.kind)
    pw.io.csv.write(by_cell.reduce(pw.this.item, pw.this.kind, count=pw.reducers.count()), counts)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


def timed(command, **environment):
    """Wall and processor seconds of a whole command."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | environment)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def of_pathway(counts):
    """What it counted, by kind and item."""
    with open(counts, newline="") as rows:
        return {(row["kind"], row["item"]): int(row["count"]) for row in csv.DictReader(rows) if row["diff"] == "1"}


def of_nearline(nearline, data, kinds):
    """The same from a data folder."""
    counts = {}
    for kind in kinds:
        words = ["popular", "--kind", kind, "--window", "all", "--limit", str(ITEMS)]
        said = subprocess.run([nearline, "--data", data, "--json", *words], check=True, capture_output=True)
        counts |= {(kind, item["item"]): item["count"] for item in json.loads(said.stdout)["items"]}
    return counts


def row(what, runs, events, beside=None):
    wall = [seconds for seconds, _ in runs]
    cells = [
        what,
        f"{statistics.median(wall):.1f} s",
        f"{min(wall):.1f} to {max(wall):.1f} s",
        f"{statistics.median(seconds for _, seconds in runs):.1f} s",
        f"{events / statistics.median(wall):,.0f}",
        "" if beside is None else f"{statistics.median(b / a for (a, _), (b, _) in zip(runs, beside)):.2f} ×",
    ]
    print("| " + " | ".join(cells) + " |")


def main(nearline, folder, events, runs):
    folder, events = Path(folder), int(events)
    folder.mkdir(parents=True, exist_ok=True)
    log, counts, data = folder / "log.jsonl", folder / "counts.csv", folder / "data"
    sizes = ["--events", str(events), "--members", str(MEMBERS), "--items", str(ITEMS)]
    subprocess.run([nearline, "bench-log", str(log), *sizes], check=True, capture_output=True)
    plain = folder / "nearline.toml"
    plain.write_text("[lists]\nbasket = 0\n")
    took = {"pathway": [], "nearline": [], "counts": []}
    for _ in range(int(runs)):
        count = [sys.executable, __file__, "--count", str(log), str(counts)]
        took["pathway"].append(timed(count, PATHWAY_THREADS=THREADS))
        for name, config in (("nearline", []), ("counts", ["--config", str(plain)])):
            shutil.rmtree(data, ignore_errors=True)
            replay = ["--data", str(data), *config, "replay", "--workers", THREADS, str(log)]
            took[name].append(timed([nearline, *replay]))
    theirs = of_pathway(counts)
    if theirs != of_nearline(nearline, str(data), Counter(kind for kind, _ in theirs)):
        sys.exit("the two came to different counts")
    if sum(theirs.values()) != events:
        sys.exit(f"{sum(theirs.values())} events were counted instead of {events}")
    print(f"{events:,} events, {len(theirs):,} combinations of item and kind\n")
    print("| | median | fastest to slowest | processor time | events/s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    row("Pathway 0.33.0: counts by item and kind, to CSV", took["pathway"], events)
    row("`nearline replay`: all views without a model, to a committed store", took["nearline"], events, took["pathway"])
    row("the same without baskets (`lists.basket = 0`)", took["counts"], events, took["pathway"])


if __name__ == "__main__":
    if sys.argv[1] == "--count":
        count(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
