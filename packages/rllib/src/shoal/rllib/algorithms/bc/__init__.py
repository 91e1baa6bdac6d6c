"""BC. The code is in `bc.py`; the other files have its parts where Ray has them."""

from __future__ import annotations

from shoal.rllib.algorithms.bc.bc import BC as BC
from shoal.rllib.algorithms.bc.bc import BCConfig as BCConfig
from shoal.rllib.algorithms.bc.bc import BCLearner as BCLearner
