"""Runs each workload in wgrad and in PyTorch, in turn, and prints the ratio of their speeds: median, lowest, highest.

Called by compare.sh. Every round runs both, one after the other, in fresh processes."""
import os
import statistics
import subprocess
import sys

RATES = ("examples_per_s", "tokens_per_s", "GFLOP_per_s", "GB_per_s")
# Where less is better the ratio is turned round, so that above 1 wgrad always leads.
COSTS = ("peak_rss_mb", "start_to_first_step_s")


def figures(command, threads):
    env = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    text = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    rows = (line.split("\t") for line in text.splitlines() if line.count("\t") == 4)
    return {(r[1], r[3]): float(r[4]) for r in rows}


def main():
    measure, python, rounds, threads, *workloads = sys.argv[1:]
    here = os.path.dirname(os.path.abspath(__file__))
    print(f"{'workload':26}{'metric':24}{'wgrad':>10}{'torch':>10}{'ratio':>8}   spread of {rounds} rounds, {threads} threads")
    for workload in workloads:
        seen = {}
        for _ in range(int(rounds)):
            ours = figures([measure, workload], threads)
            theirs = figures([python, f"{here}/torch/bench.py", workload, "--threads", threads], threads)
            for key in ours.keys() & theirs.keys():
                seen.setdefault(key, []).append((ours[key], theirs[key]))
        for (name, metric), pairs in sorted(seen.items()):
            if metric not in RATES + COSTS:
                continue
            ratios = sorted(b / a if metric in COSTS else a / b for a, b in pairs)
            a, b = (statistics.median(p[i] for p in pairs) for i in (0, 1))
            print(f"{name:26}{metric:24}{a:>10.4g}{b:>10.4g}{statistics.median(ratios):>8.2f}   {ratios[0]:.2f} to {ratios[-1]:.2f}")


main()
