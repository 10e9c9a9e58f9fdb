#!/usr/bin/env python3
"""Values and gradients of every layer of Net, and of losses by name, from PyTorch's modules in f64 (CPU).

Usage: layers_torch.py OUT.safetensors        needs: torch, numpy, safetensors

Cases (metadata "cases": JSON list of {name, layer, args, inputs, outputs, params}): <name>/in/<i>, <name>/param/<PyTorch's name>,
<name>/out/<i>, <name>/din/<i> and <name>/dparam/<..> for the gradient of the sum of outputs times sin(1), sin(2), .. (rounded to
f32, counted anew for each output). Batch normalisation's: <name>/step/<i>/{in,out}, after all of them <name>/buffer/<..>, and
<name>/eval of <name>/step/0/in. Inputs are exact in f32, results are rounded to it.
"""
import json, math, sys
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
tensors, cases, seen = {}, [], {}
rng = np.random.default_rng(45)


def exact(x):
    return x.to(torch.float32).to(torch.float64)


def draw(*shape, scale=1.0):
    return exact(torch.from_numpy(rng.standard_normal(shape)) * scale)


def share(*shape):
    return exact(torch.from_numpy(rng.uniform(0.05, 0.95, shape)))


def weight(y):
    n = y.numel()
    return torch.from_numpy(np.sin(np.arange(1, n + 1, dtype=np.float64)).astype(np.float32)).double().reshape(y.shape)


def keep(key, x):
    x = x.detach()
    tensors[key] = (x.float() if x.is_floating_point() else x.long()).contiguous().clone()


def begin(layer, module, prefix="layer."):
    seen[layer] = seen.get(layer, 0) + 1
    name = f"{layer}.{seen[layer]}"
    params = {prefix + k: v for k, v in module.named_parameters()} if module else {}
    for v in params.values():
        v.data = draw(*v.shape, scale=0.6)
    for k, v in params.items():
        keep(f"{name}/param/{k}", v)
    return name, params


def case(layer, module, inputs, args, call=None, prefix="layer.", still=()):
    name, params = begin(layer, module, prefix)
    xs = [x.clone().requires_grad_(x.is_floating_point() and i not in still) for i, x in enumerate(inputs)]
    ys = (call or module)(*xs)
    ys = list(ys) if isinstance(ys, (tuple, list)) else [ys]
    for i, x in enumerate(xs):
        keep(f"{name}/in/{i}", x)
    for i, y in enumerate(ys):
        keep(f"{name}/out/{i}", y)
    total = sum((y * weight(y)).sum() for y in ys)
    leaves = {f"din/{i}": x for i, x in enumerate(xs) if x.requires_grad} | {f"dparam/{k}": v for k, v in params.items()}
    for k, g in zip(leaves, torch.autograd.grad(total, list(leaves.values()))):
        keep(f"{name}/{k}", g)
    cases.append({"name": name, "layer": layer, "args": args, "inputs": len(inputs), "outputs": len(ys), "params": sorted(params)})


case("linear", nn.Linear(5, 3), [draw(2, 4, 5)], dict(out=3))
case("linear_no_bias", nn.Linear(5, 3, bias=False), [draw(4, 5)], dict(out=3))
twice = nn.Linear(5, 3)
case("shared", twice, [draw(4, 5), draw(2, 5)], dict(out=3), lambda a, b: [twice(a), twice(b)])
for told in [
    dict(out=4, kernel=(3, 2), stride=(1, 2), padding=(2, 0), dilation=(2, 1), groups=1, bias=True),
    dict(out=6, kernel=(2, 3), stride=(2, 1), padding=(0, 2), dilation=(1, 3), groups=2, bias=False),
    dict(out=4, kernel=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=4, bias=True),
]:
    own = {("kernel_size" if k == "kernel" else k): v for k, v in told.items() if k != "out"}
    case("conv2d", nn.Conv2d(4, told["out"], **own), [draw(2, 4, 7, 9)], told)
