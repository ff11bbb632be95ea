"""Measures the numeric core beside implicit and prints the table of ratios. Started by bench_implicit.sh.

    bench_implicit.py OURS FOLDER [MEMBERS ITEMS PAIRS]

OURS is the built example `beside_implicit`, FOLDER a folder to work in. Both sides have two threads, BLAS one.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import implicit
import numpy as np
import scipy.sparse as sparse
import threadpoolctl
from implicit.cpu._als import calculate_loss
from implicit.cpu.als import AlternatingLeastSquares
from concurrent.futures import ThreadPoolExecutor

THREADS = 2
LAMBDA = 0.01
BATCH = 4_000
ITERATIONS = 15  # implicit's default

ours, folder = sys.argv[1], Path(sys.argv[2])
members, items, pairs = map(int, sys.argv[3:6]) if len(sys.argv) > 3 else (138_000, 26_000, 10_000_000)


def made():
    """Members of lognormal activity who draw items of Zipf-like popularity, more than half of them from two tastes of
    forty; a pair's confidence is one more than how often it was drawn."""
    random = np.random.default_rng(1)
    activity = random.lognormal(0, 1.0, members)
    draws = np.maximum(1, random.poisson(activity / activity.mean() * pairs / members * 1.21))
    popularity = 1 / (np.arange(items) + 10.0) ** 0.9
    taste, tastes = random.integers(0, 40, items), random.integers(0, 40, (members, 2))
    member = np.repeat(np.arange(members), draws)
    item = np.searchsorted(np.cumsum(popularity) / popularity.sum(), random.random(len(member)))
    own = random.random(len(member)) < 0.6
    drawn = tastes[member, random.integers(0, 2, len(member))]
    for one in range(40):
        among = np.flatnonzero(taste == one)
        share = np.cumsum(popularity[among])
        at = np.flatnonzero(own & (drawn == one))
        item[at] = among[np.searchsorted(share / share[-1], random.random(len(at)))]
    item = random.permutation(items)[np.minimum(item, items - 1)]
    matrix = sparse.csr_matrix((np.ones(len(member), np.float32), (member, item)), shape=(members, items))
    matrix.sum_duplicates()
    matrix.sort_indices()
    matrix.data += 1
    return matrix


def run(*arguments):
    """What our side answers: lines of a name and a number."""
    answer = subprocess.run([ours, *map(str, arguments)], check=True, capture_output=True, text=True).stdout
    return [(name, float(number)) for name, number in map(str.split, answer.splitlines())]


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def factors(name, rank):
    return np.fromfile(folder / name, "<f4").reshape(-1, rank)


def solver(rank, iterations, use_cg):
    return AlternatingLeastSquares(factors=rank, iterations=iterations, use_cg=use_cg, regularization=LAMBDA,
                                   alpha=1.0, num_threads=THREADS, random_state=1)


def loss(member_factors, item_factors):
    return calculate_loss(matrix, member_factors, item_factors, LAMBDA, num_threads=THREADS)


