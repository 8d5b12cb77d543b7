"""The peer of ``few_shot``: scikit-learn's logistic regression, in an environment of its own.

Argument: an ``.npz`` file with ``vectors`` and, for each try, the rows to learn from and to be
tested with. Prints one JSON list: the balanced accuracy of each try, and the milliseconds of its
fit. It imports nothing of our package.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found, unused-ignore]
from sklearn.metrics import balanced_accuracy_score  # type: ignore[import-not-found, unused-ignore]


def main() -> None:
    stored = np.load(sys.argv[1])
    vectors, classes = stored["vectors"], stored["classes"]
    found = []
    for learn, test in zip(stored["learn"], stored["test"], strict=True):
        model = LogisticRegression(C=10.0, max_iter=1000)
        began = time.perf_counter()
        model.fit(vectors[learn], classes[learn])
        fit_ms = (time.perf_counter() - began) * 1000
        rows = np.flatnonzero(test)
        # None is left where all were learnt from, to time the fit.
        right = (
            balanced_accuracy_score(classes[rows], model.predict(vectors[rows])) if len(rows) else 0
        )
        found.append((right, fit_ms))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
