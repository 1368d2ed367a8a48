"""Every loss with class weights as a plain Python loop over rows and classes, in float64.

`loss` is given options and class weights as numbers and lists, and a dict for what a loss
remembers from batch to batch, which it changes as the paper says.
"""

import math

PI = math.pi


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def length(a):
    return math.sqrt(dot(a, a))


def cosine(a, b):
    return dot(a, b) / (length(a) * length(b))


def psi(angle):
    """cos, mirrored so that it goes on falling below 0 and above pi."""
    k = math.floor(angle / PI)
    return (-1) ** k * math.cos(angle) - 2 * k


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def log_sum_exp(values):
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values))


def cross_entropy(row, label, smoothing=0.0):
    log_sum = log_sum_exp(row)
    q = [smoothing / len(row) + (1 - smoothing) * (k == label) for k in range(len(row))]
    return -sum(q_k * (z - log_sum) for q_k, z in zip(q, row, strict=True))


def mean(values):
    return sum(values) / len(values)


def class_margins(o, counts):
    """Each class's margin."""
    found = o["class_margins"]
    if found is None:
        return [o["m2"] if "m2" in o else o.get("margin", 0.0)] * len(counts)
    least, most, power = (
        found.get(k, d) for k, d in (("least", 0.05), ("most", 0.5), ("power", 0.25))
    )
    u = [n**-power for n in counts]
    if found.get("spread", True):
        u = [(v - min(u)) / (max(u) - min(u)) for v in u]
    return [least + (most - least) * v for v in u]


def grow(o, progress):
    warmup = o["margin_warmup"]
    return 1.0 if progress >= warmup else progress / warmup


def softmax(o, weight, x, y, state):
    rows = [[dot(r, w) + b for w, b in zip(weight, state["bias"], strict=True)] for r in x]
    each = [cross_entropy(r, k, o["label_smoothing"]) for r, k in zip(rows, y, strict=True)]
    if o["class_weights"] == "none":
        return mean(each)
    shrink = {"balanced": lambda n: n, "sqrt": math.sqrt, "log": math.log1p}[o["class_weights"]]
    counts = state["counts"]
    raw = [1 / shrink(n) for n in counts]
    average = sum(n * w for n, w in zip(counts, raw, strict=True)) / sum(counts)
    # Smoothing spreads each image's target over classes, and each class's share has its weight.
    total = 0.0
    for row, k in zip(rows, y, strict=True):
        log_sum = log_sum_exp(row)
        for j, z in enumerate(row):
            q = o["label_smoothing"] / len(row) + (1 - o["label_smoothing"]) * (j == k)
            total -= q * raw[j] / average * (z - log_sum)
    return total / len(y)


def focal(o, weight, x, y, state, progress):
    shrink = {"none": lambda n: 1, "balanced": lambda n: n, "log": math.log1p}[o["alpha"]]
    counts = state["counts"]
    raw = [1 / shrink(n) for n in counts]
    average = sum(n * w for n, w in zip(counts, raw, strict=True)) / sum(counts)
    each = []
    for r, k in zip(x, y, strict=True):
        z = [math.exp(dot(r, w) + b) for w, b in zip(weight, state["bias"], strict=True)]
        p = z[k] / sum(z)
        each.append(-raw[k] / average * (1 - p) ** o["gamma"] * math.log(p))
    return mean(each)


def bce(o, weight, x, y, state, progress):
    total, e = 0.0, o["label_smoothing"]
    for r, k in zip(x, y, strict=True):
        for j, (w, b) in enumerate(zip(weight, state["bias"], strict=True)):
            z, t = dot(r, w) + b, (1 - e) * (j == k) + e / len(weight)
            total -= t * math.log(1 / (1 + math.exp(-z))) + (1 - t) * math.log(
                1 / (1 + math.exp(z))
            )
    return total / len(y)


def scaled(o, weight, x, y, state):
    """normface and modified_softmax."""
    each = []
    for r, k in zip(x, y, strict=True):
        s = o["scale"] if "scale" in o else length(r)
        row = [s * cosine(r, w) for w in weight]
        each.append(cross_entropy(row, k, o["label_smoothing"]))
    return mean(each)


