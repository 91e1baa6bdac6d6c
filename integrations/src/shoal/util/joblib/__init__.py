"""A backend for joblib: `register_shoal()`, then `joblib.parallel_config("shoal")` or `joblib.parallel_backend("shoal")`."""

from __future__ import annotations

from shoal.util.joblib.shoal_backend import ShoalBackend as ShoalBackend


def register_shoal() -> None:
    """Makes the backend "shoal" known to joblib ("ray", too, for programs that name it so).

    Example:
        >>> import joblib
        >>> from shoal.util.joblib import register_shoal
        >>> register_shoal()
        >>> with joblib.parallel_config("shoal", n_jobs=2):
        ...     print(joblib.Parallel()(joblib.delayed(abs)(number) for number in (-1, -2)))
        [1, 2]
    """
    import joblib

    joblib.register_parallel_backend("shoal", ShoalBackend)
    joblib.register_parallel_backend("ray", ShoalBackend)


register_ray = register_shoal

__all__ = ["ShoalBackend", "register_ray", "register_shoal"]
