"""The three products of the forward pass by OpenBLAS's sgemm on one thread, nothing else: the protocol of peers.ts."""
import ctypes
import ctypes.util
import json
import random
import sys
import time

name = ctypes.util.find_library("openblas") or "libopenblas.so.0"
try:
    blas = ctypes.CDLL(name)
except OSError as error:
    print(json.dumps({"skipped": str(error)}), flush=True)
    sys.exit()

blas.openblas_set_num_threads(1)
blas.openblas_get_config.restype = ctypes.c_char_p
sizes = [784, 1024, 1024, 10]


def matrix(rows, columns):
    return (ctypes.c_float * (rows * columns))(*(random.random() for _ in range(rows * columns)))


weights = [matrix(*pair) for pair in zip(sizes, sizes[1:])]
activations = {}


def forward(size):
    row_major, plain = 101, 111
    one, zero = ctypes.c_float(1), ctypes.c_float(0)
    if size not in activations:
        activations[size] = [matrix(size, width) for width in sizes]
    x = activations[size]
    for i, w in enumerate(weights):
        k, n = sizes[i], sizes[i + 1]
        blas.cblas_sgemm(row_major, plain, plain, size, n, k, one, x[i], k, w, n, zero, x[i + 1], n)


config = blas.openblas_get_config().decode()
print(json.dumps({"version": config, "works": ["MLP f32 forward"]}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(request["count"]):
        forward(request["batch"])
    wall = time.perf_counter() - start
    answer = {"milliseconds": 1e3 * wall / request["count"], "cores": (time.process_time() - cpu) / wall}
    print(json.dumps(answer), flush=True)
