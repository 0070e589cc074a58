"""Python's multiprocessing on what `cargo bench --bench process` measures: prints `name value`, medians in microseconds."""

import multiprocessing as mp
import statistics
import sys
import time
from array import array


def inc(x):
    return x + 1


def ends(a):
    return a[0] + a[-1]


def made(n):
    return array("d", [1.5]) * n


def median(rounds, per, work):
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) / per)
    return statistics.median(times) * 1e6


def start_process(context):
    process = context.Process(target=inc, args=(1,))
    process.start()
    process.join()


def start_pool(context):
    with context.Pool(1) as pool:
        assert pool.apply(inc, (1,)) == 2


def main():
    what, quick = sys.argv[1], sys.argv[2] == "quick"
    rounds = 1 if quick else 7
    context = mp.get_context("spawn")
    if what == "start":
        print("process", median(rounds, 1, lambda: start_process(context)))
        print("pool", median(rounds, 1, lambda: start_pool(context)))
        return
    with context.Pool(1) as pool:
        pool.apply(inc, (1,))
        if what == "trip":
            calls = 20 if quick else 200
            print("apply", median(rounds, calls, lambda: [pool.apply(inc, (i,)) for i in range(calls)]))
        elif what == "array":
            for megabytes in (1, 64):
                n = megabytes << 17
                a = made(n)
                times = 1 if quick else 5
                print(f"take{megabytes}", median(times, 1, lambda: pool.apply(ends, (a,))))
                print(f"give{megabytes}", median(times, 1, lambda: pool.apply(made, (n,))))
    if what == "map":
        for workers in (1, 2):
            with context.Pool(workers) as pool:
                pool.map(inc, range(10), 1)
                for chunk, items in ((1, 2_000), (100, 20_000), (None, 200_000)):
                    items = items // 20 if quick else items
                    xs = list(range(items))
                    assert sum(pool.map(inc, xs, chunk)) == sum(xs) + items
                    print(f"map{chunk or 'auto'}x{workers}", median(rounds, items, lambda: pool.map(inc, xs, chunk)))


if __name__ == "__main__":
    main()
