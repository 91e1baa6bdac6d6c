"""IMPALA. The code is in `impala.py`; the other files have its parts where Ray has them."""

from __future__ import annotations

from shoal.rllib.algorithms.impala.impala import IMPALA as IMPALA
from shoal.rllib.algorithms.impala.impala import IMPALAConfig as IMPALAConfig
from shoal.rllib.algorithms.impala.impala import IMPALALearner as IMPALALearner
