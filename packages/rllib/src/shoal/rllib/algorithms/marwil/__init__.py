"""MARWIL. The code is in `marwil.py`; the other files have its parts where Ray has them."""

from __future__ import annotations

from shoal.rllib.algorithms.marwil.marwil import MARWIL as MARWIL
from shoal.rllib.algorithms.marwil.marwil import MARWILConfig as MARWILConfig
from shoal.rllib.algorithms.marwil.marwil import MARWILLearner as MARWILLearner
