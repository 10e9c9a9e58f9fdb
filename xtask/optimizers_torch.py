#!/usr/bin/env python3
"""Every optimizer with every setting it has, for some steps of given gradients, from PyTorch in f64 (CPU); and schedules.

Usage: optimizers_torch.py OUT.safetensors        needs: torch, numpy, safetensors

Two parameters, a matrix and a bias, whose gradients of all steps are grad/{weight,bias}; they begin as start/{..}. A case
(metadata "cases": JSON list of {name, kind, settings, ..}) has <name>/{weight,bias} after each step, and <name>/ema/{..} at the
end if an average is kept. schedule/<name>/<total> are rates of base 1 for every step of a run. LAMB and Lion, which torch
has not, and Muon, which rounds its matrix to bfloat16 there, are written out here.
"""
import json, math, sys
import numpy as np, torch
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
STEPS, LR = 9, 0.03
rng = np.random.default_rng(77)
tensors, cases = {}, []


def draw(*shape):
    return torch.from_numpy(rng.standard_normal(shape)).float().double()


NAMES = {"weight": (3, 4), "bias": (5,)}
start = {n: draw(*s) for n, s in NAMES.items()}
grads = [{n: draw(*s) * (0.3 + 0.2 * t) for n, s in NAMES.items()} for t in range(STEPS)]
grads = [{n: g.float().double() for n, g in step.items()} for step in grads]
for n in NAMES:
    tensors[f"start/{n}"] = start[n].float()
    tensors[f"grad/{n}"] = torch.stack([step[n] for step in grads]).float()


class Lamb(torch.optim.Optimizer):
    """You et al., 2020: Adam's step, decay added to it, scaled by the ratio of norms (1 if either is 0)."""

    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                s = self.state[p]
                t = s["t"] = s.get("t", 0) + 1
                s["m"] = b1 * s.get("m", torch.zeros_like(p)) + (1 - b1) * p.grad
                s["v"] = b2 * s.get("v", torch.zeros_like(p)) + (1 - b2) * p.grad ** 2
                step = s["m"] / (1 - b1 ** t) / ((s["v"] / (1 - b2 ** t)).sqrt() + group["eps"]) + group["weight_decay"] * p.data
                own, moved = p.data.norm(), step.norm()
                p.data -= group["lr"] * (own / moved if own > 0 and moved > 0 else 1.0) * step


class Lion(torch.optim.Optimizer):
    """Chen et al., 2023, algorithm 2."""

    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].get("m", torch.zeros_like(p))
                p.data -= group["lr"] * ((b1 * m + (1 - b1) * p.grad).sign() + group["weight_decay"] * p.data)
                self.state[p]["m"] = b2 * m + (1 - b2) * p.grad


class Muon(torch.optim.Optimizer):
    """Jordan, 2024, as torch.optim.Muon(adjust_lr_fn="match_rms_adamw")."""

    def __init__(self, params, lr, momentum, weight_decay):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    def step(self):
        for group in self.param_groups:
            mu = group["momentum"]
            for p in group["params"]:
                m = self.state[p].get("m", torch.zeros_like(p))
                m = self.state[p]["m"] = m + (p.grad - m) * (1 - mu)
                x = p.grad + (m - p.grad) * mu
                x = x / x.norm()
                for _ in range(5):
                    gram = x @ x.T
                    x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
                p.data *= 1 - group["lr"] * group["weight_decay"]
                p.data -= group["lr"] * 0.2 * math.sqrt(max(p.shape)) * x


