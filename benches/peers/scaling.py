"""Scaling studies of the notebook "Accelerating Python for Scientific Computing": joblib and this crate, by turns.

usage: scaling.py [--only weak|quick|notebook] [--jobs 1,2] [--turns N] [--sets 10,20] [--programs FOLDER]

weak      each worker does the same N^4 loops
quick     five sets of clusters matched, with the quickest loops in numba
notebook  the same sets by the notebook's measure and in its way: np.dot and a root for each pair of points

Prints tables in Markdown. A speed-up is against one job of the same contender in the same turn; each is a mean ± the
standard deviation.
"""

import argparse
import functools
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from joblib import Parallel, delayed

from kernels import clusters, nearest_by_distance, nearest_by_roots, spin_task, write

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "target" / "release" / "examples"
BACKENDS = ["loky", "threading"]
# The notebook's sets of clusters: as it prints them, how many points there are in all.
TOTALS = {10: 689, 20: 1219, 40: 2558, 80: 5107, 160: 10565}
# Loops of the example program `scaling` for a worker, and a long one.
SHORT, LONG = (44, 60), (220, 1)
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def arguments():
    def numbers(text):
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["weak", "quick", "notebook"])
    parser.add_argument("--jobs", type=numbers, default=[1, 2], help="with 1 among them (default 1,2)")
    parser.add_argument("--turns", type=int, default=5, help="after one that does not count (default 5)")
    parser.add_argument("--sets", type=numbers, default=list(TOTALS), help=f"of {list(TOTALS)} (default all)")
    parser.add_argument("--programs", type=pathlib.Path, default=PROGRAMS, help="where the example programs are")
    options = parser.parse_args()
    options.jobs = sorted(set(options.jobs))
    if options.jobs[0] != 1:
        parser.error("expected 1 as the least number of jobs: speed-up is against one")
    if not set(options.sets) <= set(TOTALS):
        parser.error(f"expected sets of {list(TOTALS)}")
    if options.turns < 1:
        parser.error("expected at least 1 turn")
    for name in ["match_clusters", "scaling"]:
        if not (options.programs / name).exists():
            sys.exit(f"no {name} in {options.programs}; build it with: cargo build --release --example {name}")
    return options


def study(options, load, contenders, work):
    """Lets the contenders take turns and prints a row for each number of jobs but 1.

    A contender gives seconds for the numbers of jobs; `work` is how much of it so many jobs do.
    """
    times = {who: {jobs: [] for jobs in options.jobs} for who in contenders}
    for turn in range(options.turns + 1):
        for who, run in contenders.items():
            for jobs, seconds in zip(options.jobs, run(options.jobs)):
                if turn > 0:
                    times[who][jobs].append(seconds)
    for who, own in times.items():
        speed_ups = {jobs: [work(jobs) * one / t for one, t in zip(own[1], own[jobs])] for jobs in options.jobs}
        for before, jobs in zip(options.jobs, options.jobs[1:]):
            relative = [now / then for now, then in zip(speed_ups[jobs], speed_ups[before])]
            columns = [load, who, wall(own[1]), str(jobs), wall(own[jobs]), spread(speed_ups[jobs]), spread(relative)]
            print(f"| {' | '.join(columns)} |", flush=True)


def wall(times):
    return f"{1e3 * statistics.median(times):.3f} ms"


def spread(values):
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation}"


def heading(title, load, speed_up):
    print(f"\n{title}\n")
    print(f"| {load} | | 1 job | jobs | wall | {speed_up} | relative |\n|---|---|---|---|---|---|---|")


def seconds_of(run, jobs, calls):
    """Seconds of the fastest call, and the last answer."""
    least = np.inf
    for _ in range(calls):
        began = time.perf_counter()
        answer = run(jobs)
        least = min(least, time.perf_counter() - began)
    return least, answer


