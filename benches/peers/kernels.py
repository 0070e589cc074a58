"""What several rivals share: the clusters of points and how they are written, and loops that numba compiles."""

import numpy as np
from llvmlite import ir
from numba import njit
from numba.extending import intrinsic


def clusters(count, max_size, seed):
    """Points of all clusters, and where each begins: the data of scipar::kernels::clusters::generate."""
    random = np.random.RandomState(seed)
    sizes = random.randint(1, max_size, size=count)
    starts = np.concatenate(([0], np.cumsum(sizes)))
    points = np.empty((starts[-1], 3))
    for start, end in zip(starts, starts[1:]):
        mean = [random.randint(1, 10) for _ in range(3)]
        deviation = [random.randint(1, 3) for _ in range(3)]
        points[start:end] = mean + np.asarray(deviation) * random.standard_normal((end - start, 3))
    return points, starts


def write(path, points, starts):
    """Clusters as the file that match_clusters reads."""
    with open(path, "w") as file:
        file.write("cluster_id,x,y,z\n")
        ids = np.repeat(np.arange(starts.size - 1), np.diff(starts))
        for cluster, row in zip(ids.tolist(), points.tolist()):
            file.write(f"{cluster},{row[0]!r},{row[1]!r},{row[2]!r}\n")


@njit(nogil=True)
def mean_of_least(points, others):
    total = 0.0
    for i in range(points.shape[0]):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        least = np.inf
        for j in range(others.shape[0]):
            a, b, c = x - others[j, 0], y - others[j, 1], z - others[j, 2]
            square = (a * a + b * b) + c * c
            if square < least:
                least = square
        total += np.sqrt(least)
    return total / points.shape[0]


@njit(nogil=True)
def mean_of_least_roots(points, others):
    """The measure of the notebook, in its way: a scalar product by BLAS and a root for each pair of points."""
    total = 0.0
    for i in range(points.shape[0]):
        least = np.inf
        for j in range(others.shape[0]):
            least = min(least, np.sqrt(np.dot(points[i], others[j])))
        total += least
    return total / points.shape[0]


@njit(nogil=True)
def nearest(mean, cluster, others, starts):
    """Which of the others is nearest to a cluster, by the larger of both means; the first one of a tie."""
    best, at = np.inf, 0
    for j in range(starts.size - 1):
        other = others[starts[j]:starts[j + 1]]
        distance = max(mean(cluster, other), mean(other, cluster))
        if distance < best:
            best, at = distance, j
    return at


@intrinsic
def hidden(_, number):
    """The number, of 64 bits, of which the compiler then knows nothing: what std::hint::black_box is in Rust."""

    def build(_, builder, __, arguments):
        bits = ir.IntType(64)
        value = builder.bitcast(arguments[0], bits)
        value = builder.asm(ir.FunctionType(bits, [bits]), "", "=r,0", [value], side_effect=True)
        return builder.bitcast(value, arguments[0].type)

    return number(number), build


@njit(nogil=True)
def spin(n, loops):
    """The N^4 loop so many times, root and square and all: what the last run of the body gave, and how many ran."""
    out, runs = 0.0, 0
    for _ in range(loops):
        for i in range(n):
            for j in range(i + 1, n):
                for l in range(j + 1, n):
                    for m in range(l + 1, n):
                        root = np.sqrt(hidden(i) + 4.0)
                        out = hidden(root * root)
                        runs += 1
    return out, runs


# Tasks for joblib, as plain functions: numba's are sent to a process whole, 3 kB each time, these by name.


def nearest_by_distance(cluster, others, starts):
    return nearest(mean_of_least, cluster, others, starts)


def nearest_by_roots(cluster, others, starts):
    return nearest(mean_of_least_roots, cluster, others, starts)


def spin_task(n, loops):
    return spin(n, loops)