def with_margin(o, weight, x, y, state, progress, phi, factor=None, others=None):
    """Cross-entropy with s phi(row number, theta) in the target's place."""
    each = []
    for i, (r, k) in enumerate(zip(x, y, strict=True)):
        cos = [cosine(r, w) for w in weight]
        target = phi(i, math.acos(cos[k]))
        row = list(cos) if others is None else [others(c, target) for c in cos]
        row[k] = target
        s = o["scale"] if factor is None else factor(r)
        each.append(cross_entropy([s * c for c in row], k))
    return mean(each)


def additive(o, weight, x, y, state, progress):
    """cosface, arcface, combined."""
    g, margins = grow(o, progress), class_margins(o, state["counts"])
    if o["kind"] == "cosface":
        return with_margin(
            o, weight, x, y, state, progress, lambda i, a: math.cos(a) - g * margins[y[i]]
        )
    m1, m3 = 1 + g * (o.get("m1", 1.0) - 1), g * o.get("m3", 0.0)
    return with_margin(
        o, weight, x, y, state, progress, lambda i, a: psi(m1 * a + g * margins[y[i]]) - m3
    )


def sphereface(o, weight, x, y, state, progress):
    state["updates"] = n = state.get("updates", 0) + 1
    m = 1 + grow(o, progress) * (o["margin"] - 1)
    lam = max(o["anneal_to"], o["anneal_from"] / (1 + o["anneal_decay"] * n))
    factor = length if o["scale"] == "norm" else None

    def phi(i, angle):
        return (lam * math.cos(angle) + psi(m * angle)) / (1 + lam)

    return with_margin(o, weight, x, y, state, progress, phi, factor)


def subcenter(o, weight, x, y, state, progress):
    g, margins = grow(o, progress), class_margins(o, state["counts"])
    wins = state.setdefault("wins", [[0.0] * o["centers"] for _ in weight])
    nearest = [[max(cosine(r, w) for w in centers) for centers in weight] for r in x]
    for row in wins:
        row[:] = [0.999 * v for v in row]
    for r, k in zip(x, y, strict=True):
        own = [cosine(r, w) for w in weight[k]]
        wins[k][own.index(max(own))] += 1
    each = []
    for r, k, row in zip(x, y, nearest, strict=True):
        main = weight[k][wins[k].index(max(wins[k]))]
        cleaning = o["clean_degrees"] is not None and progress >= o["clean_from"]
        if cleaning and math.degrees(math.acos(cosine(r, main))) > o["clean_degrees"]:
            continue
        row = list(row)
        row[k] = psi(math.acos(row[k]) + g * margins[k])
        each.append(cross_entropy([o["scale"] * c for c in row], k))
    return mean(each) if each else 0.0


def curricularface(o, weight, x, y, state, progress):
    g, margins = grow(o, progress), class_margins(o, state["counts"])
    batch = mean([cosine(r, weight[k]) for r, k in zip(x, y, strict=True)])
    state["t"] = t = o["t_momentum"] * batch + (1 - o["t_momentum"]) * state.get("t", 0.0)
    return with_margin(
        o,
        weight,
        x,
        y,
        state,
        progress,
        lambda i, a: psi(a + g * margins[y[i]]),
        others=lambda c, target: c * (t + c) if c > target else c,
    )


def adaface(o, weight, x, y, state, progress):
    g, margins = grow(o, progress), class_margins(o, state["counts"])
    norms = [min(max(length(r), 1e-3), 100) for r in x]
    a = o["norm_momentum"]
    state["mean"] = a * mean(norms) + (1 - a) * state.get("mean", 20.0)
    if len(norms) > 1:
        spread = sum((n - mean(norms)) ** 2 for n in norms) / (len(norms) - 1)
        state["std"] = a * math.sqrt(spread) + (1 - a) * state.get("std", 100.0)
    std = state.get("std", 100.0)
    q = [min(max(o["h"] * (n - state["mean"]) / (std + 1e-3), -1), 1) for n in norms]

    def phi(i, angle):
        m = g * margins[y[i]]
        return psi(angle - m * q[i]) - m - m * q[i]

    return with_margin(o, weight, x, y, state, progress, phi)


