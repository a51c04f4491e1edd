#!/usr/bin/env python3
"""Makes the table of dialects.sh out of its raw.jsonl. Standard library only.

Each figure is the median over the rounds; of a measurement that was repeated because other work on the machine disturbed it, the least
disturbed one counts. What translation adds is the difference to the same client's dialect before an upstream of its own, in the same round.
The exit status is 1 where an answer was wrong, a limit is exceeded or a figure is missing.
"""
import json
import statistics as st
import sys

rows = [json.loads(line) for line in open(sys.argv[1]) if line.strip()]
cfg = next((r for r in rows if r.get("peer") == "run"), None)
if cfg is None:
    sys.exit("unfinished run: no settings line")
version = next(r["version"] for r in rows if r.get("peer") == "gatewright")

cell = {}  # (in, out, phase, round) -> the least disturbed measurement
for r in rows:
    if "in" in r and int(r["round"]):
        k = (r["in"], r["out"], r["phase"], int(r["round"]))
        if k not in cell or r["foreign_cores"] < cell[k]["foreign_cores"]:
            cell[k] = r
pairs = list(dict.fromkeys((k[0], k[1]) for k in cell))
rounds = sorted({k[3] for k in cell})


def cpu(per, scale=1e6):
    return lambda r: scale * r["cpu_gw_s"] / r[per]


def history(n):
    return lambda r: 1e6 * r["cpu_gw_s"] / r["ok"] / n


def p50(r):
    return r["lat_p50_us"]


FIGURES = [  # title, phase, value, what translation may add
    ("1 KB request, one connection: p50, µs", "small", p50, 60),
    (f"1 KB request, {cfg['conc']} connections: CPU µs", "many", cpu("ok"), 60),
    ("chunk of a stream: CPU µs", "flood", cpu("chunks"), 5),
    ("1 MB request of a coding agent: p50, ms", "agent", lambda r: r["lat_p50_us"] / 1e3, 15),
    ("1 MB request of a coding agent: CPU ms", "agent", cpu("ok", 1e3), 15),
    ("1,000 messages: CPU µs a message", "history-1000", history(1000), None),
    ("10,000 messages: CPU µs a message", "history-10000", history(10000), None),
    ("10,000 chunks: CPU µs a chunk", "long-10000", cpu("chunks"), None),
    ("100,000 chunks: CPU µs a chunk", "long-100000", cpu("chunks"), None),
]
KEPT = ("1 KB request whose answer is kept (`store: true`), one connection: p50, µs", "small-kept", p50, None)
# Ten times as much may not cost more than this for each.
GROWTH = 1.5


def values(pair, phase, f):
    """{round: value}, without the rounds in which an answer was wrong."""
    of = {n: cell.get((*pair, phase, n), {}) for n in rounds}
    return {n: f(r) for n, r in of.items() if r.get("ok") and not r["bad"]}


def more(phase, f, pair, base):
    """How much more a pair takes than another, in the same rounds; nothing where there is no such round."""
    mine, theirs = values(pair, phase, f), values(base, phase, f)
    both = [mine[n] - theirs[n] for n in mine if n in theirs]
    return st.median(both) if both else None


def fmt(x):
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.3g}"


def show(pair, phase, f, most):
    mine = values(pair, phase, f)
    if not mine:
        if phase != KEPT[1] or pair[0] == "responses":
            over.append(f"{pair[0]} to {pair[1]}: {phase} has no good figure")
        return "–"
    text = fmt(st.median(mine.values()))
    lo, hi = min(mine.values()), max(mine.values())
    if lo > 0 and (hi - lo) / lo > 0.10:
        text += f" [{fmt(lo)}–{fmt(hi)}]"
    if most is not None and pair[0] != pair[1]:
        added = more(phase, f, pair, (pair[0], pair[0]))
        if added is None:
            over.append(f"{pair[0]} to {pair[1]}: {phase} has nothing to be compared with")
            return text
        text += f", adds {fmt(added)}"
        if added > most:
            over.append(f"{pair[0]} to {pair[1]}: {phase} adds {fmt(added)}, more than {most}")
    return text


over = []
print(f"# {cfg['date']}, Gatewright {version}, {cfg['cores']} cores, Linux {cfg['kernel']}\n")
print(f"{cfg['rounds']} rounds of {cfg['secs']} s a figure. Gateway on core(s) {cfg['gw_cpus'] or 'any'}, mock and load generator on core(s) "
      f"{cfg['load_cpus'] or 'any'}, nice {cfg['prio']}. Median of the rounds, [min–max] where they differ by more than 10 %; \"adds\" is the "
      f"difference to the same client before an upstream of its own dialect.\n")
print("| figure | may add | " + " | ".join(f"{i} to {o}" for i, o in pairs) + " |")
print("|" + "---|" * (len(pairs) + 2))
for title, phase, f, most in [*FIGURES, KEPT]:
    print(f"| {title} | {most if most is not None else ''} | " + " | ".join(show(p, phase, f, most) for p in pairs) + " |")
print("\nWhat responses take more than chat completions before an upstream of theirs (no limit): "
      + "; ".join(f"{title}: " + ", ".join(f"to {o} {fmt(d)}" for i, o in pairs if i == "responses"
                                           for d in [more(phase, f, (i, o), ("chat", "chat"))] if d is not None)
                  for title, phase, f, most in FIGURES if most is not None) + ".")


def kept(f):
    """What keeping an answer costs, the median of the pairs."""
    costs = []
    for pair in pairs:
        plain, stored = values(pair, "small", f), values(pair, KEPT[1], f)
        costs += [stored[n] - plain[n] for n in stored if n in plain]
    return fmt(st.median(costs)) if costs else "–"


print(f"\nWhat keeping an answer costs (`store: true`, OpenAI's default, against `store: false`): {kept(p50)} µs of its time, "
      f"{kept(cpu('ok'))} µs of CPU.")
print("\nChecks:\n")
for pair in pairs:
    for kind, small, large in [("messages", FIGURES[5], FIGURES[6]), ("chunks", FIGURES[7], FIGURES[8])]:
        a, b = values(pair, small[1], small[2]), values(pair, large[1], large[2])
        ratio = st.median([b[n] / a[n] for n in b if a.get(n)] or [float("inf")])
        if ratio > GROWTH:
            over.append(f"{pair[0]} to {pair[1]}: ten times as many {kind} cost {fmt(ratio)} times as much each")
bad = [f"{k}: {r['bad']} failed: {r['errors']}" for k, r in sorted(cell.items()) if r["bad"]]
bad += [f"{k}: {r['ok'] + r['bad']} sent, {r['mock']['reqs']} seen by the upstream" for k, r in sorted(cell.items()) if r["mock"]["reqs"] != r["ok"] + r["bad"]]
print("\n".join(f"- {line}" for line in bad) or "- every request got its right answer, and the upstream saw each one exactly once")
print("\n".join(f"- over the limit: {line}" for line in over)
      or f"- within all limits, and ten times as much costs at most {GROWTH} times as much for each message and chunk")
print(f"- other work on the machine: at most {max(r['foreign_cores'] for r in cell.values()):.2f} cores during a measurement that counts")
sys.exit(1 if bad or over else 0)
