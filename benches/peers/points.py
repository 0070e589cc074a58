"""Chamfer distance in Python: numba and SciPy against the example program match_clusters, by turns.

usage: points.py [--only small|big|clouds] [--rounds N] [--threads N] [--program PATH]
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target" / "release" / "examples" / "match_clusters"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["small", "big", "clouds"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM)
    return parser.parse_args()


options = arguments()
os.environ["NUMBA_NUM_THREADS"] = str(options.threads)

import numpy as np  # noqa: E402
from numba import njit, prange  # noqa: E402
from scipy.spatial import cKDTree  # noqa: E402

from kernels import clusters, mean_of_least, write  # noqa: E402


@njit(parallel=True, nogil=True)
def all_distances(left, lefts, right, rights):
    matrix = np.empty((lefts.size - 1, rights.size - 1))
    for i in prange(lefts.size - 1):
        mine = left[lefts[i]:lefts[i + 1]]
        for j in range(rights.size - 1):
            theirs = right[rights[j]:rights[j + 1]]
            matrix[i, j] = max(mean_of_least(mine, theirs), mean_of_least(theirs, mine))
    return matrix


def numba_matching(left, right):
    matrix = all_distances(*left, *right)
    return np.concatenate((matrix.argmin(axis=1), matrix.argmin(axis=0)))


def tree_distance(left, right):
    """The larger mean distance between two clouds; trees as SciPy builds them fastest."""
    shape = {"balanced_tree": False, "compact_nodes": False}
    there = cKDTree(right, **shape).query(left, workers=options.threads)[0].mean()
    back = cKDTree(left, **shape).query(right, workers=options.threads)[0].mean()
    return max(there, back)


def ours(folder, inner):
    """Seconds of the kernel, the least of `inner` runs, and the rows written."""
    out = folder / "out.csv"
    command = [options.program, "--left", folder / "left.csv", "--right", folder / "right.csv"]
    command += ["--workers", str(options.threads), "--repeat", str(inner), "--out", out]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    line = next(line for line in report.splitlines() if line.startswith("kernel seconds"))
    rows = [line.split(",") for line in out.read_text().splitlines()[1:]]
    return float(line.rsplit(" ", 1)[1]), rows


def theirs(run, inner):
    """Seconds, the least of `inner` runs, and the answer."""
    least = np.inf
    for _ in range(inner):
        began = time.perf_counter()
        answer = run()
        least = min(least, time.perf_counter() - began)
    return least, answer


def race(name, left, right, rival, run, inner, same):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write(folder / "left.csv", *left)
        write(folder / "right.csv", *right)
        run()
        times = {"scipar": [], rival: []}
        for _ in range(options.rounds):
            seconds, rows = ours(folder, inner)
            times["scipar"].append(seconds)
            seconds, answer = theirs(run, inner)
            times[rival].append(seconds)
            assert same(rows, answer), f"{name}: answers differ"
    medians = {who: statistics.median(all_times) for who, all_times in times.items()}
    for who, seconds in medians.items():
        print(f"{name:<8} {who:<24} {seconds:.6f} s  (least {min(times[who]):.6f})")
    print(f"{name:<8} {medians[rival] / medians['scipar']:.2f} times as fast as {rival}\n", flush=True)


def same_indices(rows, answer):
    return [int(row[2]) for row in rows] == answer.tolist()


def same_distance(rows, answer):
    # NumPy adds up in an order of its own.
    return abs(float(rows[0][3]) - answer) <= 1e-12 * answer


def main():
    wanted = [options.only] if options.only else ["small", "big", "clouds"]
    sets = {"small": ((50, 35, 1), (30, 23, 2), 50), "big": ((400, 200, 1), (200, 450, 2), 3)}
    for name in wanted:
        if name == "clouds":
            left, right = (clusters(2500, 82, seed)[0][:100_000] for seed in (3, 4))
            ends = [np.array([0, len(points)]) for points in (left, right)]
            rival = f"cKDTree, {options.threads} workers"
            run = lambda: tree_distance(left, right)  # noqa: E731
            race(name, (left, ends[0]), (right, ends[1]), rival, run, 5, same_distance)
        else:
            left, right = clusters(*sets[name][0]), clusters(*sets[name][1])
            rival = f"numba, {options.threads} threads"
            run = lambda: numba_matching(left, right)  # noqa: E731
            race(name, left, right, rival, run, sets[name][2], same_indices)


main()