def loops_by_joblib(backend, n, loops, counts):
    """Seconds of the call after one that does not count, as the program `scaling` does it."""

    def run(jobs):
        return Parallel(n_jobs=jobs, backend=backend)(delayed(spin_task)(n, loops) for _ in range(jobs))

    times = []
    for jobs in counts:
        run(jobs)
        seconds, answers = seconds_of(run, jobs, 1)
        assert answers == [(math.sqrt(n) * math.sqrt(n), loops * math.comb(n, 4))] * jobs, "answers differ"
        times.append(seconds)
    return times


def loops_by_ours(program, counts):
    """Seconds in the table of the weak study, which has one counted turn; the program compares answers itself."""
    command = [program, "--kernel", "quartic", "--repeat", "1", "--workers", ",".join(map(str, counts))]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = report[report.index("weak scaling"):].splitlines()[2:2 + len(counts)]
    assert f"{SHORT[1]} N^4 loops for each worker, n = {SHORT[0]}," in report, "expected the loops of the rivals"
    rows = [line.split() for line in lines]
    assert [int(row[0]) for row in rows] == counts
    return [float(row[1]) * UNITS[row[2]] for row in rows]


def weak(options):
    heading("Weak scaling: N^4 loops, as many for each job", "loops for each job", "scaled speed-up")
    for n, loops in [SHORT, LONG]:
        contenders = {
            f"joblib, {backend}": functools.partial(loops_by_joblib, backend, n, loops) for backend in BACKENDS
        }
        if (n, loops) == SHORT:
            contenders["scipar"] = functools.partial(loops_by_ours, options.programs / "scaling")
        study(options, f"{loops} of n = {n}, {math.comb(n, 4):,} runs each", contenders, lambda jobs: jobs)


def matching_by_joblib(backend, nearest, left, right, calls, expected, counts):
    """A task for each cluster of either side."""

    def run(jobs):
        parallel = Parallel(n_jobs=jobs, backend=backend)
        sides = [(left, right), (right, left)]
        return [parallel(delayed(nearest)(points[start:end], *others) for start, end in zip(starts, starts[1:]))
                for (points, starts), others in sides]

    times = []
    for jobs in counts:
        seconds, answer = seconds_of(run, jobs, calls)
        assert answer[0] + answer[1] == expected, "answers differ"
        times.append(seconds)
    return times


def matching_by_ours(program, folder, metric, calls, expected, counts):
    times = []
    for jobs in counts:
        out = folder / "out.csv"
        command = [program, "--left", folder / "left.csv", "--right", folder / "right.csv", "--metric", metric]
        command += ["--workers", str(jobs), "--repeat", str(calls), "--out", out]
        report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        line = next(line for line in report.splitlines() if line.startswith("kernel seconds"))
        answer = [int(line.split(",")[2]) for line in out.read_text().splitlines()[1:]]
        assert answer == expected, "answers differ"
        times.append(float(line.rsplit(" ", 1)[1]))
    return times


def strong(options, nearest, metric, calls):
    heading(f"Strong scaling: clusters matched, {metric}, the fastest of {calls} calls", "points", "speed-up")
    for c in options.sets:
        left, right = clusters(c + 5, 80, 1), clusters(c - 5, 50, 2)
        assert len(left[0]) + len(right[0]) == TOTALS[c], "expected the points of the notebook"
        expected = [nearest(points[start:end], *others) for (points, starts), others in [(left, right), (right, left)]
                    for start, end in zip(starts, starts[1:])]
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            write(folder / "left.csv", *left)
            write(folder / "right.csv", *right)
            contenders = {
                f"joblib, {backend}":
                    functools.partial(matching_by_joblib, backend, nearest, left, right, calls, expected)
                for backend in BACKENDS
            }
            program = options.programs / "match_clusters"
            contenders["scipar"] = functools.partial(matching_by_ours, program, folder, metric, calls, expected)
            study(options, f"{TOTALS[c]:,}", contenders, lambda jobs: 1)


def main():
    options = arguments()
    studies = {
        "weak": lambda: weak(options),
        "quick": lambda: strong(options, nearest_by_distance, "euclidean", 3),
        "notebook": lambda: strong(options, nearest_by_roots, "sqrt-dot", 2),
    }
    for name, run in studies.items():
        if options.only in (None, name):
            run()


if __name__ == "__main__":
    main()