def products(rank):
    """GFLOP/s of plain matrix products on both cores: rank × pairs × rank, and members × rank × items."""
    def both(one):
        with ThreadPoolExecutor(THREADS) as pool:
            return min(timed(lambda: list(pool.map(lambda _: one(), range(THREADS)))) for _ in range(5))
    random = np.random.default_rng(2)
    rows = random.random((200_000, rank), np.float32)
    few, catalogue = random.random((BATCH // THREADS, rank), np.float32), random.random((items, rank), np.float32)
    gram = THREADS * 2 * 200_000 * rank * rank / both(lambda: rows.T @ rows.copy())
    scores = BATCH * 2 * rank * items / both(lambda: few @ catalogue.T)
    return gram / 1e9, scores / 1e9


rows = []


def row(rank, what, theirs, own, target, unit="s", scale=1.0):
    rows.append(f"| {rank} | {what} | {theirs * scale:.3g} {unit} | {own * scale:.3g} {unit} | "
                f"{theirs / own:.1f} × | {target} |")
    print(rows[-1], flush=True)


def training(rank):
    theirs = solver(rank, ITERATIONS, True)
    seconds = timed(lambda: theirs.fit(matrix, show_progress=False))
    goal = loss(theirs.user_factors, theirs.item_factors)
    own = run("train", folder, rank, ITERATIONS, "quickest", folder)
    losses = [loss(factors(f"members.{n + 1}", rank), factors(f"items.{n + 1}", rank)) for n in range(ITERATIONS)]
    reached = next((n for n, own_loss in enumerate(losses) if own_loss <= goal), None)
    if reached is None:
        sys.exit(f"rank {rank}: not reached: {min(losses)} is above {goal}")
    print(f"\nrank {rank}: implicit's loss after {ITERATIONS} iterations is {goal:.8f}; ours is {losses[reached]:.8f} "
          f"after {reached + 1}, {losses[-1]:.8f} after {ITERATIONS}\n")
    row(rank, f"training to the loss of implicit's {ITERATIONS} iterations (ours: {reached + 1})", seconds,
        own[reached][1], "3 ×, stretch 4 ×")
    row(rank, "an iteration of training, as by default", seconds / ITERATIONS, own[-1][1] / ITERATIONS, "")
    return theirs


def exact_iteration(rank):
    theirs = solver(rank, 1, False)
    once = timed(lambda: theirs.fit(matrix, show_progress=False))
    theirs = solver(rank, 2, False)
    theirs = timed(lambda: theirs.fit(matrix, show_progress=False)) - once
    own = run("train", folder, rank, 3, "exact")
    own = (own[2][1] - own[0][1]) / 2
    row(rank, "one exact iteration (implicit: use_cg=False)", theirs, own, "4 ×")
    counts = np.concatenate([np.diff(matrix.indptr), np.diff(matrix.tocsc().indptr)]).astype(float)
    least = np.where(counts < rank, counts * counts * rank + counts**3 / 3, counts * rank * rank + rank**3 / 3)
    return least.sum() / own / 1e9


def serving(rank, theirs):
    model, some = solver(rank, 1, True), [matrix[at:at + BATCH] for at in range(0, members - BATCH + 1, BATCH)]
    model.user_factors, model.item_factors = theirs.user_factors, theirs.item_factors
    theirs.item_factors.astype("<f4").tofile(folder / "items.served")
    own = dict(run("serve", folder, rank, folder / "items.served", folder))
    users = np.arange(BATCH)
    model.recalculate_user(users, some[0])

    def serve(batch):
        model.user_factors[:BATCH] = model.recalculate_user(users, batch)
        return model.recommend(users, batch, N=100)

    fold_in = np.median([timed(lambda: model.recalculate_user(users, batch)) for batch in some])
    served = np.median([timed(lambda: serve(batch)) for batch in some])
    single = []
    for member in range(2_000):
        batch = matrix[member]
        single.append(timed(lambda: model.recommend(0, batch, N=100, recalculate_user=True)))
    alone = np.mean(single)
    micro = {"unit": "µs a member", "scale": 1e6}
    row(rank, f"fold in a batch of {BATCH:,} members", fold_in / BATCH, own["fold_in_batch"], "3 ×", **micro)
    row(rank, "fold in and top 100, in batches", served / BATCH, own["serve_batch"], "5 ×", **micro)
    row(rank, "one member alone, by full scan", alone, own["alone_full"], "3 ×", **micro)
    row(rank, "one member alone, with exact pruning", alone, own["alone_pruned"], "8 ×", **micro)

    listed, scores = serve(some[0])
    own_listed, own_scores = factors("listed", 100).astype(np.int64), factors("scores", 100)
    error = np.abs(scores - own_scores).max()
    swapped = listed != own_listed
    # An item in another place is a tie where its score there differs by no more than rounding.
    apart = np.abs(scores - own_scores)[swapped].max(initial=0)
    print(f"\nrank {rank}: scores differ by {error:.1e} at most; of {swapped.size} places {swapped.sum()} hold another item, "
          f"their scores {apart:.1e} apart at most\n")
    return own["serve_batch"] - own["fold_in_batch"]


print(f"implicit {implicit.__version__}, numpy {np.__version__}, BLAS "
      f"{[(pool['internal_api'], pool['version'], pool['num_threads']) for pool in threadpoolctl.threadpool_info()]}")
matrix = made()
counts = [np.percentile(counts, [1, 50, 99, 100]).astype(int).tolist()
          for counts in (np.diff(matrix.indptr), matrix.getnnz(0))]
print(f"{members:,} members, {items:,} items, {matrix.nnz:,} pairs; pairs a member and an item, percentiles 1, 50, 99, "
      f"100: {counts[0]}, {counts[1]}")
matrix.indptr.astype("<i8").tofile(folder / "indptr")
matrix.indices.astype("<i4").tofile(folder / "indices")
matrix.data.astype("<f4").tofile(folder / "data")

rates = []
for rank in (64, 128):
    theirs = training(rank)
    solves = exact_iteration(rank)
    selects = serving(rank, theirs)
    gram, scores = products(rank)
    rate = 2 * rank * items / selects / 1e9
    rates.append(f"| {rank} | exact iteration | {solves:.0f} | {gram:.0f} | {solves / gram:.0%} |")
    rates.append(f"| {rank} | score and select, in batches | {rate:.0f} | {scores:.0f} | {rate / scores:.0%} |")

print("\n| rank | | implicit | Nearline | ratio | target |\n| --- | --- | --- | --- | --- | --- |")
print("\n".join(rows))
print("\n| rank | | GFLOP/s | a plain matrix product | share |\n| --- | --- | --- | --- | --- |")
print("\n".join(rates))
print("\nexact top 10 of 1,000,000 items × 50, one core, one request at a time; target 100 requests/s\n")
print("| norms | way | requests/s |\n| --- | --- | --- |")
for name, seconds in run("catalogue", 1_000_000, 50):
    norms, way = name.split("_")
    print(f"| {norms} | {'full scan' if way == 'full' else 'exact pruning'} | {1 / seconds:.0f} |")
