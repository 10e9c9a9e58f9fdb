#!/usr/bin/env python3
"""Short runs of the whole training loop, from PyTorch in f64 (CPU): the data and its order are those of the tests in
tests/suite/loops, the order read from tests/golden/orders.json.

Usage: loops_torch.py ORDERS.json OUT.safetensors        needs: torch, numpy, safetensors

A run has <run>/init/<name> and <run>/final/<name>, in a row an epoch <run>/epochs (training loss and accuracy, loss and accuracy
on what is watched); metadata "cases": JSON list of {name, model, config}.
"""
import copy, json, math, sys
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
O = json.load(open(sys.argv[1]))
rng = np.random.default_rng(9)
tensors, cases = {}, []
exact = lambda x: x.float().double()


def level(c, n, y, x):
    return (c * 71 + n * 37 + y * (11 + c) + x * 7 + x * y * (n % 3 + 1)) % 256


def band(n, y, x):
    return (y * 3 + x + n * 5) // (9 + 7 * (n % 5)) % 3


def normalised(images, train):
    """In f32, as files are read; by mean and deviation of the training pixels."""
    pixels = torch.stack([images[k] for k in train]) / 255
    mean, std = exact(pixels.mean()), exact(pixels.std(correction=0))
    return {k: exact((v / 255 - mean) / std) for k, v in images.items()}


def rates(kind, lr, total):
    o = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    S = torch.optim.lr_scheduler
    if kind == "constant":
        return [lr] * total
    if kind == "step":
        return [lr * 0.1 ** math.floor(t / total * 3) for t in range(total)]
    if kind == "linear-warmup":
        last, warm = total - 1, 0.05
        up = lambda t: (t + 1) / max(warm * last, t + 1)
        return [lr * (up(t) if t / last < warm else 0.5 * (1 + math.cos(math.pi * (t / last - warm) / (1 - warm)))) for t in range(total)]
    s = S.OneCycleLR(o, lr, total_steps=total, cycle_momentum=False) if kind == "one-cycle" else S.CosineAnnealingLR(o, total)
    found = []
    for _ in range(total):
        found.append(o.param_groups[0]["lr"])
        o.step()
        s.step()
    return found


def optimizer(config, groups):
    lr, kind = config["lr"], config["optimizer"]
    T = torch.optim
    make = {"adam": T.Adam, "adamw": T.AdamW, "nadam": T.NAdam, "radam": T.RAdam, "momentum": T.SGD, "nesterov": T.SGD, "rmsprop": T.RMSprop}[kind]
    more = dict(momentum=config.get("momentum", 0.9), nesterov=kind == "nesterov") if make is T.SGD else {}
    return make(groups, lr=lr, **more)


