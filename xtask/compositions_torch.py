#!/usr/bin/env python3
"""Values and gradients of every method of Tensor, from PyTorch in f64 (CPU), several settings each, unequal along the axes.

Usage: compositions_torch.py OUT.safetensors        needs: torch, numpy, safetensors

Cases (metadata "cases": JSON list of {name, method, inputs, outputs, args}): <name>/in/<i>, <name>/out/<i>, <name>/din/<i> for
the gradient of the sum of outputs times sin(1), sin(2), .. (rounded to f32, counted anew for each output). Inputs are exact in
f32, results are rounded to it. Where PyTorch has no such function, plain NumPy or a definition written out here.
"""
import json, math, sys
import numpy as np, torch, torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
tensors, cases, seen = {}, [], {}


def draw(*shape, scale=1.0, positive=False):
    x = torch.from_numpy(rng.standard_normal(shape)) * scale
    x = x.abs() + 0.2 if positive else x
    return x.to(torch.float32).to(torch.float64)


def whole(high, *shape):
    return torch.from_numpy(rng.integers(0, high, shape))


def share(*shape):
    """Numbers in (0, 1)."""
    return (torch.from_numpy(rng.uniform(0.05, 0.95, shape))).to(torch.float32).to(torch.float64)


def weight(y):
    n = y.numel()
    return torch.from_numpy(np.sin(np.arange(1, n + 1, dtype=np.float64)).astype(np.float32)).double().reshape(y.shape)


def case(method, f, inputs, still=(), **args):
    """One case; `still` numbers inputs without a gradient."""
    seen[method] = seen.get(method, 0) + 1
    name = f"{method}.{seen[method]}"
    xs = [x.clone().requires_grad_(x.is_floating_point() and i not in still) for i, x in enumerate(inputs)]
    ys = f(*xs)
    ys = list(ys) if isinstance(ys, (tuple, list)) else [ys]
    for i, x in enumerate(xs):
        x = x.detach()
        tensors[f"{name}/in/{i}"] = (x.float() if x.is_floating_point() else x.long()).contiguous().clone()
    for i, y in enumerate(ys):
        y = y.detach()
        tensors[f"{name}/out/{i}"] = (y.float() if y.is_floating_point() else y.long()).contiguous().clone()
    real = [i for i, x in enumerate(xs) if x.requires_grad]
    smooth = [y for y in ys if y.requires_grad]
    if smooth and real:
        total = sum((y * weight(y)).sum() for y in smooth)
        for i, g in zip(real, torch.autograd.grad(total, [xs[i] for i in real], allow_unused=True)):
            if g is not None:
                tensors[f"{name}/din/{i}"] = g.float().contiguous().clone()
    cases.append({"name": name, "method": method, "inputs": len(inputs), "outputs": len(ys), "args": args})


rng = np.random.default_rng(18)

# Element by element.
for name in "abs sign floor exp expm1 sin cos tanh erf sigmoid square relu".split():
    case(name, getattr(torch, name), [draw(3, 5)])
for name in "log log1p sqrt rsqrt reciprocal".split():
    case(name, getattr(torch, name), [draw(3, 5, positive=True)])
case("softplus", F.softplus, [draw(3, 5, scale=3)])
case("finite", lambda x: x.isfinite().double(), [torch.tensor([1.0, math.inf, -math.inf, math.nan, -3.5, 0.0])], still=(0,))
case("pow", torch.pow, [draw(3, 5, positive=True), draw(5)])
for e in [0.0, 0.5, 1.0, 2.0, 3.0, -0.5, -1.0, -2.0, 1.7, -1.3]:
    case("powf", lambda x: x ** e, [draw(2, 3, positive=True)], exponent=e)
for name in ["maximum", "minimum"]:
    case(name, getattr(torch, name), [draw(3, 1, 5), draw(2, 1)])
for name in "eq ne lt le gt ge".split():
    case(name, getattr(torch, name), [whole(3, 4, 5), whole(3, 5)])