def muon(params, lr, momentum, betas, eps, weight_decay):
    """Muon for matrices, AdamW for the rest."""
    if params[0].dim() >= 2:
        return Muon(params, lr, momentum, weight_decay)
    return torch.optim.AdamW(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


O = torch.optim
KINDS = {
    "sgd": (O.SGD, dict(momentum=0.0, nesterov=False)),
    "rmsprop": (O.RMSprop, dict(alpha=0.99, eps=1e-8, momentum=0.0, centered=False)),
    "adagrad": (O.Adagrad, dict(lr_decay=0.0, eps=1e-10)),
    "adadelta": (O.Adadelta, dict(rho=0.9, eps=1e-6)),
    "adam": (O.Adam, dict(betas=(0.9, 0.999), eps=1e-8, amsgrad=False)),
    "adamw": (O.AdamW, dict(betas=(0.9, 0.999), eps=1e-8)),
    "adamax": (O.Adamax, dict(betas=(0.9, 0.999), eps=1e-8)),
    "nadam": (O.NAdam, dict(betas=(0.9, 0.999), eps=1e-8, momentum_decay=4e-3)),
    "radam": (O.RAdam, dict(betas=(0.9, 0.999), eps=1e-8)),
    "lamb": (Lamb, dict(betas=(0.9, 0.999), eps=1e-6)),
    "lion": (Lion, dict(betas=(0.9, 0.99))),
    "muon": (muon, dict(momentum=0.95, betas=(0.9, 0.999), eps=1e-8)),
}


def case(kind, what, own={}, decay=0.0, decay_on="all", clip_norm=None, clip_value=None, ema=None, rates=None, lr=LR, factors=(1.0, 1.0), decays=None, frozen=()):
    make, usual = KINDS[kind]
    name = f"{kind}.{what}"
    p = {n: torch.nn.Parameter(start[n].clone()) for n in NAMES}
    groups = {n: p[n] for n in NAMES if n not in frozen}
    settings = usual | own

    def optimizer(n, x):
        own_decay = decays[n] if decays else (0.0 if decay_on == "matrices" and x.dim() < 2 else decay)
        factor = factors[list(NAMES).index(n)]
        return make([x], lr=lr * factor, **settings, weight_decay=own_decay), factor
    all_of = [optimizer(n, x) for n, x in groups.items()]
    average, steps = {}, {n: [] for n in NAMES}
    for t in range(STEPS):
        for n, x in groups.items():
            x.grad = grads[t][n].clone()
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(list(groups.values()), clip_norm)
        if clip_value:
            torch.nn.utils.clip_grad_value_(list(groups.values()), clip_value)
        for o, factor in all_of:
            if rates:
                o.param_groups[0]["lr"] = rates[t] * factor
            o.step()
        for n in NAMES:
            steps[n].append(p[n].detach().float().clone())
            if ema:
                rate = max(1 - ema, 10 / (9 + t + 1))
                average[n] = average.get(n, torch.zeros(NAMES[n])) + (p[n].detach() - average.get(n, torch.zeros(NAMES[n]))) * rate
    for n in NAMES:
        tensors[f"{name}/{n}"] = torch.stack(steps[n])
    for n, a in average.items():
        tensors[f"{name}/ema/{n}"] = a.float()
    told = {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}
    cases.append({"name": name, "kind": kind, "settings": told, "decay": decay, "decay_on": decay_on, "clip_norm": clip_norm,
                  "clip_value": clip_value, "ema": ema, "rates": rates, "lr": lr, "factors": list(factors), "decays": decays, "frozen": list(frozen)})


OTHER = dict(momentum=0.8, nesterov=True, alpha=0.7, eps=0.05, centered=True, lr_decay=0.1, rho=0.6, betas=(0.7, 0.95), amsgrad=True, momentum_decay=0.1)
for kind, (_, usual) in KINDS.items():
    case(kind, "usual")
    case(kind, "decay", decay=0.2)
    case(kind, "decay_matrices", decay=0.2, decay_on="matrices")
    case(kind, "clip_norm", clip_norm=0.4)
    case(kind, "clip_value", clip_value=0.3)
    case(kind, "ema", ema=0.6)
    case(kind, "rates", rates=[0.01 + 0.007 * t for t in range(STEPS)])
    case(kind, "groups", factors=(0.25, 0.5), decays=dict(weight=0.3, bias=0.1))
    case(kind, "frozen", frozen=["bias"], clip_norm=0.4)
    for setting in usual:
        # One of the two moments' decays at a time.
        own = {setting: OTHER[setting]}
        if setting == "nesterov":
            own["momentum"] = OTHER["momentum"]
        if setting == "betas":
            case(kind, "beta1", own={"betas": (OTHER["betas"][0], usual["betas"][1])}, decay=0.1)
            case(kind, "beta2", own={"betas": (usual["betas"][0], OTHER["betas"][1])}, decay=0.1)
            continue
        case(kind, setting, own=own, decay=0.1)
case("rmsprop", "all", own=dict(momentum=0.8, centered=True, alpha=0.6), decay=0.1)
case("adam", "all", own=dict(betas=(0.5, 0.8), eps=1e-3, amsgrad=True), decay=0.1, clip_norm=0.5, ema=0.5)

# Schedules, of base 1.
S = torch.optim.lr_scheduler
for total in [3, 10, 37, 200]:
    def rates(make):
        o = O.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule, found = make(o), []
        for _ in range(total):
            found.append(o.param_groups[0]["lr"])
            o.step()
            schedule.step()
        return torch.tensor(found)
    tensors[f"schedule/constant/{total}"] = torch.ones(total)
    tensors[f"schedule/cosine/{total}"] = rates(lambda o: S.CosineAnnealingLR(o, total))
    if total >= 10:
        tensors[f"schedule/one-cycle/{total}"] = rates(lambda o: S.OneCycleLR(o, 1.0, total_steps=total, cycle_momentum=False))
    for every, gamma in [(1 / 3, 0.1), (0.3, 0.5)]:
        # A drop once per share of the run: StepLR if the share is whole steps.
        share = [gamma ** math.floor(t / total / every + 1e-12) for t in range(total)]
        if total == 10 and every == 0.3:
            assert np.allclose(share, rates(lambda o: S.StepLR(o, 3, gamma)))
        tensors[f"schedule/step:{every}:{gamma}/{total}"] = torch.tensor(share)
    for warm in [0.05, 0.2]:
        # A line up from one share of the warm steps, then half a cosine to 0 at the last step.
        last, found = total - 1, []
        for t in range(total):
            at = t / last
            if at < warm:
                found.append((t + 1) / max(warm * last, 1.0, t + 1))
            else:
                found.append(0.5 * (1 + math.cos(math.pi * (at - warm) / (1 - warm))))
        tensors[f"schedule/linear-warmup:{warm}/{total}"] = torch.tensor(found)

save_file({k: v.contiguous() for k, v in tensors.items()}, sys.argv[1], {"torch": torch.__version__, "lr": str(LR), "steps": str(STEPS),
          "cases": json.dumps(cases, separators=(",", ":"))})
print(len(cases), "cases")