def run(name, model, config, epochs, watched):
    """`epochs`: lists of batches (x, labels); `watched`: batches to be judged by."""
    for k, v in model.named_parameters():
        v.data = exact(torch.from_numpy(rng.standard_normal(v.shape)) * (0.1 if v.dim() == 1 else 1.2 / math.sqrt(v[0].numel())))
        v.data = v.data + 1.0 if ".bn" in k or v.dim() == 1 and k.endswith("weight") else v.data
        v.data = exact(v.data)
    for k, v in model.state_dict().items():
        if "num_batches" not in k:
            tensors[f"{name}/init/{k}"] = v.float().clone()
    frozen = config.get("freeze", "").rstrip("*") or None
    moving = [(k, v) for k, v in model.named_parameters() if not (frozen and k.startswith(frozen))]
    decay = config.get("weight_decay")
    decay = 0.01 if decay is None and config["optimizer"] == "adamw" else decay or 0.0
    spared = lambda v: config.get("decay_matrices_only", False) and v.dim() < 2
    o = optimizer(config, [dict(params=[v], weight_decay=0.0 if spared(v) else decay) for _, v in moving])
    total = config.get("steps") or sum(map(len, epochs))
    rate, step, rows, average = rates(config["schedule"], config["lr"], total), 0, [], None
    smoothing = config.get("label_smoothing", 0.0)

    def loss_of(net, x, y, smoothing=0.0):
        out = net(x)
        flat, labels = (out.reshape(-1, out.shape[-1]), y.reshape(-1)) if out.dim() < 4 else (out.permute(0, 2, 3, 1).reshape(-1, out.shape[1]), y.reshape(-1))
        counted = labels != -100
        right = ((flat.argmax(-1) == labels) & counted).sum().item()
        return F.cross_entropy(flat, labels, label_smoothing=smoothing), right, counted.sum().item()

    for batches in epochs:
        if step >= total:
            break
        model.train()
        seen = hits = lost = 0
        for x, y in batches:
            if step >= total:
                break
            parts = config.get("accumulate", 1)
            size = -(-config["batch_size"] // parts)
            o.zero_grad()
            pieces = list(zip(x.split(size), y.split(size)))
            whole = sum((p[1] != -100).sum().item() for p in pieces)
            for px, py in pieces:
                loss, right, count = loss_of(model, px, py, smoothing)
                (loss * count / whole).backward()
                lost, hits, seen = lost + loss.item() * count, hits + right, seen + count
            params = [v for _, v in moving]
            if config.get("clip_norm"):
                nn.utils.clip_grad_norm_(params, config["clip_norm"])
            if config.get("clip_value"):
                nn.utils.clip_grad_value_(params, config["clip_value"])
            for g in o.param_groups:
                g["lr"] = rate[step]
            o.step()
            step += 1
            if config.get("ema"):
                r = max(1 - config["ema"], 10 / (9 + step))
                now = dict(model.named_parameters())
                average = average or {k: torch.zeros_like(v) for k, v in now.items()}
                average = {k: a + (now[k].detach() - a) * r for k, a in average.items()}
        judged = copy.deepcopy(model).eval()
        if average:
            for k, v in judged.named_parameters():
                v.data = average[k]
        with torch.no_grad():
            found = [loss_of(judged, x, y) for x, y in watched]
        told = sum(f[2] for f in found)
        rows.append([lost / seen, hits / seen, sum(f[0].item() * f[2] for f in found) / told, sum(f[1] for f in found) / told])
    for k, v in model.state_dict().items():
        if "num_batches" not in k:
            tensors[f"{name}/final/{k}"] = v.float().clone()
    tensors[f"{name}/epochs"] = torch.tensor(rows)
    cases.append({"name": name, "model": config["model"], "config": config})
    print(name, rows)


# Pictures.
side = O["side"]
images = {(c, n): torch.tensor([[float(level(c, n, y, x)) for x in range(side)] for y in range(side)])
          for c in range(3) for n in range(O["counts"][c] + O["tests"][c])}
images = normalised(images, [k for k in images if k[1] < O["counts"][k[0]]])


class Mlp(nn.Module):
    def __init__(self, inputs, a, b, classes):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(inputs, a), nn.Linear(a, b), nn.Linear(b, classes)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


def picture_batches(keys, size):
    return [(torch.stack([images[tuple(k)] for k in keys[i:i + size]])[:, None], torch.tensor([k[0] for k in keys[i:i + size]]))
            for i in range(0, len(keys), size)]


tests = [(c, n) for c in range(3) for n in range(O["counts"][c], O["counts"][c] + O["tests"][c])]
usual = dict(model="mlp", width=0.04, batch_size=O["batch"], epochs=3)
for name, config in {
    "adam": dict(optimizer="adam", schedule="one-cycle", lr=0.02, weight_decay=0.05, label_smoothing=0.1, clip_norm=0.5),
    "adamw": dict(optimizer="adamw", schedule="cosine", lr=0.02, ema=0.7, decay_matrices_only=True, weight_decay=0.3, accumulate=2, clip_value=0.05),
    "adamw_usual": dict(optimizer="adamw", schedule="constant", lr=0.01),
    "momentum": dict(optimizer="momentum", momentum=0.8, schedule="step", lr=0.05, freeze="fc1.*", steps=8),
    "nesterov": dict(optimizer="nesterov", momentum=0.7, schedule="linear-warmup", lr=0.05, weight_decay=0.02, accumulate=4),
    "nadam": dict(optimizer="nadam", schedule="linear-warmup", lr=0.01, weight_decay=0.1),
    "rmsprop": dict(optimizer="rmsprop", schedule="cosine", lr=0.003, weight_decay=0.1, steps=5),
}.items():
    config = usual | config
    sizes = [round(256 * config["width"]), round(128 * config["width"])]
    run("pictures_" + name, Mlp(side * side, *sizes, 3), config, [picture_batches(e, O["batch"]) for e in O["pictures"]], picture_batches(tests, 64))

# Scenes.
side = O["scene_side"]
many = len(O["held_out"]) + len(O["scenes"][0])
masks = {n: torch.tensor([[band(n, y, x) for x in range(side)] for y in range(side)]) for n in range(many)}
images = {n: torch.tensor([[float(level(band(n, y, x), n, y, x)) for x in range(side)] for y in range(side)]) for n in range(many)}
images = normalised(images, O["scenes"][0])


def double(a, b):
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(), nn.Conv2d(b, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())


class Double(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.double_conv = double(a, b)

    def forward(self, x):
        return self.double_conv(x)


class Up(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.up, self.conv = nn.ConvTranspose2d(a, b, 2, 2), Double(2 * b, b)

    def forward(self, x, seen):
        return self.conv(torch.cat([seen, self.up(x)], 1))


class Down(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), Double(a, b))

    def forward(self, x):
        return self.maxpool_conv(x)


class OutConv(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.conv = nn.Conv2d(a, b, 1)

    def forward(self, x):
        return self.conv(x)


class UNet(nn.Module):
    def __init__(self, classes, width):
        super().__init__()
        c = [max(1, math.floor((64 << i) * width + 0.5)) for i in range(5)]
        self.inc = Double(1, c[0])
        self.down1, self.down2, self.down3, self.down4 = (Down(c[i], c[i + 1]) for i in range(4))
        self.up1, self.up2, self.up3, self.up4 = (Up(c[4 - i], c[3 - i]) for i in range(4))
        self.outc = OutConv(c[0], classes)

    def forward(self, x):
        levels = [self.inc(x)]
        for down in [self.down1, self.down2, self.down3, self.down4]:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up in [self.up1, self.up2, self.up3, self.up4]:
            x = up(x, levels.pop())
        return self.outc(x)


def scene_batches(numbers, size, ignore):
    def labels(n):
        m = masks[n].clone()
        if ignore is not None:
            # The other two classes are the first and the second.
            m = torch.where(m == ignore, -100, torch.where(m > ignore, m - 1, m))
        return m
    return [(torch.stack([images[n] for n in numbers[i:i + size]])[:, None], torch.stack([labels(n) for n in numbers[i:i + size]]))
            for i in range(0, len(numbers), size)]


usual = dict(model="unet", width=0.015, epochs=3, optimizer="momentum", momentum=0.9, schedule="constant")
for name, config, ignore in [
    ("scenes", dict(lr=0.02, batch_size=3, weight_decay=0.01), None),
    ("scenes_ignored", dict(lr=0.01, batch_size=4, accumulate=2, schedule="cosine", ignore="1", clip_norm=1.0, label_smoothing=0.2), 1),
]:
    config = usual | config
    epochs = [scene_batches(e, config["batch_size"], ignore) for e in O["scenes"]]
    run(name, UNet(3 if ignore is None else 2, config["width"]), config, epochs, scene_batches(O["held_out"], 8, ignore))

# Text.
context, rows = O["context"], O["rows"]
train, validation = torch.tensor(O["letters"][:O["train"]]), torch.tensor(O["letters"][O["train"]:])


def token_batches(epoch):
    """A row continues from batch to batch: the target is the next token of the epoch's stretch of text."""
    xs = [torch.tensor(tokens).reshape(rows, context) for tokens in epoch]
    stream = torch.cat(xs, 1)
    length = stream.shape[1]
    fits = lambda i: torch.equal(train[i:i + rows * length], stream.flatten())
    (at,) = (i for i in range(len(train) - rows * length) if fits(i))
    y = train[at + 1:at + rows * length + 1].reshape(rows, length)
    return [(x, y[:, i * context:(i + 1) * context]) for i, x in enumerate(xs)]


def windows(tokens):
    found = []
    for i in range(0, len(tokens) - 1, context):
        x, y = tokens[i:i + context], tokens[i + 1:i + context + 1]
        found.append((x[None, :len(y)], y[None]))
    return found


class Gru(nn.Module):
    def __init__(self, vocab, hidden, layers, kind):
        super().__init__()
        self.tok, self.head = nn.Embedding(vocab, -(-hidden // 2)), nn.Linear(hidden, vocab)
        self.rnn = getattr(nn, kind)(-(-hidden // 2), hidden, layers, batch_first=True)

    def forward(self, x):
        return self.head(self.rnn(self.tok(x))[0])


class Block(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.h, self.ln1, self.ln2 = h, nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj, self.fc, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (z.view(b, t, self.h, d // self.h).transpose(1, 2) for z in self.qkv(self.ln1(x)).split(d, 2))
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d))
        return x + self.out(F.gelu(self.fc(self.ln2(x))))


class Gpt(nn.Module):
    """The last layer is the embedding's, as in GPT-2."""

    def __init__(self, vocab, context, d, h, layers):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Embedding(context, d)
        self.blocks, self.ln = nn.ModuleList(Block(d, h) for _ in range(layers)), nn.LayerNorm(d)

    def forward(self, x):
        y = self.tok(x) + self.pos(torch.arange(x.shape[1]))
        for block in self.blocks:
            y = block(y)
        return F.linear(self.ln(y), self.tok.weight)


usual = dict(batch_size=rows, context=context, epochs=3)
vocab = len(set(O["letters"]))
run("text_gru", Gru(vocab, 6, 2, "GRU"), usual | dict(model="char-gru", layers=2, hidden=6, optimizer="adam", schedule="one-cycle", lr=0.02),
    [token_batches(e) for e in O["tokens"]], windows(validation))
run("text_gpt", Gpt(vocab, context, 8, 2, 1), usual | dict(model="gpt", layers=1, hidden=8, heads=2, optimizer="adamw", weight_decay=0.1,
    decay_matrices_only=True, clip_norm=0.7, schedule="linear-warmup", lr=0.01), [token_batches(e) for e in O["tokens"]], windows(validation))

save_file({k: v.contiguous() for k, v in tensors.items()}, sys.argv[2], {"torch": torch.__version__, "cases": json.dumps(cases, separators=(",", ":"))})
