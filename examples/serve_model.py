"""A model is trained, asked offline for a whole table, and online over HTTP: the same class does both.

Three deployments answer a request. `Api` checks it (FastAPI says which field is wrong), `Preprocess` makes numbers of it, and `Predict`
asks the model once for all requests that came together. Then a client asks with many users at a time, and prints how many requests a second
were answered, and how long they took. Its answers have to be those of the offline run.

    ./run-example serve_model                    # or: python examples/serve_model.py
    ./run-example serve_model --csv housing.csv  # with a copy of the data, words and missing values included
    ./run-example serve_model --quick            # a few requests
    ./run-example serve_model --keep --port 8000 # go on serving: http://127.0.0.1:8000/docs
"""

import argparse
import asyncio
import importlib.util
import os
import signal
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import aiohttp
import numpy as np
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model
from sklearn.compose import ColumnTransformer
from sklearn.datasets import fetch_california_housing, load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import shoal
from shoal import serve

TARGET = "median_house_value"
LARGEST_BATCH = 64


# --- the model, of which nothing knows how it is served -------------------------------------------------------------------------


class Regressor:
    """A trained model: rows in, numbers out.

    Args:
        preprocess: from a table as people have it to numbers.
        model: from these to the target.
    """

    def __init__(self, preprocess: ColumnTransformer, model: HistGradientBoostingRegressor) -> None:
        self.preprocess = preprocess
        self.model = model

    def __call__(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Returns the rows with a column `predicted`."""
        return rows.assign(predicted=self.predict(self.prepare(rows)))

    def prepare(self, rows: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.preprocess.transform(rows), dtype=np.float64)

    def predict(self, prepared: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict(prepared))


def trained(table: pd.DataFrame) -> Regressor:
    features = table.drop(columns=TARGET)
    words = list(features.select_dtypes(exclude="number").columns)
    numbers = [name for name in features.columns if name not in words]
    preprocess = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
        ]
    )
    model = HistGradientBoostingRegressor(random_state=0)
    model.fit(preprocess.fit_transform(features), table[TARGET])
    return Regressor(preprocess, model)


def predict_offline(regressor: Regressor, rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows with what the model says, by shoal.data where it is installed."""
    if importlib.util.find_spec("shoal.data") is None:
        return regressor(rows)
    from shoal import data

    dataset = data.from_pandas(rows)
    return dataset.map_batches(regressor, batch_format="pandas", batch_size=1024).to_pandas()


# --- the same model, served -----------------------------------------------------------------------------------------------------


@serve.deployment(max_ongoing_requests=1000)
class Preprocess:
    """Makes numbers of one row. `prepare` is called with a table, so rows that come together are made one."""

    def __init__(self, regressor: Regressor) -> None:
        self.regressor = regressor

    @serve.batch(max_batch_size=LARGEST_BATCH, batch_wait_timeout_s=0.002)
    async def __call__(self, rows: list[dict[str, Any]]) -> list[np.ndarray]:
        return list(self.regressor.prepare(pd.DataFrame(rows)))


@serve.deployment(max_ongoing_requests=1000)
class Predict:
    """Asks the model once for all rows that came together."""

    def __init__(self, regressor: Regressor) -> None:
        self.regressor = regressor
        self.batch_sizes: list[int] = []

    @serve.batch(max_batch_size=LARGEST_BATCH, batch_wait_timeout_s=0.002)
    async def __call__(self, rows: list[np.ndarray]) -> list[float]:
        self.batch_sizes.append(len(rows))
        predicted: list[float] = self.regressor.predict(np.stack(rows)).tolist()
        return predicted

    def mean_batch_size(self) -> float:
        return statistics.fmean(self.batch_sizes)


class Price(BaseModel):
    predicted: float


def application(regressor: Regressor, row: type[BaseModel]) -> serve.Application:
    """Returns what `serve.run` takes.

    Args:
        regressor: the model.
        row: what a request has to be.
    """
    app = FastAPI(title="What is a house worth?")

    @serve.deployment(max_ongoing_requests=1000)
    @serve.ingress(app)
    class Api:
        """Answers HTTP: checks what comes, and has the others work on it."""

        def __init__(self, preprocess: serve.DeploymentHandle, predict: serve.DeploymentHandle) -> None:
            self.preprocess = preprocess
            self.predict = predict

        @app.post("/predict")
        async def answer(self, given: row) -> Price:
            prepared = self.preprocess.remote(given.model_dump())
            # What is not awaited goes straight from one deployment to the next.
            return Price(predicted=await self.predict.remote(prepared))

    bound: serve.Application = Api.bind(Preprocess.bind(regressor), Predict.bind(regressor))
    return bound


def schema_of(table: pd.DataFrame) -> type[BaseModel]:
    """Returns the shape of one row: its words are those that the table has, its numbers are finite or missing."""
    fields: dict[str, Any] = {}
    for name, column in table.drop(columns=TARGET).items():
        if pd.api.types.is_numeric_dtype(column):
            fields[str(name)] = (Annotated[float, Field(allow_inf_nan=False)] | None, ...)
        else:
            fields[str(name)] = (Literal[tuple(sorted(set(column)))], ...)
    return create_model("Row", **fields)


# --- a client -------------------------------------------------------------------------------------------------------------------


class Load(NamedTuple):
    """What a client saw. Times are seconds."""

    answers: list[float]
    times: list[float]
    seconds: float
    errors: int


async def ask(url: str, rows: list[dict[str, Any]], users: int) -> Load:
    """Asks for each row once, `users` of them at a time."""
    answers, times, errors = [float("nan")] * len(rows), [0.0] * len(rows), 0
    waiting = iter(enumerate(rows))

    async def user(session: aiohttp.ClientSession) -> None:
        nonlocal errors
        for number, row in waiting:
            start = time.perf_counter()
            async with session.post(url, json=row) as response:
                if response.status == 200:
                    answers[number] = (await response.json())["predicted"]
                else:
                    errors += 1
            times[number] = time.perf_counter() - start

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=users)) as session:
        start = time.perf_counter()
        await asyncio.gather(*(user(session) for _ in range(users)))
        return Load(answers, times, time.perf_counter() - start, errors)