case("select", lambda c, a, b: torch.where(c.bool(), a, b), [whole(2, 4, 1), draw(4, 3), draw(3)])
case("cast", lambda x: (x != 0).double(), [torch.tensor([0.0, 1.0, -2.5])], still=(0,))
case("to_f32", lambda x: x.double() + 0, [whole(9, 5)])
for a, b in [((3, 1, 4), (2, 1)), ((5,), (2, 3, 5))]:
    case("add", lambda x, y: x + y, [draw(*a), draw(*b)])
    case("sub", lambda x, y: x - y, [draw(*a), draw(*b)])
    case("mul", lambda x, y: x * y, [draw(*a), draw(*b)])
    case("div", lambda x, y: x / y, [draw(*a), draw(*b, positive=True)])
case("neg", lambda x: -x, [draw(2, 3)])
for name, f in [("add", lambda x: 1.5 + x), ("sub", lambda x: 1.5 - x), ("mul", lambda x: 1.5 * x), ("div", lambda x: 1.5 / x)]:
    case(f"number_{name}", f, [draw(2, 3, positive=True)])
for name, f in [("add", lambda x: x + 1.5), ("sub", lambda x: x - 1.5), ("mul", lambda x: x * 1.5), ("div", lambda x: x / 1.5)]:
    case(f"{name}_number", f, [draw(2, 3)])

# Activations.
for slope in [0.01, 0.3]:
    case("leaky_relu", lambda x: F.leaky_relu(x, slope), [draw(3, 7)], slope=slope)
for alpha in [1.0, 0.4]:
    case("elu", lambda x: F.elu(x, alpha), [draw(3, 7)], alpha=alpha)