for told in [
    dict(out=3, kernel=(3, 2), stride=(2, 3), padding=(1, 0), dilation=(1, 2), groups=1, bias=True, output_padding=(1, 2)),
    dict(out=6, kernel=(2, 3), stride=(3, 1), padding=(0, 2), dilation=(2, 1), groups=2, bias=False, output_padding=(2, 0)),
]:
    own = {("kernel_size" if k == "kernel" else k): v for k, v in told.items() if k != "out"}
    case("conv_transpose2d", nn.ConvTranspose2d(4, told["out"], **own), [draw(2, 4, 4, 5)], told)
for last in [6, 7]:
    case("layer_norm", nn.LayerNorm(last), [draw(2, 3, last) + 1], {})
    for eps in [1e-6, 0.2]:
        case("rms_norm", nn.RMSNorm(last, eps=eps), [draw(2, 3, last) + 1], dict(eps=eps))
for groups in [1, 2, 6]:
    case("group_norm", nn.GroupNorm(groups, 6), [draw(2, 6, 3, 4) + 1], dict(groups=groups))
case("embedding", nn.Embedding(7, 3), [torch.from_numpy(rng.integers(0, 7, (2, 4)))], dict(entries=7, width=3))

# Batch normalisation: three steps of training, then evaluation by its statistics.
for shape in [(4, 3), (3, 2, 5), (2, 3, 4, 5)]:
    for eps, momentum in [(1e-5, 0.1), (0.1, 0.35)]:
        module = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(shape[1], eps=eps, momentum=momentum)
        name, params = begin("batch_norm", module)
        for step in range(3):
            x = (draw(*shape, scale=1.5) + step).requires_grad_()
            y = module(x)
            keep(f"{name}/step/{step}/in", x)
            keep(f"{name}/step/{step}/out", y)
            grads = torch.autograd.grad((y * weight(y)).sum(), [x, *params.values()])
            for k, g in zip(["din", *(f"dparam/{k}" for k in params)], grads):
                keep(f"{name}/step/{step}/{k}", g)
        for k, v in module.named_buffers():
            if "num_batches" not in k:
                keep(f"{name}/buffer/layer.{k}", v)
        keep(f"{name}/eval", module.eval()(tensors[f"{name}/step/0/in"].double()))
        cases.append({"name": name, "layer": "batch_norm", "args": dict(eps=eps, momentum=momentum), "inputs": 1, "outputs": 1, "params": sorted(params)})

# Recurrent layers.
for kind in ["rnn_tanh", "rnn_relu", "lstm", "gru"]:
    make = {"rnn_tanh": nn.RNN, "rnn_relu": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind]
    more = dict(nonlinearity="relu") if kind == "rnn_relu" else {}
    for layers, both, begun in [(1, False, False), (2, True, False), (2, False, True), (1, True, True)]:
        module = make(3, 4, layers, batch_first=True, bidirectional=both, **more)
        cells, states = layers * (2 if both else 1), (2 if kind == "lstm" else 1)
        start = [draw(2, 4) for _ in range(cells * states)] if begun else []

        def call(x, *start):
            if start:
                h = torch.stack(start[:cells])
                y, last = module(x, (h, torch.stack(start[cells:])) if kind == "lstm" else h)
            else:
                y, last = module(x)
            last = [*last[0], *last[1]] if kind == "lstm" else list(last)
            return [y, *last]
        told = dict(kind=kind, layers=layers, bidirectional=both, hidden=4)
        case("recurrent_from" if begun else "recurrent", module, [draw(2, 5, 3), *start], told, call)


class Shared(nn.Module):
    """Self-attention with keys and values shared by groups of queries, and rotary positions if a base is given."""

    def __init__(self, width, queries, keys, causal, base):
        super().__init__()
        self.queries, self.keys, self.size, self.causal, self.base = queries, keys, width // queries, causal, base
        self.in_proj_weight = nn.Parameter(torch.zeros((queries + 2 * keys) * self.size, width))
        self.in_proj_bias = nn.Parameter(torch.zeros((queries + 2 * keys) * self.size))
        self.out_proj = nn.Linear(width, width)

    def turned(self, x):
        if self.base is None:
            return x
        half = self.size // 2
        angle = torch.arange(x.shape[2]).double()[:, None] * self.base ** (-2.0 * torch.arange(half).double() / self.size)
        turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([turned.real, turned.imag], -1)

    def forward(self, x):
        b, t, width = x.shape
        sizes = [self.queries * self.size, self.keys * self.size, self.keys * self.size]
        q, k, v = (p.reshape(b, t, -1, self.size).transpose(1, 2) for p in F.linear(x, self.in_proj_weight, self.in_proj_bias).split(sizes, -1))
        y = F.scaled_dot_product_attention(self.turned(q), self.turned(k), v, is_causal=self.causal, enable_gqa=True)
        return self.out_proj(y.transpose(1, 2).reshape(b, t, width))


