"""One workload in PyTorch on the CPU: bench.py WORKLOAD [--threads N]. Prints `peer workload device metric value`, tab-separated.

The same workloads, names and timing as `measure` (benches/src/bin/measure.rs)."""
import argparse
import resource
import statistics
import time

BEGUN = time.perf_counter()
import torch
import torch.nn as nn
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("workload")
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(0)


def row(workload, metric, value):
    print("torch-" + torch.__version__.split("+")[0], workload, f"cpu{args.threads}t", metric, f"{value:.5g}", sep="\t", flush=True)


def times(workload, metric, items, run):
    first = time.perf_counter()
    run()
    row(workload, "first_step_ms", (time.perf_counter() - first) * 1e3)
    run()
    begun, taken = time.perf_counter(), []
    while len(taken) < 5 or (len(taken) < 40 and time.perf_counter() - begun < 4):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    row(workload, metric, items / statistics.median(taken))
    row(workload, metric + "_best", items / min(taken))
    row(workload, "ms", statistics.median(taken) * 1e3)


def cifar_cnn():
    return nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 10))


def alexnet(classes=10):
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(256 * 36, 4096), nn.ReLU(),
        nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, classes))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.ln1, self.ln2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (z.view(b, t, self.heads, d // self.heads).transpose(1, 2) for z in self.qkv(self.ln1(x)).split(d, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, d))
        return x + self.out(F.gelu(self.fc(self.ln2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, context, layers=4, heads=4, width=128, vocabulary=65):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.ln, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.tok(tokens) + self.pos(torch.arange(tokens.shape[1]))
        return self.head(self.ln(self.blocks(x))).flatten(0, 1)


def train(model, optimizer, x, y, metric, items):

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    step()
    row(args.workload, "start_to_first_step_s", time.perf_counter() - BEGUN)
    times(args.workload, metric, items, step)
    row(args.workload, "peak_rss_mb", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def kernels():
    def k(name, metric, amount, f):
        if args.workload in ("kernels", name):
            with torch.no_grad():
                times(name, metric, amount / 1e9, f)

    for n in (512, 1024, 2048):
        p, q = torch.randn(n, n), torch.randn(n, n)
        k(f"matmul_{n}", "GFLOP_per_s", 2 * n**3, lambda: p @ q)
    p, q = torch.randn(1, 4096), torch.randn(4096, 4096)
    k("gemv_4096", "GB_per_s", 4 * 4096**2, lambda: p @ q)
    x, w = torch.randn(8, 64, 56, 56), torch.randn(64, 64, 3, 3)
    conv = 2 * 8 * 64 * 56 * 56 * 64 * 9
    k("conv3x3_n8_c64_56", "GFLOP_per_s", conv, lambda: F.conv2d(x, w, None, 1, 1))
    for name, mask in (("conv3x3_igrad", (True, False, False)), ("conv3x3_wgrad", (False, True, False))):
        k(name, "GFLOP_per_s", conv, lambda: torch.ops.aten.convolution_backward(
            x, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask))
    xs, ws = torch.randn(8, 3, 224, 224), torch.randn(64, 3, 11, 11)
    k("conv11x11s4_n8_c3_224", "GFLOP_per_s", 2 * 8 * 64 * 55 * 55 * 3 * 121, lambda: F.conv2d(xs, ws, None, 4, 2))
    r = torch.randn(4096, 1024)
    g, b = torch.randn(1024), torch.randn(1024)
    k("softmax_4096x1024", "GB_per_s", 8 * r.numel(), lambda: torch.softmax(r, -1))
    k("layer_norm_4096x1024", "GB_per_s", 8 * r.numel(), lambda: F.layer_norm(r, (1024,), g, b))
    k("gelu_4096x1024", "GB_per_s", 8 * r.numel(), lambda: F.gelu(r))
    q, kk, v = (torch.randn(4, 8, 256, 64) for _ in range(3))
    k("attention_b4h8s256d64", "GFLOP_per_s", 4 * 4 * 8 * 256 * 256 * 64,
      lambda: F.scaled_dot_product_attention(q, kk, v, is_causal=True))
    dy = torch.randn(4, 8, 256, 64)

    def both_ways():
        x = [t.clone().requires_grad_() for t in (q, kk, v)]
        with torch.enable_grad():
            F.scaled_dot_product_attention(*x, is_causal=True).backward(dy)
        return torch.cat([t.grad for t in x])

    k("attention_b4h8s256d64_train", "GFLOP_per_s", 14 * 4 * 8 * 256 * 256 * 64, both_ways)


def images(model, optimizer, side, batch):
    x, y = torch.randn(batch, 3, side, side), torch.randint(10, (batch,))
    train(model, optimizer, x, y, "examples_per_s", batch)


model, _, number = args.workload.rpartition("_")
if model == "cifar_cnn":
    m = cifar_cnn()
    images(m, torch.optim.Adam(m.parameters(), 1e-3), 32, int(number[1:]))
elif model == "alexnet":
    m = alexnet()
    images(m, torch.optim.SGD(m.parameters(), 1e-3, momentum=0.9), 224, int(number[1:]))
elif model == "gpt":
    context = int(number[1:])
    m = Gpt(context)
    x, y = torch.randint(65, (12, context)), torch.randint(65, (12 * context,))
    train(m, torch.optim.AdamW(m.parameters(), 1e-3), x, y, "tokens_per_s", 12 * context)
else:
    kernels()
