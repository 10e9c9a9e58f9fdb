#!/usr/bin/env python3
"""Values and gradients of functions at NaN, infinities, zeros, subnormal and the largest numbers, from PyTorch (CPU, f32).

Usage: special_torch.py OUT.safetensors        needs: torch, numpy, safetensors

Cases (metadata "cases": JSON list of {name, inputs}): <name>/in/<i>, <name>/out, <name>/din/<i> for the gradient of the sum of
finite results' cotangents, all 1.
"""
import json, math, sys
import torch, torch.nn.functional as F
from safetensors.torch import save_file

nan, inf = math.nan, math.inf
big = 3.4028234663852886e38
S = torch.tensor([nan, inf, -inf, big, -big, 1.1754943508222875e-38, 0.0, -0.0, 1e-40, -1e-40, 1e-5, -1e-5, 0.5, 1.0, -1.0, 2.0, -2.0,
                  2.5, 3.0, -3.0, 6.0, -20.0, 100.0, -100.0, 3e9])
n = len(S)
pairs = (S.repeat(n), S.repeat_interleave(n))
tensors, cases = {}, []


def case(name, f, *inputs):
    xs = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    y = f(*xs)
    for i, x in enumerate(inputs):
        tensors[f"{name}/in/{i}"] = x.clone().contiguous()
    tensors[f"{name}/out"] = y.detach().contiguous()
    real = [i for i, x in enumerate(xs) if x.requires_grad]
    if y.requires_grad:
        for i, g in zip(real, torch.autograd.grad(y, [xs[i] for i in real], torch.ones_like(y))):
            tensors[f"{name}/din/{i}"] = g.contiguous()
    cases.append({"name": name, "inputs": len(inputs)})


for name in "neg abs sign floor exp expm1 log log1p sqrt rsqrt reciprocal square sin cos tanh erf sigmoid relu".split():
    case(name, getattr(torch, name), S)
case("softplus", F.softplus, S)
case("leaky_relu", F.leaky_relu, S)
case("elu", F.elu, S)
case("silu", F.silu, S)
case("mish", F.mish, S)
case("hardswish", F.hardswish, S)
case("relu6", F.relu6, S)
case("clamp", lambda x: x.clamp(-1.0, 2.5), S)
for name, e in [("zero", 0.0), ("half", 0.5), ("one", 1.0), ("square", 2.0), ("cube", 3.0), ("minus_half", -0.5), ("inverse", -1.0),
                ("minus_two", -2.0), ("fifth", 5.0), ("minus_three", -3.0), ("broken", 2.5), ("minus_broken", -1.5)]:
    case(f"powf_{name}", lambda x, e=e: x ** e, S)
case("pow", torch.pow, *pairs)
case("maximum", torch.maximum, *pairs)
case("minimum", torch.minimum, *pairs)
case("div", torch.div, *pairs)
rows = torch.stack([S, S.roll(1), S.roll(5), torch.full_like(S, -inf), torch.full_like(S, nan), S.abs()], 1)
case("amax", lambda x: x.amax(1), rows)
case("amin", lambda x: x.amin(1), rows)
case("argmax", lambda x: x.argmax(0), rows)
small = torch.tensor([[nan, 1, 2], [inf, 1, 2], [-inf, 1, 2], [-inf, -inf, -inf], [inf, inf, 1], [0.5, 1, 2]])
case("softmax", lambda x: x.softmax(1), small)
case("log_softmax", lambda x: x.log_softmax(1), small)
case("logsumexp", lambda x: x.logsumexp(1), small)
image = torch.arange(36.0).reshape(1, 1, 6, 6) * 7 % 11
image[0, 0, 1, 1] = image[0, 0, 1, 2] = nan
image[0, 0, 4, 4] = -inf
image[0, 0, 5, 0] = inf
case("max_pool2d", lambda x: F.max_pool2d(x, 3, 2, 1), image)
case("max_pool2d_low", lambda x: F.max_pool2d(x, 2), torch.full((1, 1, 4, 4), -inf))
case("avg_pool2d", lambda x: F.avg_pool2d(x, 3, 2, 1), image)
case("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (4, 5)), image)
case("interpolate_nearest", lambda x: F.interpolate(x, (12, 18)), image)
case("interpolate_nearest_uneven", lambda x: F.interpolate(x, (4, 9)), image)
case("interpolate_bilinear", lambda x: F.interpolate(x, (9, 4), mode="bilinear"), image)
p = torch.tensor([0.0, 1.0, 0.5, 1e-20, 0.25, 1.0])
case("bce_loss", lambda x, y: F.binary_cross_entropy(x, y), p, torch.tensor([1.0, 0.0, 1.0, 1.0, 0.3, 1.0]))
case("dropout_one", lambda x: F.dropout(x, 1.0), S)
case("cast_to_bool", lambda x: x.to(torch.bool).to(torch.float32), S)

# A gradient penalty: the norm of a max pool's gradient, differentiated once more.
torch.manual_seed(0)
x, w = torch.randn(2, 3, 7, 8), torch.randn(5, 3, 3, 3)


def penalty(x, w):
    y = F.max_pool2d(torch.tanh(F.conv2d(x, w, padding=1)), 3, 2, 1)
    g, = torch.autograd.grad((y * y).sum(), x, create_graph=True)
    return (g.square().sum((1, 2, 3)).sqrt() - 1).square().mean()


case("gradient_penalty", penalty, x, w)
t = torch.tensor
case("conv_transpose2d_wide", lambda x, w: F.conv_transpose2d(x, w, dilation=2, output_padding=1), t([[[[1., 2], [3, 4]]]]),
     t([[[[1., -1], [2, 0.5]]]]))
case("conv_transpose2d_padded", lambda x, w: F.conv_transpose2d(x, w, stride=1, padding=1, dilation=3, output_padding=2),
     torch.randn(1, 2, 4, 5), torch.randn(2, 3, 3, 2))
save_file(tensors, sys.argv[1], metadata={"cases": json.dumps(cases), "torch": torch.__version__.split("+")[0]})