case("gelu", F.gelu, [draw(3, 7, scale=2)])
case("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), [draw(3, 7, scale=2)])
case("silu", F.silu, [draw(3, 7, scale=2)])
case("mish", F.mish, [draw(3, 7, scale=2)])
case("hardswish", F.hardswish, [draw(3, 7, scale=3)])
case("relu6", F.relu6, [draw(3, 7, scale=6)])
case("clamp", lambda x: x.clamp(-0.3, 0.8), [draw(3, 7)], low=-0.3, high=0.8)

# Reductions.
for axes in [[0], [1], [0, 2], [0, 1, 2]]:
    for name, f in [("sum", torch.sum), ("mean", torch.mean), ("amax", torch.amax)]:
        case(name, lambda x: f(x, axes), [draw(3, 4, 5)], axes=axes)
        case(name + "_keep", lambda x: f(x, axes, keepdim=True), [draw(3, 4, 5)], axes=axes)
    case("amin", lambda x: x.amin(axes), [draw(3, 4, 5)], axes=axes)
    case("logsumexp_keep", lambda x: x.logsumexp(axes, keepdim=True), [draw(3, 4, 5, scale=3)], axes=axes)
    for correction in [0, 1, 2]:
        case("var", lambda x: x.var(axes, correction=correction), [draw(3, 4, 5)], axes=axes, correction=correction)
case("sum_all", torch.sum, [draw(3, 4, 5)])
case("mean_all", torch.mean, [draw(3, 4, 5)])
for dim in [0, 1, -1]:
    case("argmax", lambda x: x.argmax(dim), [draw(3, 4, 5)], dim=dim)
    case("cumsum", lambda x: x.cumsum(dim), [draw(3, 4, 7)], dim=dim)
    case("logsumexp", lambda x: x.logsumexp(dim), [draw(3, 4, 5, scale=3)], dim=dim)
    case("softmax", lambda x: x.softmax(dim), [draw(3, 4, 5, scale=2)], dim=dim)
    case("log_softmax", lambda x: x.log_softmax(dim), [draw(3, 4, 5, scale=2)], dim=dim)
for to in [[3, 1, 5], [1, 5], [4, 1], [], [2, 3, 4, 5]]:
    case("sum_to", lambda x: x.sum_to_size(to), [draw(2, 3, 4, 5)], shape=to)

# Movement.
case("detach", lambda x: x.detach() * x, [draw(3, 4)])
case("reshape", lambda x: x.reshape(2, 6), [draw(3, 4)], shape=[2, 6])
for start in [0, 1, 2]:
    case("flatten", lambda x: x.flatten(start), [draw(2, 3, 4)], start=start)
for axis in [0, 1, 2]:
    case("unsqueeze", lambda x: x.unsqueeze(axis), [draw(2, 3)], axis=axis)
case("squeeze", lambda x: x.squeeze(1), [draw(2, 1, 3)], axis=1)
case("permute", lambda x: x.permute(2, 0, 3, 1), [draw(2, 3, 4, 5)], axes=[2, 0, 3, 1])
case("transpose", lambda x: x.transpose(0, 2), [draw(2, 3, 4)], a=0, b=2)
case("t", lambda x: x.mT, [draw(2, 3, 4)])
case("broadcast_to", lambda x: x.expand(2, 3, 4), [draw(3, 1)], shape=[2, 3, 4])
case("slice", lambda x: x[1:3, 2:3, 0:4], [draw(4, 3, 5)], ranges=[[1, 2], [2, 1], [0, 4]])
case("narrow", lambda x: x.narrow(1, 2, 3), [draw(2, 6, 3)], axis=1, start=2, len=3)
case("pad", lambda x: F.pad(x, (1, 2, 3, 0)), [draw(2, 3)], pads=[[3, 0], [1, 2]])
for axis, n in [(0, 1), (1, 3), (2, 11)]:
    shape = [2, 3, 4]
    shape[axis] = n
    case("unbind", lambda x: x.unbind(axis), [draw(*shape)], axis=axis)
for axis in [0, 1, 2]:
    case("stack", lambda *x: torch.stack(x, axis), [draw(2, 3) for _ in range(3 + 3 * axis)], axis=axis)
case("concat", lambda *x: torch.cat(x, 1), [draw(2, n, 3) for n in (1, 2, 3)], axis=1)
case("concat", lambda *x: torch.cat(x, 0), [draw(n, 3) for n in (1, 2, 1, 3, 1, 2)], axis=0)

# Products, convolutions, pools.
case("matmul", torch.matmul, [draw(2, 3, 4, 5), draw(5, 2)])
case("matmul", torch.matmul, [draw(2, 3, 4), draw(2, 4, 5)])
case("matmul", torch.matmul, [draw(3, 1, 2, 4), draw(2, 4, 5)])
case("linear", F.linear, [draw(2, 3, 4), draw(5, 4), draw(5)])
case("linear", F.linear, [draw(3, 4), draw(5, 4)])
CONVS = [
    dict(x=(2, 3, 9, 8), out=4, kernel=(3, 2), stride=(1, 2), padding=(2, 0), dilation=(2, 1), groups=1),
    dict(x=(1, 4, 7, 11), out=6, kernel=(2, 3), stride=(2, 1), padding=(0, 2), dilation=(1, 3), groups=2),
    dict(x=(2, 3, 6, 7), out=3, kernel=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=3),
    dict(x=(1, 8, 9, 10), out=8, kernel=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1),
    dict(x=(2, 2, 5, 6), out=3, kernel=(1, 1), stride=(3, 2), padding=(0, 0), dilation=(1, 1), groups=1),
]
for n, c in enumerate(CONVS):
    told = {k: c[k] for k in ("stride", "padding", "dilation", "groups")}
    x, w = draw(*c["x"]), draw(c["out"], c["x"][1] // c["groups"], *c["kernel"])
    case("conv2d", lambda *a: F.conv2d(*a, **told), [x, w, draw(c["out"])] if n != 1 else [x, w], **told)
    y = F.conv2d(x, w, **told)
    dy = draw(*y.shape)
    case("conv2d_input_grad", lambda dy, w: torch.nn.grad.conv2d_input(x.shape, w, dy, **told), [dy, w], size=c["x"][2:], **told)
    case("conv2d_weight_grad", lambda x, dy: torch.nn.grad.conv2d_weight(x, w.shape, dy, **told), [x, dy], kernel=c["kernel"], **told)
TRANSPOSED = [
    dict(x=(2, 4, 3, 5), out=3, kernel=(3, 2), stride=(2, 3), padding=(1, 0), dilation=(1, 2), groups=1, more=(1, 2)),
    dict(x=(1, 4, 4, 3), out=6, kernel=(2, 3), stride=(3, 1), padding=(0, 2), dilation=(2, 1), groups=2, more=(0, 0)),
    dict(x=(1, 2, 4, 5), out=3, kernel=(2, 3), stride=(1, 2), padding=(1, 2), dilation=(3, 2), groups=1, more=(2, 1)),
]
for n, c in enumerate(TRANSPOSED):
    told = {k: c[k] for k in ("stride", "padding", "dilation", "groups")}
    inputs = [draw(*c["x"]), draw(c["x"][1], c["out"] // c["groups"], *c["kernel"]), draw(c["out"])]
    inputs = inputs if n != 1 else inputs[:2]
    case("conv_transpose2d", lambda *a: F.conv_transpose2d(*a, **told, output_padding=c["more"]), inputs, output_padding=c["more"], **told)
POOLS = [((3, 2), (2, 1), (1, 0)), ((2, 3), (1, 3), (0, 1)), ((2, 2), (2, 2), (0, 0))]
for kernel, stride, padding in POOLS:
    told = dict(kernel=kernel, stride=stride, padding=padding)
    for name, f in [("max", F.max_pool2d), ("avg", F.avg_pool2d)]:
        x = draw(2, 3, 7, 6)
        pool = lambda x: f(x, kernel, stride, padding)
        case(f"{name}_pool2d", pool, [x], **told)
        dy = draw(*pool(x).shape)

        def grad(dy):
            leaf = x.clone().requires_grad_()
            return torch.autograd.grad(pool(leaf), leaf, dy, create_graph=True)[0]
        if name == "max":
            case("max_pool2d_grad", lambda x, dy: grad(dy), [x, dy], still=(0,), **told)
        else:
            case("avg_pool2d_grad", grad, [dy], size=[7, 6], **told)
for size in [(2, 3), (3, 4), (5, 1), (6, 9)]:
    case("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, size), [draw(2, 2, 6, 9)], size=size)
for size in [(8, 15), (7, 3), (4, 11), (3, 5), (2, 2), (9, 5)]:
    case("interpolate", lambda x: F.interpolate(x, size), [draw(1, 2, 4, 5)], size=size, mode="nearest")
    case("interpolate", lambda x: F.interpolate(x, size, mode="bilinear"), [draw(1, 2, 4, 5)], size=size, mode="bilinear")

# Normalisation.
for size, alpha, beta, k in [(5, 1e-1, 0.75, 1.0), (4, 0.3, 0.5, 2.0), (1, 0.2, 1.3, 0.5), (3, 2.0, 0.75, 1.0)]:
    case("local_response_norm", lambda x: F.local_response_norm(x, size, alpha, beta, k), [draw(2, 7, 2, 3)], size=size, alpha=alpha, beta=beta, k=k)
for shape in [(4, 3), (3, 2, 5), (2, 3, 4, 5)]:
    for eps in [1e-5, 0.1]:
        def train(x, w, b):
            axes = [d for d in range(x.dim()) if d != 1]
            n = x.numel() // x.shape[1]
            mean, var = torch.zeros(x.shape[1]), torch.zeros(x.shape[1])
            y = F.batch_norm(x, mean, var, w, b, True, 1.0, eps)
            # Statistics with a momentum of 1 are the batch's own.
            assert torch.allclose(mean, x.detach().mean(axes)) and torch.allclose(var, x.detach().var(axes, correction=1))
            return y, mean, var
        case("batch_norm_train", train, [draw(*shape) * 2 + 1, draw(shape[1]), draw(shape[1])], eps=eps)
        case("batch_norm_eval", lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b, False, 0.1, eps),
             [draw(*shape), draw(shape[1]), draw(shape[1], positive=True), draw(shape[1]), draw(shape[1])], still=(1, 2), eps=eps)
for shape, last in [((3, 7), (7,)), ((2, 3, 5), (3, 5)), ((2, 3, 4), (4,))]:
    for eps in [1e-5, 0.3]:
        case("layer_norm", lambda x, w, b: F.layer_norm(x, last, w, b, eps), [draw(*shape) + 2, draw(*last), draw(*last)], eps=eps)
        case("rms_norm", lambda x, w: F.rms_norm(x, last, w, eps), [draw(*shape) + 1, draw(*last)], eps=eps)
    case("layer_norm", lambda x, w: F.layer_norm(x, last, w, None, 1e-5), [draw(*shape), draw(*last)], eps=1e-5)
for shape in [(2, 6), (3, 6, 5), (2, 6, 3, 2)]:
    for groups in [1, 2, 3, 6]:
        if len(shape) == 2 and groups == 6:
            continue
        eps = [1e-5, 0.2][groups % 2]
        # As many groups as channels are instance normalisation.
        case("group_norm", lambda x, w, b: F.group_norm(x, groups, w, b, eps), [draw(*shape) + 1, draw(6), draw(6)], groups=groups, eps=eps)
y = draw(2, 3, 4, 5)
assert torch.allclose(F.group_norm(y, 3), F.instance_norm(y))

# Lookup.
case("gather", lambda x, i: x.gather(0, i), [draw(5, 3), whole(5, 4, 3)], axis=0)
case("gather", lambda x, i: x.gather(1, i), [draw(3, 6, 2), whole(6, 3, 4, 2)], axis=1)
case("gather_grad", lambda dy, i: torch.zeros(5, 3).scatter_add(0, i, dy), [draw(4, 3), whole(5, 4, 3)], axis=0, size=5)
case("gather_grad", lambda dy, i: torch.zeros(3, 6, 2).scatter_add(1, i, dy), [draw(3, 4, 2), whole(6, 3, 4, 2)], axis=1, size=6)
for shape in [(5,), (2, 3)]:
    case("embedding", lambda w, i: F.embedding(i, w), [draw(6, 3), whole(6, *shape)])

# Attention: head sizes of the one kernel and of the composition, shared heads, single queries, unequal lengths.
for b, h, g, l, s, d, e, causal in [
    (2, 4, 4, 3, 5, 8, 4, False), (1, 4, 2, 5, 5, 4, 8, True), (2, 6, 2, 3, 4, 4, 4, False), (1, 2, 1, 3, 5, 8, 8, True),
    (2, 2, 2, 3, 5, 5, 3, False), (1, 4, 2, 4, 4, 3, 5, True), (1, 6, 3, 2, 5, 6, 6, False), (1, 6, 2, 5, 3, 7, 4, True),
    (2, 4, 2, 1, 5, 8, 8, False), (1, 2, 1, 1, 3, 4, 4, True), (1, 4, 1, 6, 6, 2, 2, True),
]:
    sdpa = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
    q, k, v = draw(b, h, l, d), draw(b, g, s, d), draw(b, g, s, e)
    case("scaled_dot_product_attention", sdpa, [q, k, v], causal=causal)

    def lse(q, k):
        scores = q @ k.repeat_interleave(h // g, 1).mT / math.sqrt(d)
        if causal:
            scores = scores.masked_fill(~torch.ones(l, s, dtype=torch.bool).tril(), -math.inf)
        return scores.logsumexp(-1)
    case("attention_lse", lse, [q, k], still=(0, 1), causal=causal)
    if d % 4 == 0 and e % 4 == 0:
        dy = draw(b, l, h, e)
        leaves = [t.clone().requires_grad_() for t in (q, k, v)]
        y = sdpa(*leaves)
        found = torch.autograd.grad(y, leaves, dy.transpose(1, 2))
        delta = (dy.transpose(1, 2) * y.detach()).sum(-1)
        inputs = [q, k, v, dy, lse(q, k).float().double(), delta.float().double()]
        for of, grad in zip("qkv", found):
            if causal and l == 1 and of in "qk":
                # One key is seen: its weight is 1 whatever the scores.
                continue
            case("attention_grad", lambda *_: grad.transpose(1, 2), inputs, still=range(6), causal=causal, of=of)
for b, h, l, s, d, e, mask in [(2, 3, 4, 5, 8, 4, (2, 1, 4, 5)), (1, 2, 3, 4, 5, 3, (1, 2, 1, 4)), (2, 2, 3, 3, 4, 4, (3, 3))]:
    m = whole(2, *mask)
    m[..., 0] = 1
    case("masked_dot_product_attention", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m.bool()),
         [draw(b, h, l, d), draw(b, h, s, d), draw(b, h, s, e), m])
window = (torch.arange(6)[:, None] - torch.arange(6)[None]).abs() <= 1
case("masked_dot_product_attention", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m.bool()),
     [draw(1, 2, 6, 3) for _ in range(3)] + [window.long()])
case("repeat_heads", lambda x: x.repeat_interleave(3, 1), [draw(2, 2, 3, 4)], times=3)


def rotary(x, at, base):
    """LLaMA's: each pair (x[i], x[i + D/2]) as a complex number times exp(i p base^(-2 i / D))."""
    half = x.shape[3] // 2
    angle = at[:, None].double() * base ** (-2.0 * torch.arange(half).double() / x.shape[3])
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([turned.real, turned.imag], -1)


for d, base in [(6, 1e4), (4, 50.0), (2, 1e4)]:
    case("rotary", lambda x, at: rotary(x, at, base), [draw(2, 3, 5, d), torch.tensor([0, 3, 1, 11, 7])], limit=12, base=base)
for width in [6, 5]:
    at = torch.tensor([[0, 1, 2], [9, 4, 7]])
    table = [[(math.sin if c % 2 == 0 else math.cos)(p / 1e4 ** ((c - c % 2) / width)) for c in range(width)] for p in at.flatten().tolist()]
    case("sinusoidal_positions", lambda _: torch.tensor(table).reshape(2, 3, width), [at], limit=10, width=width)

# Cells: gates of the input, state before, weights.
for relu in [False, True]:
    for begun in [True, False]:
        cell = torch.nn.RNNCell(3, 4, nonlinearity="relu" if relu else "tanh")

        def rnn(gates, w, b, *h):
            eye = torch.cat([torch.eye(4)])
            return torch.func.functional_call(torch.nn.RNNCell(4, 4, nonlinearity=cell.nonlinearity),
                dict(weight_ih=eye, bias_ih=torch.zeros(4), weight_hh=w, bias_hh=b), (gates, *h))
        case("rnn_cell", rnn, [draw(3, 4), draw(4, 4), draw(4)] + ([draw(3, 4)] if begun else []), relu=relu)
for begun in [True, False]:
    def lstm(gates, w, b, *state):
        return torch.func.functional_call(torch.nn.LSTMCell(16, 4), dict(weight_ih=torch.eye(16), bias_ih=torch.zeros(16),
            weight_hh=w, bias_hh=b), (gates, state) if state else (gates,))

    def gru(gates, w, b, *h):
        return torch.func.functional_call(torch.nn.GRUCell(12, 4), dict(weight_ih=torch.eye(12), bias_ih=torch.zeros(12),
            weight_hh=w, bias_hh=b), (gates, *h))
    case("lstm_cell", lstm, [draw(3, 16), draw(16, 4), draw(16)] + ([draw(3, 4), draw(3, 4)] if begun else []))
    case("gru_cell", gru, [draw(3, 12), draw(12, 4), draw(12)] + ([draw(3, 4)] if begun else []))

# Losses.
IGNORED = [2, -100, 0, 4, -100, 1]
for smoothing in [0.0, 0.1, 0.7]:
    for labels, ignore in [([2, 3, 0, 4, 1, 1], -100), (IGNORED, -100), ([2, 3, 0, 3, 1, 1], 3)]:
        if smoothing and ignore == -100 and labels is IGNORED:
            # Ignored rows count neither in the sum nor in the mean, smoothed or not.
            x = draw(6, 5)
        case("cross_entropy", lambda x, y: F.cross_entropy(x, y, ignore_index=ignore, label_smoothing=smoothing),
             [draw(6, 5, scale=2), torch.tensor(labels)], label_smoothing=smoothing, ignore_index=ignore)
case("cross_entropy", lambda x, y: x.sum() * 0, [draw(2, 3), torch.tensor([-100, -100])], label_smoothing=0.0, ignore_index=-100)
for labels, ignore in [([2, 3, 0, 4, 1, 1], -100), (IGNORED, -100), ([2, 3, 0, 3, 1, 1], 3)]:
    case("nll_loss", lambda x, y: F.nll_loss(x, y, ignore_index=ignore), [draw(6, 5), torch.tensor(labels)], ignore_index=ignore)
case("mse_loss", F.mse_loss, [draw(3, 4), draw(3, 4)])
case("l1_loss", F.l1_loss, [draw(3, 4), draw(3, 4)])
for delta in [1.0, 0.3, 2.5]:
    case("huber_loss", lambda x, y: F.huber_loss(x, y, delta=delta), [draw(3, 5, scale=2), draw(3, 5)], delta=delta)
# The target's gradient is that of a function of logarithms, which are held at -100: no target at 0 or 1 of its own.
case("bce_loss", F.binary_cross_entropy, [share(3, 4), share(3, 4)])
case("bce_loss", F.binary_cross_entropy, [torch.tensor([0.0, 1.0, 0.25, 1.0, 0.0]), torch.tensor([1.0, 0.0, 1.0, 0.5, 0.0])], still=(1,))
case("bce_with_logits_loss", F.binary_cross_entropy_with_logits, [draw(3, 4, scale=3), share(3, 4)])
for shape in [(3, 4), (2, 3, 4)]:
    case("kl_div", lambda x, y: F.kl_div(x, y, reduction="batchmean"), [draw(*shape), share(*shape)])
case("kl_div", lambda x, y: F.kl_div(x, y, reduction="batchmean"), [draw(2, 3), torch.tensor([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])], still=(1,))
sides = torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
case("hinge_loss", lambda x, y: (1 - x * y).clamp_min(0).mean(), [draw(2, 3, scale=2), sides], still=(1,))
case("multi_margin_loss", F.multi_margin_loss, [draw(4, 5, scale=2), torch.tensor([0, 4, 2, 2])])


def focal(x, y, alpha, gamma):
    """torchvision.ops.sigmoid_focal_loss(reduction="mean"); torchvision is not installed with torch."""
    p = torch.sigmoid(x)
    ce = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    p_t = p * y + (1 - p) * (1 - y)
    return ((alpha * y + (1 - alpha) * (1 - y)) * ce * (1 - p_t) ** gamma).mean()


for alpha, gamma in [(0.25, 2.0), (0.8, 1.5), (0.4, 0.0), (0.1, 1.0)]:
    case("sigmoid_focal_loss", lambda x, y: focal(x, y, alpha, gamma), [draw(3, 4, scale=2), torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 1]]).double()],
         still=(1,), alpha=alpha, gamma=gamma)
    case("sigmoid_focal_loss", lambda x, y: focal(x, y, alpha, gamma), [draw(3, 4, scale=2), share(3, 4)], alpha=alpha, gamma=gamma)
for smooth in [1.0, 0.1]:
    def dice(p, y):
        total = 0
        for i in range(p.shape[0]):
            total = total + (2 * (p[i] * y[i]).sum() + smooth) / (p[i].sum() + y[i].sum() + smooth)
        return 1 - total / p.shape[0]
    case("dice_loss", dice, [share(3, 2, 4), share(3, 2, 4)], smooth=smooth)
case("correct", lambda x, y: (x.argmax(-1) == y).double().sum(), [draw(6, 4), whole(4, 6)], still=(0,))

json_cases = json.dumps(cases, separators=(",", ":"))
save_file(tensors, sys.argv[1], {"torch": torch.__version__, "cases": json_cases})
print(len(cases), "cases,", len(set(c["method"] for c in cases)), "methods")
