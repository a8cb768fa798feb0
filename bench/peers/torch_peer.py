"""PyTorch on one thread: the protocol of peers.ts. At bf16 parameters, inputs and tangents are bf16; images and filters have their
channels last, which its convolutions are faster with."""
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

from torch.nn.functional import conv2d, cross_entropy, max_pool2d

torch.set_num_threads(1)
torch.manual_seed(0)
rate = 1e-6


def dense(fan_in, fan_out):
    return [torch.randn(fan_in, fan_out) * (2 / fan_in) ** 0.5, torch.zeros(fan_out)]


def conv(fan_in, fan_out):
    return [torch.randn(fan_out, fan_in, 3, 3) * (2 / (9 * fan_in)) ** 0.5, torch.zeros(fan_out)]


def mlp(p, x):
    x = torch.relu(torch.addmm(p[1], x, p[0]))
    x = torch.relu(torch.addmm(p[3], x, p[2]))
    return torch.addmm(p[5], x, p[4])


def cnn(p, x):
    for layer in range(4):
        x = torch.relu(conv2d(x, p[2 * layer], p[2 * layer + 1], padding=1))
        if layer % 2 == 1:
            x = max_pool2d(x, 2)
    x = torch.relu(torch.addmm(p[9], x.flatten(1), p[8]))
    return torch.addmm(p[11], x, p[10])


models = {
    "MLP": (mlp, [784], lambda: dense(784, 1024) + dense(1024, 1024) + dense(1024, 10)),
    "CNN": (
        cnn,
        [1, 28, 28],
        lambda: conv(1, 64) + conv(64, 64) + conv(64, 64) + conv(64, 64) + dense(3136, 1024) + dense(1024, 10),
    ),
}
precisions = {"f32": torch.float32, "bf16": torch.bfloat16}


def laid_out(tensor):
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


class Net:
    """A model at a precision, and what is timed of it."""

    def __init__(self, model, precision):
        self.apply, self.shape, parameters = models[model]
        self.type = precisions[precision]
        self.weights = [laid_out(p.to(self.type)) for p in parameters()]
        self.trained = [p.clone().requires_grad_() for p in self.weights]
        self.batches = {}

    def batch(self, size):
        if size not in self.batches:
            x = torch.rand(size, *self.shape).to(self.type)
            self.batches[size] = (laid_out(x), torch.arange(size) % 10)
        return self.batches[size]

    def loss(self, p, size):
        x, t = self.batch(size)
        return cross_entropy(self.apply(p, x).float(), t)

    def forward(self, size):
        with torch.no_grad():
            self.loss(self.weights, size)

    def forward_gradient(self, size):
        with torch.no_grad():
            v = [torch.randn_like(p) for p in self.weights]
            _, c = jvp(lambda *p: self.loss(p, size), tuple(self.weights), tuple(v))
            scale = -rate * float(c)
            for p, direction in zip(self.weights, v):
                p.add_(direction, alpha=scale)

    def backprop(self, size):
        gradients = torch.autograd.grad(self.loss(self.trained, size), self.trained)
        with torch.no_grad():
            for p, g in zip(self.trained, gradients):
                p.sub_(g, alpha=rate)


works = {}
for model in models:
    for precision in precisions:
        net = Net(model, precision)
        subject = f"{model} {precision}"
        works[f"{subject} forward"] = net.forward
        works[f"{subject} forward gradient"] = net.forward_gradient
        works[f"{subject} backprop"] = net.backprop
print(json.dumps({"version": torch.__version__, "works": list(works)}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    try:
        work = works[request["work"]]
        start, cpu = time.perf_counter(), time.process_time()
        for _ in range(request["count"]):
            work(request["batch"])
        wall = time.perf_counter() - start
        answer = {"milliseconds": 1e3 * wall / request["count"], "cores": (time.process_time() - cpu) / wall}
    except (RuntimeError, NotImplementedError) as error:
        answer = {"failed": str(error).split("\n")[0]}
    print(json.dumps(answer), flush=True)
