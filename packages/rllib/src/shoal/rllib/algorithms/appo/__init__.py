"""APPO. The code is in `appo.py`; the other files have its parts where Ray has them."""

from __future__ import annotations

from shoal.rllib.algorithms.appo.appo import APPO as APPO
from shoal.rllib.algorithms.appo.appo import APPOConfig as APPOConfig
from shoal.rllib.algorithms.appo.appo import APPOLearner as APPOLearner
