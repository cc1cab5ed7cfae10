#!/usr/bin/env python3
"""Cuts spec/golden/metrics.lua: scores and reports of scikit-learn for a few lists of labels.

Usage: metrics.py      (needs scikit-learn; writes the file anew)
Labels count from 1 in the file, as in mascon.
"""

import os
import random
import re
import warnings

import sklearn
from sklearn import metrics

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "spec", "golden", "metrics.lua")
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def drawn(seed, classes, n, right):
    """Labels of n samples and predictions of which about the share `right` is right."""
    generator = random.Random(seed)
    y = [generator.randint(1, classes) for _ in range(n)]
    p = [a if generator.random() < right else generator.randint(1, classes) for a in y]
    return y, p


CASES = [
    ("gaps", [1, 1, 1, 2, 2, 3, 3, 3, 3, 5], [1, 2, 1, 2, 2, 3, 1, 3, 4, 1], None, 2),
    ("one class", [1, 1, 1], [1, 1, 1], None, 2),
    ("all wrong", [1, 2, 3], [2, 3, 1], ["a", "b", "c"], 3),
    ("never true", [2, 2], [1, 2], None, 2),
    ("ten classes", *drawn(1, 10, 500, 0.6), CIFAR10, 2),
    ("long names", *drawn(2, 3, 40, 0.4), ["first", "the second of three", "Größe"], 4),
    ("many digits", *drawn(3, 4, 30, 0.5), None, 14),
]
SCORES = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}


def lua(value):
    if value is None:
        return "nil"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, (list, tuple)):
        return "{ " + ", ".join(lua(v) for v in value) + " }" if value else "{}"
    return repr(value) if isinstance(value, int) else repr(float(value))


def case_text(name, y, p, names, digits):
    labels = sorted(set(y) | set(p))
    lines = ["name = " + lua(name), "labels = " + lua(y), "predicted = " + lua(p), "occurring = " + lua(labels)]
    lines.append("accuracy = " + lua(metrics.accuracy_score(y, p)))
    for score, function in SCORES.items():
        for average in ("macro", "micro", "weighted"):
            lines.append(f"{score}_{average} = " + lua(function(y, p, average=average, zero_division=0)))
        lines.append(f"{score}_none = " + lua(list(function(y, p, average=None, zero_division=0))))
    lines.append("counts = " + lua([[int(v) for v in row] for row in metrics.confusion_matrix(y, p)]))
    for how in ("true", "pred", "all"):
        values = metrics.confusion_matrix(y, p, normalize=how)
        lines.append(f"normalize_{how} = " + lua([[float(v) for v in row] for row in values]))
    if names:
        lines.append("target_names = " + lua(names))
    lines.append(f"digits = {digits}")
    report = metrics.classification_report(y, p, target_names=names, digits=digits, zero_division=0)
    # Without a single hit scikit-learn counts in floats and prints the support as "3.0".
    report = re.sub(r" {2}(\d+)\.0$", r"    \1", report, flags=re.MULTILINE)
    lines.append("report = {")
    lines.extend("  " + lua(line) + "," for line in report.split("\n"))
    lines.append("}")
    text = ""
    for line in lines:
        end = "" if line.endswith(("{", '",')) and not line.startswith("name") else ","
        text += "    " + wrapped(line) + end + "\n"
    return "  {\n" + text + "  },\n"


def wrapped(line, width=110):
    """Breaks a long list after commas."""
    if len(line) <= width or line.startswith("  "):
        return line
    parts, out, now = line.split(", "), [], ""
    for i, part in enumerate(parts):
        piece = part + (", " if i + 1 < len(parts) else "")
        if now and len(now) + len(piece) > width:
            out.append(now.rstrip())
            now = ""
        now += piece
    out.append(now)
    return "\n      ".join(out)


def main():
    warnings.simplefilter("ignore")
    with open(FILE, "w", encoding="utf-8") as file:
        file.write(f"-- Cut by scripts/golden/metrics.py from scikit-learn {sklearn.__version__}.\nreturn {{\n")
        for case in CASES:
            file.write(case_text(*case))
        file.write("}\n")


main()
