"""PyTorch on one thread: the protocol of peers.ts."""
import json
import sys
import time

try:
    import torch
    try:
        from torch.func import jvp
    except ImportError:
        from functorch import jvp
except ImportError as error:
    print(json.dumps({"skipped": str(error)}), flush=True)
    sys.exit()

torch.set_num_threads(1)
torch.manual_seed(0)
sizes = [784, 1024, 1024, 10]
rate = 1e-6


def parameters():
    made = []
    for fan_in, fan_out in zip(sizes, sizes[1:]):
        made += [torch.randn(fan_in, fan_out) * (2 / fan_in) ** 0.5, torch.zeros(fan_out)]
    return made


def loss_of(p, x, t):
    for layer in (0, 2):
        x = torch.relu(torch.addmm(p[layer + 1], x, p[layer]))
    return torch.nn.functional.cross_entropy(torch.addmm(p[5], x, p[4]), t)


weights = parameters()
trained = [p.clone().requires_grad_() for p in weights]


def forward(x, t):
    with torch.no_grad():
        loss_of(weights, x, t)


def forward_gradient(x, t):
    with torch.no_grad():
        v = [torch.randn_like(p) for p in weights]
        _, c = jvp(lambda *p: loss_of(p, x, t), tuple(weights), tuple(v))
        scale = -rate * float(c)
        for p, direction in zip(weights, v):
            p.add_(direction, alpha=scale)


def backprop(x, t):
    gradients = torch.autograd.grad(loss_of(trained, x, t), trained)
    with torch.no_grad():
        for p, g in zip(trained, gradients):
            p.sub_(g, alpha=rate)


works = {"forward": forward, "forward gradient": forward_gradient, "backprop": backprop}
batches = {}
print(json.dumps({"version": torch.__version__, "works": list(works)}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    size = request["batch"]
    if size not in batches:
        batches[size] = (torch.rand(size, 784), torch.arange(size) % 10)
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(request["count"]):
        works[request["work"]](*batches[size])
    wall = time.perf_counter() - start
    answer = {"milliseconds": 1e3 * wall / request["count"], "cores": (time.process_time() - cpu) / wall}
    print(json.dumps(answer), flush=True)
