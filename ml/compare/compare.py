"""Compares the detector with scikit-learn's IsolationForest and PyOD's ECOD on the same splits.

    compare.py EVALUATE SPLITS FILE...

EVALUATE is the built example `evaluate`, SPLITS a folder for the row numbers of each test part. Five stratified
splits, 60 % to train with its anomalies in it, 40 % to test; each figure is the mean of the five. Prints a table in
Markdown and ends with 1 where a goal of docs/detector.md is missed.
"""

import subprocess
import sys
from pathlib import Path

import numpy
from pyod.models.ecod import ECOD
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split

SEEDS = range(5)


def anchors(file, splits):
    """AUROC and average precision of both libraries; writes the splits that they were measured on."""
    name = file.name.removesuffix(".gz").removesuffix(".csv")
    table = numpy.genfromtxt(file, delimiter=",", skip_header=1)
    features, labels = table[:, :-1], table[:, -1].astype(int)
    figures = []
    for seed in SEEDS:
        train, test = train_test_split(
            numpy.arange(len(labels)), test_size=0.4, stratify=labels, random_state=seed
        )
        test.sort()
        (splits / f"{name}.{seed}.txt").write_text("\n".join(map(str, test)) + "\n")
        forest = IsolationForest(random_state=seed).fit(features[train])
        ecod = ECOD().fit(features[train])
        row = []
        for scores in (-forest.score_samples(features[test]), ecod.decision_function(features[test])):
            row += [roc_auc_score(labels[test], scores), average_precision_score(labels[test], scores)]
        figures.append(row)
    return name, numpy.mean(figures, axis=0)


def own(evaluate, splits, files):
    """What the detector reaches, by name."""
    command = [evaluate, "--splits", splits, *files]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = (line.split() for line in lines[1:])
    return {row[0]: row for row in rows if row[0] != "mean"}


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    evaluate, splits, files = sys.argv[1], Path(sys.argv[2]), [Path(file) for file in sys.argv[3:]]
    splits.mkdir(parents=True, exist_ok=True)
    found = dict(anchors(file, splits) for file in files)
    saldo = own(evaluate, splits, files)
    print("| set | rows | features | odd | Saldo AUROC / AP | IsolationForest | ECOD | fit ms | µs a row |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    auroc, ap, worst = [], [], (0.0, "")
    for name, (forest, forest_ap, ecod, ecod_ap) in found.items():
        _, rows, features, positives, ours, ours_ap, fit, score = saldo[name]
        auroc.append((float(ours), forest, ecod))
        ap.append((float(ours_ap), forest_ap, ecod_ap))
        worst = max(worst, (forest - float(ours), name))
        print(
            f"| {name} | {rows} | {features} | {positives} | {float(ours):.3f} / {float(ours_ap):.3f}"
            f" | {forest:.3f} / {forest_ap:.3f} | {ecod:.3f} / {ecod_ap:.3f} | {fit} | {score} |"
        )
    (ours, forest, ecod), (ours_ap, forest_ap, ecod_ap) = numpy.mean(auroc, axis=0), numpy.mean(ap, axis=0)
    print(
        f"| **mean** | | | | **{ours:.4f} / {ours_ap:.4f}** | {forest:.4f} / {forest_ap:.4f}"
        f" | {ecod:.4f} / {ecod_ap:.4f} | | |"
    )
    goals = [
        (f"mean AUROC at least IsolationForest + 0.003: {ours - forest:+.4f}", ours >= forest + 0.003),
        (f"mean AUROC at least ECOD - 0.01: {ours - ecod:+.4f}", ours >= ecod - 0.01),
        (f"mean AP at least IsolationForest - 0.01: {ours_ap - forest_ap:+.4f}", ours_ap >= forest_ap - 0.01),
        (f"no set worse than IsolationForest by over 0.05: {-worst[0]:+.4f} on {worst[1] or 'none'}", worst[0] <= 0.05),
    ]
    print()
    for text, met in goals:
        print(f"- {'met' if met else 'MISSED'}: {text}")
    sys.exit(not all(met for _, met in goals))


if __name__ == "__main__":
    main()
