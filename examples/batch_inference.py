"""Batch inference: images from files, preprocessed, classified by a pool of actors, written to Parquet.

The images are handwritten digits: the data set that scikit-learn ships, written to PNG files first, so nothing is fetched. With --csv the
rows of California housing are predicted instead.

    python examples/batch_inference.py
    python examples/batch_inference.py --csv housing.csv
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression

import shoal

HOUSING_TARGET = "median_house_value"


def main() -> None:
    options = parse_arguments()
    shoal.init()
    with tempfile.TemporaryDirectory() as scratch:
        output = options.output or Path(scratch) / "predictions"
        if options.csv:
            predict_houses(options.csv, output, options.concurrency)
        else:
            classify_digits(Path(scratch) / "images", output, options.concurrency, options.repeat)
    shoal.shutdown()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Reads, preprocesses, predicts with a pool of actors, writes Parquet.")
    parser.add_argument(
        "--csv", type=Path, metavar="PATH", help="California housing: predict its rows instead of images"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where the predictions go (default: a temporary folder)"
    )
    parser.add_argument("--concurrency", type=int, default=2, metavar="N", help="actors that predict (default: 2)")
    parser.add_argument(
        "--repeat", type=int, default=3, metavar="N", help="how many files each image is written to (default: 3)"
    )
    return parser.parse_args()


# --- images -----------------------------------------------------------------------------------------------------------------


def write_images(folder: Path, repeat: int) -> None:
    """Writes the digits that scikit-learn ships as `<digit>-<number>.png`, through a dataset."""
    from PIL import Image
    from sklearn.datasets import load_digits

    folder.mkdir()
    digits = load_digits()
    for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        image = Image.fromarray((pixels * 15).astype(np.uint8))
        for copy in range(repeat):
            image.save(folder / f"{digit}-{number}-{copy}.png")


def preprocess(batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Pixels from 0 to 1 in one row each, and the digit that the file's name tells."""
    images = batch["image"].astype(np.float32) / 255
    digits = [int(Path(path).name.partition("-")[0]) for path in batch["path"]]
    return {"pixels": images.reshape(len(images), -1), "digit": np.array(digits), "path": batch["path"]}


class DigitClassifier:
    """Trains once, when its actor starts; a real program would load a model here."""

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = (digits.data * 15).astype(np.uint8) / 255
        self._model = LogisticRegression(max_iter=200).fit(pixels[::2], digits.target[::2])

    def __call__(self, batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        predicted = self._model.predict(batch["pixels"])
        return {"path": batch["path"], "digit": batch["digit"], "predicted": predicted}


def classify_digits(images: Path, output: Path, concurrency: int, repeat: int) -> None:
    write_images(images, repeat)
    started = time.perf_counter()
    predictions = (
        shoal.data.read_images(images, include_paths=True)
        .map_batches(preprocess)
        .map_batches(DigitClassifier, concurrency=concurrency, batch_size=256)
    )
    predictions.write_parquet(output)
    seconds = time.perf_counter() - started

    written = shoal.data.read_parquet(output)
    right = written.map_batches(lambda batch: {"right": batch["digit"] == batch["predicted"]}).mean("right")
    report(predictions.stats(), written.count(), seconds)
    print(f"accuracy: {right:.3f} (half of the images were seen in training)")


# --- houses -----------------------------------------------------------------------------------------------------------------


class HousePredictor:
    """A random forest that is trained on a sample when its actor starts."""

    def __init__(self, csv: str, features: list[str]) -> None:
        sample = shoal.data.read_csv(csv).random_sample(0.2, seed=1).to_pandas().dropna()
        self._features = features
        self._model = RandomForestRegressor(20, n_jobs=1, random_state=0).fit(sample[features], sample[HOUSING_TARGET])

    def __call__(self, frame: Any) -> Any:
        return frame.assign(predicted=self._model.predict(frame[self._features]))


def predict_houses(csv: Path, output: Path, concurrency: int) -> None:
    started = time.perf_counter()
    houses = shoal.data.read_csv(csv)
    features = [name for name in houses.columns() or [] if name not in (HOUSING_TARGET, "ocean_proximity")]
    predictions = houses.map_batches(lambda frame: frame.dropna(), batch_format="pandas").map_batches(
        HousePredictor,
        fn_constructor_args=(str(csv), features),
        batch_format="pandas",
        concurrency=concurrency,
        batch_size=2048,
    )
    predictions.write_parquet(output)
    seconds = time.perf_counter() - started

    written = shoal.data.read_parquet(output).to_pandas()
    report(predictions.stats(), len(written), seconds)
    residual = ((written[HOUSING_TARGET] - written["predicted"]) ** 2).sum()
    spread = ((written[HOUSING_TARGET] - written[HOUSING_TARGET].mean()) ** 2).sum()
    print(f"R²: {1 - residual / spread:.3f}")


def report(stats: str, rows: int, seconds: float) -> None:
    print(stats)
    print(f"\n{rows} predictions written in {seconds:.2f} s")


if __name__ == "__main__":
    main()
