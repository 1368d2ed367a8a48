"""What verify.py measured, in words."""

from starter.cli import words


def fused(result: dict) -> list[str]:
    """What several runs were made into, and what each was worth alone."""
    lines = []
    if "fusion" in result:
        found = result["fusion"]
        alone = found.get("eer_of_each") or [None] * len(found["members"])
        for member, eer in zip(found["members"], alone, strict=True):
            name = f"{member['run']} ({member['stage']})"
            lines.append(
                f"{found['kind']:<12} {name}: share {member['share']:.3f}, "
                f"EER alone {words.percent(eer)}"
            )
        if "held_out_eer" in found:
            held, equal = (words.percent(found[key]) for key in ("held_out_eer", "equal_eer"))
            lines.append(f"{'':<12} on held-out identities EER {held}, equal weights {equal}")
        lines.append(f"{'':<12} {found['parameters']:,} parameters together")
    return lines


def measured(result: dict) -> list[str]:
    """Accuracy over folds, retrieval and 1:N identification, each where there is one."""
    lines = decided(result)
    if "folds" in result:
        found = result["folds"]
        whose = "shuffled" if found["shuffled"] else "of the set"
        error = words.percent(found["standard_error"])
        lines.append(
            f"{'folds':<12} accuracy {words.percent(found['accuracy'])} +- {error} over "
            f"{found['folds']} ({whose})"
        )
    if "retrieval" in result:
        found = result["retrieval"]
        recall = ", ".join(f"@{k} {words.percent(v)}" for k, v in found["recall_at"].items())
        lines.append(f"{'retrieval':<12} recall{recall}, mAP@R {words.percent(found['map_at_r'])}")
    if "identification" in result:
        found = result["identification"]
        ranks = ", ".join(f"rank-{k} {words.percent(v)}" for k, v in found["cmc"].items())
        lines.append(
            f"{'1:N':<12} accuracy {words.percent(found['accuracy'])} (threshold fitted on "
            f"the same {found['probes']} probes), {ranks or 'no rank'}"
        )
    return lines


def metrics(found: dict) -> str:
    """EER with its interval, AUC and accuracy, in percent."""
    interval = found.get("intervals", {}).get("eer")
    spread = f" [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]" if interval else ""
    return (
        f"EER {words.percent(found['eer'])}{spread}, AUC {words.percent(found['auc'])}, "
        f"accuracy of same/different {words.percent(found['accuracy'])} on {found['pairs']} pairs"
    )


def decided(result: dict) -> list[str]:
    """The threshold and how good probabilities are."""
    if "decision" not in result:
        return []
    found, trust = result["decision"], result["calibration"]
    at = "EER" if found["at"] == "eer" else f"FAR {words.percent(found['asked'])}"
    interval = found.get("intervals", {}).get("threshold")
    spread = f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
    held = found.get("held_out")
    of = f", held out {words.percent(held['far'])} and {words.percent(held['frr'])}" if held else ""
    rates = f"{words.percent(found['far'])}, false rejects {words.percent(found['frr'])}{of}"
    lines = [f"{'threshold':<12} {found['threshold']:.4f}{spread} at {at}: false accepts {rates}"]
    if "ece" in trust:
        lines.append(
            f"{'calibration':<12} {trust['kind']}: Brier {trust['brier']:.4f}, log loss "
            f"{trust['log_loss']:.4f}, ECE {trust['ece']:.4f} (held out by "
            f"{trust['folded_by']})"
        )
    return lines