def magface(o, weight, x, y, state, progress):
    low, high = o["least_norm"], o["most_norm"]
    pull = []
    for r in x:
        a = length(r)
        inside = min(max(a, low), high)
        g = 1 / inside + inside / high**2
        pull.append(g + (1 / high**2 - 1 / low**2) * (a - low) if a < low else g)

    def phi(i, angle):
        a = min(max(length(x[i]), low), high)
        slope = (o["most_margin"] - o["least_margin"]) / (high - low)
        return psi(angle + grow(o, progress) * (o["least_margin"] + slope * (a - low)))

    head = with_margin(o, weight, x, y, state, progress, phi)
    return head + o["norm_weight"] * mean(pull)


def elasticface(o, weight, x, y, state, progress):
    g, margins = grow(o, progress), class_margins(o, state["counts"])
    cos = [cosine(r, weight[k]) for r, k in zip(x, y, strict=True)]
    drawn = [o["sigma"] * z for z in state["normal"]()]
    if o["by_rank"]:
        drawn.sort()
        rank = {i: place for place, i in enumerate(sorted(range(len(cos)), key=lambda i: -cos[i]))}
        drawn = [drawn[rank[i]] for i in range(len(cos))]

    def phi(i, angle):
        m = g * min(max(margins[y[i]] + drawn[i], 0.0), PI / 2)
        return math.cos(angle) - m if o["base"] == "cosface" else psi(angle + m)

    return with_margin(o, weight, x, y, state, progress, phi)


def adacos(o, weight, x, y, state, progress):
    s = state.setdefault("scale", max(1.0, math.sqrt(2) * math.log(len(weight) - 1)))
    cos = [[cosine(r, w) for w in weight] for r in x]
    if not o["fixed"]:
        b = mean(
            [
                sum(math.exp(s * c) for j, c in enumerate(row) if j != k)
                for row, k in zip(cos, y, strict=True)
            ]
        )
        angles = sorted(math.acos(row[k]) for row, k in zip(cos, y, strict=True))
        middle = angles[(len(angles) - 1) // 2]
        state["scale"] = s = max(1.0, math.log(b) / math.cos(min(PI / 4, middle)))
    return mean([cross_entropy([s * c for c in r], k) for r, k in zip(cos, y, strict=True)])


def sphereface2(o, weight, x, y, state, progress):
    g, margins, s = grow(o, progress), class_margins(o, state["counts"]), o["scale"]
    total = 0.0
    for r, k in zip(x, y, strict=True):
        m = g * margins[k]
        for j, w in enumerate(weight):
            z = 2 * ((cosine(r, w) + 1) / 2) ** o["t"] - 1
            if j == k:
                total += o["positive_share"] * softplus(-(s * (z - m) + state["offset"]))
            else:
                total += (1 - o["positive_share"]) * softplus(s * (z + m) + state["offset"])
    return o["factor"] / s * total / len(y)


def uniface(o, weight, x, y, state, progress):
    g, margins, s = grow(o, progress), class_margins(o, state["counts"]), o["scale"]
    b, total = state["threshold"], 0.0
    for r, k in zip(x, y, strict=True):
        for j, w in enumerate(weight):
            c = cosine(r, w)
            if j == k:
                total += softplus(b - s * (c - g * margins[k]))
            else:
                total += o["negative_weight"] * softplus(s * c - b)
    return total / len(y)


def proxy_anchor(o, weight, x, y, state, progress):
    near, away = [], []
    for j, w in enumerate(weight):
        cos = [(cosine(r, w), k == j) for r, k in zip(x, y, strict=True)]
        own = [math.exp(-o["scale"] * (c - o["margin"])) for c, same in cos if same]
        far = [math.exp(o["scale"] * (c + o["margin"])) for c, same in cos if not same]
        if own:
            near.append(math.log1p(sum(own)))
        away.append(math.log1p(sum(far)))
    return mean(near) + mean(away)


def loss(kind, o, weight, x, y, state, progress=1.0):
    """The mean loss of a batch: weight and x as lists, y as ints."""
    o = {"kind": kind, **o}
    if kind == "softmax":
        return softmax(o, weight, x, y, state)
    if kind in ("normface", "modified_softmax"):
        return scaled(o, weight, x, y, state)
    if kind in ("cosface", "arcface", "combined"):
        return additive(o, weight, x, y, state, progress)
    return globals()[kind](o, weight, x, y, state, progress)
