"""wgrad and another engine, in turn, on the same work of the same machine: compare.sh PEER [WORKLOAD...]

Prints `workload metric wgrad peer ratio lowest highest` separated by tabs: medians of both, the median of the rounds' ratios,
and their spread. Above 1 wgrad leads, also where less is better. Every round runs both in fresh processes, each for at most
LIMIT seconds; what was said until then counts, and what did not end is told. ROUNDS (3), LIMIT (300), THREADS (2) and ICD (a
Vulkan driver's file) by environment; COUNT=1 counts dispatches a step."""
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target")).resolve()
PEERS = TARGET / "peers"

# The engine, its arguments, and wgrad's device beside it.
ENGINES = {
    "torch": (("torch",), "cpu"),
    "candle": (("candle",), "cpu"),
    "burn-flex": (("burn", "flex"), "cpu"),
    "faer": (("products", "faer"), "cpu"),
    "gemm": (("products", "gemm"), "cpu"),
    "matrixmultiply": (("products", "matrixmultiply"), "cpu"),
    "burn-wgsl": (("burn", "wgsl"), "software"),
    "burn-vulkan": (("burn", "vulkan"), "software"),
    "meganeura": (("meganeura",), "software"),
}
KERNELS = """matmul_512 matmul_1024 conv3x3_n8_c64_56 conv3x3_igrad conv3x3_wgrad softmax_4096x1024 layer_norm_4096x1024
    gelu_4096x1024 attention_b4h8s256d64 attention_b4h8s256d64_train""".split()
STEPS = "cifar_cnn_b32 cifar_cnn_b128 gpt_c64 gpt_c256".split()
PRODUCTS = "matmul_512 matmul_1024 matmul_2048".split()
# What each device is asked; `kernels` and `steps` are parts of it.
WORKLOADS = {
    "cpu": {"steps": [*STEPS, "alexnet_b16"], "kernels": [*KERNELS, "matmul_2048", "gemv_4096", "conv11x11s4_n8_c3_224"]},
    "software": {"steps": [*STEPS, "alexnet_b4"], "kernels": KERNELS},
}

RATES = ("examples_per_s", "tokens_per_s", "GFLOP_per_s", "GB_per_s")
# Where less is better the ratio is turned round, so that above 1 wgrad always leads.
COSTS = ("peak_rss_mb", "start_to_first_step_s", "dispatches", "bytes_moved")


def build(kind, feature=None):
    """The peer's program, built where it is not there, outside wgrad's workspace."""
    if kind == "torch":
        python = pathlib.Path(os.environ.get("PYTHON", PEERS / "bin/python"))
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
            subprocess.run([PEERS / "bin/pip", "install", "--quiet", "torch", "numpy"], check=True)
        return [python, HERE / "torch/bench.py"]
    program = PEERS / "-".join(filter(None, (kind, feature)))
    sources = [HERE / "common/report.rs", *(HERE / kind / name for name in ("Cargo.lock", "Cargo.toml", "src/main.rs"))]
    if not program.exists() or program.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        features = ["--features", feature] if feature else []
        command = ["nice", "cargo", "build", "--release", "--locked", "--target-dir", PEERS / "build", *features]
        subprocess.run(command, cwd=HERE / kind, check=True)
        shutil.copy(PEERS / f"build/release/{kind}-peer", program)
    return [program, *filter(None, [feature])]


def counter():
    """The environment in which dispatches are counted (dispatches.c)."""
    library = PEERS / "libdispatches.so"
    PEERS.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, HERE / "dispatches.c", "-ldl"], check=True)
    icd = json.loads(pathlib.Path(os.environ["ICD"]).read_text())
    real, icd["ICD"]["library_path"] = icd["ICD"]["library_path"], str(library)
    (PEERS / "dispatches.json").write_text(json.dumps(icd))
    return {"PEER_DRIVER": real, "VK_ICD_FILENAMES": str(PEERS / "dispatches.json"), "LD_PRELOAD": str(library)}


def figures(command, env):
    """Figures by metric, and how a run ended that did not end well."""
    limit = int(os.environ.get("LIMIT", 300))
    # Away from Cargo's projects, where burn would keep its choices.
    run = subprocess.Popen(list(map(str, command)), env=env, cwd=env["XDG_CACHE_HOME"], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = run.communicate(timeout=limit)
        said = [line for line in err.splitlines() if line.strip() and not line.startswith("note:")]
        ended = None if run.returncode == 0 else f"failed: {said[-1] if said else run.returncode}"
    except subprocess.TimeoutExpired:
        run.kill()
        out, ended = run.communicate()[0], f"did not finish in {limit} s"
    rows = (line.split("\t") for line in out.splitlines() if line.count("\t") == 4)
    return {r[3]: float(r[4]) for r in rows}, ended


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in ENGINES:
        sys.exit(f"usage: compare.sh PEER [WORKLOAD...]\npeers: {' '.join(ENGINES)}")
    peer, *asked = sys.argv[1:]
    engine, device = ENGINES[peer]
    theirs, measure = build(*engine), TARGET / "release/measure"
    parts = WORKLOADS[device]
    usual = PRODUCTS if engine[0] == "products" else parts
    workloads = [name for one in asked or usual for name in parts.get(one, [one])]
    rounds, threads = int(os.environ.get("ROUNDS", 3)), os.environ.get("THREADS", "2")
    cache = PEERS / "cache" / peer
    cache.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ, RAYON_NUM_THREADS=threads, MATMUL_NUM_THREADS=threads)
    env.update(XDG_CACHE_HOME=str(cache), NODEVICE_SELECT="1")
    if device == "software" and "ICD" in env:
        env.update(counter() if "COUNT" in env else {"VK_ICD_FILENAMES": env["ICD"]})
    ours = dict(env, WGRAD_BENCH_DEVICE=device)
    if peer == "torch":
        theirs = [*theirs, "--threads", threads]
    print(f"# {datetime.date.today()}, {rounds} rounds, {threads} threads, {device}; compare.sh {' '.join(sys.argv[1:])}")
    print("workload", "metric", "wgrad", peer, "ratio", "lowest", "highest", sep="\t", flush=True)
    for workload in workloads:
        seen = {}
        for _ in range(rounds):
            (a, our_end), (b, end) = figures([measure, workload], ours), figures([*theirs, workload], env)
            for key in RATES + COSTS:
                if key in a and key in b:
                    seen.setdefault(key, []).append((a[key], b[key]))
            if our_end or end:
                got = [f"{key} {a[key]:.4g}" for key in RATES if key in a]
                first = [f"first step {b['first_step_ms'] / 1e3:.1f} s"] if "first_step_ms" in b else []
                said = [f"wgrad {our_end}"] if our_end else []
                said += [f"{peer} {end}"] if end else []
                print(workload, "-", *got, "; ".join(said + first), sep="\t", flush=True)
                break
        for key, pairs in seen.items():
            ratios = sorted(b / a if key in COSTS else a / b for a, b in pairs)
            a, b = (statistics.median(p[i] for p in pairs) for i in (0, 1))
            cells = (f"{x:.4g}" for x in (a, b, statistics.median(ratios), ratios[0], ratios[-1]))
            print(workload, key, *cells, sep="\t", flush=True)


main()
