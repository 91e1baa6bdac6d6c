"""A program for Ray's backend of joblib's.

python -m shoal.as_ray joblib_on_ray.py
"""

from __future__ import annotations

import os

import joblib
import ray
from ray.util.joblib import register_ray
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV


def main() -> None:
    ray.init(num_cpus=2)
    register_ray()
    features, target = make_classification(200, random_state=0)
    search = GridSearchCV(RandomForestClassifier(10, random_state=0), {"max_depth": [2, 4]}, cv=3)
    with joblib.parallel_backend("ray"):
        processes = set(joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(8)))
        found = search.fit(features, target).cv_results_["mean_test_score"].tolist()
    with joblib.parallel_backend("sequential"):
        assert found == search.fit(features, target).cv_results_["mean_test_score"].tolist()
    assert os.getpid() not in processes
    print(f"both ways agree, by {ray.ObjectRef.__module__.partition('.')[0]}")


if __name__ == "__main__":
    main()