for width, heads, causal in [(8, 2, False), (8, 2, True), (6, 2, True), (10, 2, False)]:
    module = nn.MultiheadAttention(width, heads, batch_first=True)
    hide = ~torch.ones(5, 5, dtype=torch.bool).tril() if causal else None
    case("multihead_attention", module, [draw(2, 5, width)], dict(queries=heads, keys=heads, causal=causal, rotary=None),
         lambda x: module(x, x, x, attn_mask=hide, need_weights=False)[0])
for width, queries, keys, causal, base in [(16, 4, 2, True, None), (12, 4, 1, False, None), (16, 4, 2, True, 1e4), (12, 2, 1, False, 30.0)]:
    case("multihead_attention", Shared(width, queries, keys, causal, base), [draw(2, 5, width)],
         dict(queries=queries, keys=keys, causal=causal, rotary=base))
case("dropout", None, [draw(3, 4)], dict(p=0.4), lambda x: F.dropout(x, 0.4, training=False))

# Losses by name.
labels = torch.tensor([2, -100, 0, 3])
case("loss", None, [draw(2, 2, 4), labels.reshape(2, 2)], dict(kind="cross_entropy", label_smoothing=0.0),
     lambda x, y: F.cross_entropy(x.flatten(0, 1), y.flatten()))
case("loss", None, [draw(4, 4), labels], dict(kind="cross_entropy", label_smoothing=0.3), lambda x, y: F.cross_entropy(x, y, label_smoothing=0.3))
case("loss", None, [draw(4, 4), labels], dict(kind="nll"), F.nll_loss)
case("loss", None, [draw(4, 4), torch.tensor([2, 1, 0, 3])], dict(kind="multi_margin"), F.multi_margin_loss)
case("loss", None, [draw(3, 4), draw(3, 4)], dict(kind="mse"), F.mse_loss)
case("loss", None, [draw(3, 4), draw(3, 4)], dict(kind="l1"), F.l1_loss)
case("loss", None, [draw(3, 4), draw(3, 4)], dict(kind="huber", delta=0.4), lambda x, y: F.huber_loss(x, y, delta=0.4))
case("loss", None, [draw(3, 4), share(3, 4)], dict(kind="kl_div"), lambda x, y: F.kl_div(x, y, reduction="batchmean"))
case("loss", None, [draw(2, 3), torch.tensor([[1.0, -1, 1], [-1, -1, 1]])], dict(kind="hinge"), lambda x, y: (1 - x * y).clamp_min(0).mean())
case("loss", None, [share(3, 4), share(3, 4)], dict(kind="bce"), F.binary_cross_entropy)
case("loss", None, [draw(3, 4), share(3, 4)], dict(kind="bce_with_logits"), F.binary_cross_entropy_with_logits)


def focal(x, y):
    p = torch.sigmoid(x)
    missed = 1 - (p * y + (1 - p) * (1 - y))
    return ((0.3 * y + 0.7 * (1 - y)) * missed ** 1.5 * F.binary_cross_entropy_with_logits(x, y, reduction="none")).mean()


case("loss", None, [draw(3, 4), share(3, 4)], dict(kind="focal", alpha=0.3, gamma=1.5), focal)
case("loss", None, [share(3, 4), share(3, 4)], dict(kind="dice", smooth=0.7),
     lambda p, y: 1 - ((2 * (p * y).sum(1) + 0.7) / (p.sum(1) + y.sum(1) + 0.7)).mean())

save_file(tensors, sys.argv[1], {"torch": torch.__version__, "cases": json.dumps(cases, separators=(",", ":"))})
print(len(cases), "cases,", len(set(c["layer"] for c in cases)), "layers")
