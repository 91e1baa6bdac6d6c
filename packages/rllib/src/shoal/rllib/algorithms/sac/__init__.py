"""SAC. The code is in `sac.py`; the other files have its parts where Ray has them."""

from __future__ import annotations

from shoal.rllib.algorithms.sac.sac import SAC as SAC
from shoal.rllib.algorithms.sac.sac import SACConfig as SACConfig
from shoal.rllib.algorithms.sac.sac import SACLearner as SACLearner
