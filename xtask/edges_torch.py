#!/usr/bin/env python3
"""Cases for wrong compositions and exchanged axes: unequal settings per axis, and large arguments. Values and
gradients from PyTorch (CPU, f64; inputs are f32 numbers).

Usage: edges_torch.py OUT.safetensors        needs: torch, numpy, safetensors

Cases (metadata "cases": JSON list of {name, op, args, inputs, large}): <name>/in/<i>, <name>/dy, <name>/out, <name>/din/<i>.
"""
import json, sys
import torch, torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(0)
tensors, cases = {}, []


def single(x):
    return x.float().double()


def draw(*shape, low=-2.0, high=2.0):
    return single(torch.rand(shape) * (high - low) + low)


def peaks(*shape):
    edges = torch.tensor([1000.0, 104.0, 103.0, 88.8, 88.6, 87.2, 20.0, 1.0])
    sign = torch.randint(0, 2, shape) * 2.0 - 1.0
    return single(edges[torch.randint(0, 8, shape)] * sign + torch.rand(*shape) * 4 - 2)


def case(name, op, args, f, *inputs, large=False):
    xs = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    y = f(*xs)
    dy = draw(*y.shape)
    for i, x in enumerate(inputs):
        tensors[f"{name}/in/{i}"] = x.clone().contiguous()
    tensors[f"{name}/dy"], tensors[f"{name}/out"] = dy, y.detach().contiguous()
    real = [i for i, x in enumerate(xs) if x.requires_grad]
    for i, g in zip(real, torch.autograd.grad(y, [xs[i] for i in real], dy)):
        tensors[f"{name}/din/{i}"] = g.contiguous()
    cases.append({"name": name, "op": op, "args": args, "inputs": len(inputs), "large": large})


def conv(name, x, w, stride, padding, dilation, groups=1):
    args = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    b = draw(w[0])
    case(name, "conv2d", args, lambda x, w, b: F.conv2d(x, w, b, **args), draw(*x), draw(*w), b)


def transposed(name, x, w, stride, padding, dilation, output_padding):
    args = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": output_padding}
    case(name, "conv_transpose2d", args, lambda x, w, b: F.conv_transpose2d(x, w, b, **args), draw(*x), draw(*w), draw(w[1]))


conv("conv_high", (2, 3, 13, 10), (5, 3, 3, 2), [2, 1], [1, 2], [2, 3])
conv("conv_wide", (2, 3, 10, 13), (5, 3, 2, 4), [1, 2], [2, 0], [3, 1])
conv("conv_channels", (1, 16, 9, 8), (12, 16, 2, 3), [1, 2], [2, 1], [3, 1])
conv("conv_grouped", (2, 4, 9, 11), (6, 2, 3, 2), [3, 2], [0, 2], [1, 4], 2)
conv("conv_depthwise", (2, 4, 9, 12), (4, 1, 2, 3), [2, 1], [0, 3], [3, 2], 4)
conv("conv_winograd", (1, 32, 6, 9), (32, 32, 3, 3), [1, 1], [2, 0], [1, 1])
conv("conv_dilated", (1, 2, 11, 9), (3, 2, 3, 3), [1, 1], [1, 1], [3, 2])
conv("conv_padded", (1, 2, 6, 6), (3, 2, 3, 3), [1, 1], [2, 0], [1, 1])
conv("conv_strided", (1, 2, 9, 9), (3, 2, 3, 3), [3, 2], [1, 1], [1, 1])
transposed("transposed_high", (2, 3, 5, 7), (3, 4, 3, 2), [2, 3], [1, 0], [2, 1], [1, 2])
transposed("transposed_wide", (1, 13, 6, 4), (13, 16, 2, 3), [1, 2], [2, 1], [3, 1], [0, 1])
transposed("transposed_far", (1, 3, 4, 5), (3, 2, 2, 3), [1, 2], [2, 1], [3, 2], [2, 1])
for name, kernel, stride, padding, shape in [("high", [4, 3], [3, 2], [2, 1], (2, 3, 11, 9)), ("wide", [2, 5], [1, 3], [0, 2], (2, 3, 7, 14))]:
    args = {"kernel": kernel, "stride": stride, "padding": padding}
    case(f"max_pool_{name}", "max_pool2d", args, lambda x: F.max_pool2d(x, kernel, stride, padding), draw(*shape))
    case(f"avg_pool_{name}", "avg_pool2d", args, lambda x: F.avg_pool2d(x, kernel, stride, padding), draw(*shape))
for name, shape, size in [("uneven", (2, 3, 13, 10), [4, 7]), ("even", (2, 3, 12, 8), [3, 4])]:
    case(f"adaptive_{name}", "adaptive_avg_pool2d", {"output": size}, lambda x: F.adaptive_avg_pool2d(x, size), draw(*shape))
for name, mode, shape, size in [("nearest", "nearest", (2, 2, 4, 5), [12, 10]), ("nearest_uneven", "nearest", (1, 2, 5, 7), [9, 3]),
                                ("bilinear", "bilinear", (2, 2, 4, 7), [12, 5])]:
    case(f"interpolate_{name}", "interpolate", {"size": size, "mode": mode}, lambda x: F.interpolate(x, size, mode=mode), draw(*shape))

# Large arguments: at the edges of exp's range in f32 and far beyond, alone and beside small ones.
rows = {"peaks": peaks(6, 13), "high": draw(3, 13, low=990, high=1010), "low": draw(3, 13, low=-1010, high=-990),
        "upper": draw(3, 13, low=80, high=105), "lower": draw(3, 13, low=-105, high=-80)}
for kind, x in rows.items():
    for op in ("softmax", "log_softmax", "logsumexp"):
        case(f"{op}_{kind}", op, {"dim": -1}, lambda x: getattr(torch, op)(x, -1), x, large=True)
    labels = torch.randint(0, 13, (x.shape[0],))
    case(f"cross_entropy_{kind}", "cross_entropy", {}, lambda x, y: F.cross_entropy(x, y), x, labels, large=True)
    case(f"cross_entropy_smooth_{kind}", "cross_entropy", {"label_smoothing": 0.1},
         lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1), x, labels, large=True)
    case(f"softplus_{kind}", "softplus", {}, lambda x: torch.logaddexp(x, torch.zeros_like(x)), x, large=True)
    case(f"sigmoid_{kind}", "sigmoid", {}, torch.sigmoid, x, large=True)
    targets = single(torch.rand(*x.shape))
    case(f"bce_{kind}", "binary_cross_entropy_with_logits", {}, F.binary_cross_entropy_with_logits, x, targets, large=True)
case("softmax_columns", "softmax", {"dim": 0}, lambda x: x.softmax(0), peaks(9, 5), large=True)
for kind, q, k in [("low", (8, 12), (-12, -8)), ("high", (8, 12), (8, 12)), ("upper", (4.5, 5.6), (4.5, 5.6)), ("lower", (4.5, 5.6), (-5.6, -4.5))]:
    for causal, depth in [(False, 12), (True, 8), (False, 3)]:
        if (kind, depth) == ("high", 3):
            # Gradients cancelling to nothing in f32.
            continue
        scale = (12 / depth) ** 0.25
        inputs = [draw(1, 2, 7, depth, low=q[0] * scale, high=q[1] * scale), draw(1, 2, 7, depth, low=k[0] * scale, high=k[1] * scale), draw(1, 2, 7, 8)]
        case(f"attention_{kind}_{depth}", "scaled_dot_product_attention", {"is_causal": causal},
             lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal), *inputs)
save_file(tensors, sys.argv[1], metadata={"cases": json.dumps(cases), "torch": torch.__version__.split("+")[0]})
