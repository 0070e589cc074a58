"""Loads the library of the example `python_host` and lets it compute with worker processes.

cargo build --release --example python_host
python3 examples/python_host/host.py target/release/examples/libpython_host.so
"""

import ctypes
import math
import sys

N = 10_000


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python3 host.py PATH/libpython_host.so", file=sys.stderr)
        return 2
    path = sys.argv[1]
    library = ctypes.CDLL(path)
    library.sum_of_roots.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint32]
    library.sum_of_roots.restype = ctypes.c_double
    found = library.sum_of_roots(sys.executable.encode(), path.encode(), N)
    expected = math.fsum(math.sqrt(i) for i in range(N))
    print(f"by worker processes: {found:.6f}, by Python: {expected:.6f}")
    return 0 if abs(found - expected) <= 1e-9 * expected else 1


if __name__ == "__main__":
    sys.exit(main())