async def refused(url: str, row: dict[str, Any]) -> str:
    """Returns what the service says about a row that is none."""
    wrong = {name: value for name, value in row.items() if name != next(iter(row))}
    async with aiohttp.ClientSession() as session, session.post(url, json=wrong) as response:
        said = (await response.json())["detail"][0]
        return f"{response.status} {'.'.join(map(str, said['loc']))}: {said['msg']}"


def rows_of(table: pd.DataFrame, count: int) -> list[dict[str, Any]]:
    """Returns that many rows as JSON has them; from the beginning again where there are too few."""
    features = table.drop(columns=TARGET).astype(object)
    found = features.where(features.notna(), None).to_dict("records")
    return [found[number % len(found)] for number in range(count)]


# --- all of it ------------------------------------------------------------------------------------------------------------------


def load_table(csv: Path | None) -> tuple[str, pd.DataFrame]:
    if csv is not None:
        return f"California housing from {csv}", pd.read_csv(csv)
    try:
        with warnings.catch_warnings(action="ignore"):  # about each try to connect
            table = fetch_california_housing(as_frame=True, n_retries=1).frame
    except OSError as error:
        print(f"The California housing data could not be fetched ({error}); using scikit-learn's diabetes data.")
        table = load_diabetes(as_frame=True).frame
        return "diabetes data bundled with scikit-learn", table.rename(columns={"target": TARGET})
    return "California housing from scikit-learn", table.rename(columns={"MedHouseVal": TARGET})


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trains a model, and asks it offline and online.")
    parser.add_argument("--csv", type=Path, metavar="PATH", help="read the data from this file instead of fetching it")
    parser.add_argument("--requests", type=int, default=5000, metavar="N")
    parser.add_argument("--users", type=int, default=32, metavar="N", help="requests at a time")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="of HTTP; 0 for any that is free")
    parser.add_argument("--keep", action="store_true", help="go on serving until Ctrl-C")
    parser.add_argument("--quick", action="store_true", help="a few requests, to see that it works")
    options = parser.parse_args(arguments)
    if options.requests < 1 or options.users < 1:
        parser.error("--requests and --users are numbers from 1 up")
    if options.quick:
        options.requests, options.users = min(options.requests, 200), min(options.users, 8)
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    title, table = load_table(options.csv)
    learned, judged = train_test_split(table, test_size=0.2, random_state=0)
    print(f"{title}: {len(table):,} rows, {table.shape[1] - 1} columns")
    regressor = trained(learned)

    # Three replicas and the offline run share the machine, however few cores it has.
    shoal.init(num_cpus=max(4, len(os.sched_getaffinity(0))))
    offline = predict_offline(regressor, judged)
    print(f"offline: {len(offline):,} rows predicted, R²: {r2_score(offline[TARGET], offline['predicted']):.3f}")

    host, port = serve.start(http_options={"port": options.port})
    serve.run(application(regressor, schema_of(table)))
    url = f"http://{host}:{port}/predict"
    rows = rows_of(offline.drop(columns="predicted"), options.requests)
    print(f"online: {url}; a row without its first column is refused: {asyncio.run(refused(url, rows[0]))}")
    asyncio.run(ask(url, rows[:100], options.users))
    report(asyncio.run(ask(url, rows, options.users)), offline["predicted"], options.users)
    batches = serve.get_deployment_handle("Predict", "default").mean_batch_size.remote().result()
    print(f"  rows in a batch  {batches:9.1f}  on average")
    if options.keep:
        print(f"serving until Ctrl-C; the documentation is at http://{host}:{port}/docs")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    serve.shutdown()
    shoal.shutdown()
    return 0


def report(load: Load, expected: Any, users: int) -> None:
    if load.errors:
        raise SystemExit(f"{load.errors} of {len(load.times)} requests failed")
    numbers = expected.to_numpy()
    wanted = [numbers[number % len(numbers)] for number in range(len(load.answers))]
    same = sum(bool(np.isclose(one, two, rtol=1e-6)) for one, two in zip(load.answers, wanted, strict=True))
    print(
        f"  {len(load.times):,} requests by {users} users, {load.errors} failed; {same:,} answers are those of the offline run"
    )
    print(f"  throughput       {len(load.times) / load.seconds:9,.0f}  requests a second")
    for percent in (50, 90, 99):
        print(f"  {f'{percent} % took at most':<16} {np.percentile(load.times, percent) * 1000:9.1f}  ms")


if __name__ == "__main__":
    sys.exit(main())
