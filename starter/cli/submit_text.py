"""What submit.py tells, in words."""

from starter.cli import words


def submitted(result: dict) -> str:
    """What was checked, and what Kaggle said."""
    match = f"; columns and ids match {result['sample']}" if result["sample"] else ""
    lines = [f"{result['csv']}: {result['rows']:,} rows{match}"]
    lines += [f"warning: {text}" for text in result["warnings"]]
    if "ref" not in result:
        return "\n".join([*lines, "dry run: nothing was sent"])
    lines.append(f"{result['competition']}: taken (ref {result['ref']})")
    if result["status"] == "complete":
        private = result["private"]
        more = "" if private is None else f", private score {private:g}"
        public = "none shown" if result["public"] is None else f"{result['public']:g}"
        lines.append(f"public score {public}{more}")
    else:
        lines.append("no score yet: python submit.py status")
    return "\n".join(lines)


def listed(result: dict) -> str:
    """Kaggle's list, newest first, its reasons below."""
    if not result["submissions"]:
        return f"{result['competition']}: no submission"
    rows = [("ref", "date", "run", "file", "status", "public", "private")]
    errors = []
    for s in result["submissions"]:
        rows.append(
            (
                str(s["ref"]),
                s["date"][:16],
                s["run"] or "-",
                s["file"],
                s["status"],
                words.decimal(s["public"], 5),
                words.decimal(s["private"], 5),
            )
        )
        errors += [f"ref {s['ref']}: {s['error']}"] if s["error"] else []
    return "\n".join([words.columns(rows), *errors])


def limits(result: dict) -> str:
    """What is left."""
    return f"{result['competition']}: {result['text']}"


def best(result: dict) -> str:
    """The best score and what it is of."""
    local = (result.get("local") or {}).get("combined")
    of = f", of run {result['run']}" if result.get("run") else ", of a file the ledger lacks"
    mine = "" if local is None else f" (local combined {local:.4f})"
    return f"public score {result['public']:g}{of}{mine}: {result['file']}, ref {result['ref']}"


def ledger_words(result: dict) -> str:
    """A line per submission, then correlation and gap of each competition."""
    if not result["entries"]:
        return f"{result['ledger']}: nothing was submitted yet"
    metric_of = {
        slug: compared[0]["metric"] for slug, compared in result["trust"].items() if compared
    }
    rows = [("time", "run", "commit", "local", "95 %", "public", "private", "status")]
    for entry in result["entries"]:
        metric, local = metric_of.get(entry["competition"], "combined"), entry.get("local") or {}
        interval = local.get(f"{metric}_interval")
        spread = f"{interval[0]:.4f}-{interval[1]:.4f}" if interval else "-"
        rows.append(
            (
                entry["time"][:16],
                entry.get("run") or entry["file"],
                (entry.get("commit") or "-")[:8],
                words.decimal(local.get(metric)),
                spread,
                words.decimal(entry["public"], 5),
                words.decimal(entry["private"], 5),
                entry["status"],
            )
        )
    lines = [words.columns(rows)]
    for slug, compared in result["trust"].items():
        lines += ["", slug] if len(result["trust"]) > 1 else [""]
        lines += [trust_words(one) for one in compared] or ["no score beside a local metric yet"]
    return "\n".join(lines)


def trust_words(trust: dict) -> str:
    """Correlation with its interval, gap with its deviation, and what follows."""
    n = len(trust["points"])
    head = f"local {trust['metric']} against {trust['score']} score, {n} submissions: "
    spread = "" if trust["gap_deviation"] is None else f" (deviation {trust['gap_deviation']:.4f})"
    gap = f"gap {trust['gap']:+.4f}{spread}"
    if trust["correlation"] is None:
        why = "needs three" if n < 3 else "undefined, one side does not vary"
        return f"{head}correlation {why}, {gap}"
    interval = trust["interval"]
    between = f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
    if interval and interval[0] > 0.5:
        verdict = "validation can be trusted"
    elif interval and interval[1] < 0.5:
        verdict = "do not choose by validation"
    else:
        verdict = "too few submissions to tell whether validation can be trusted"
    return f"{head}correlation {trust['correlation']:.2f}{between}, {gap}: {verdict}"


def packed(result: dict) -> str:
    """Where the hand-in lies."""
    return (
        f"{result['zip']}: {result['files']} files, {result['bytes'] / 1024:.0f} KiB, "
        f"{result['trainable_parameters']:,} trainable parameters; fill in the TODOs of its README"
    )


OF = {
    "send": submitted,
    "status": listed,
    "limits": limits,
    "best": best,
    "ledger": ledger_words,
    "package": packed,
}
