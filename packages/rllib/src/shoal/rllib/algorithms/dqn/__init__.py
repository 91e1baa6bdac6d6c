"""DQN. The code is in `dqn.py`; the other files have its parts where Ray has them."""

from __future__ import annotations

from shoal.rllib.algorithms.dqn.dqn import DQN as DQN
from shoal.rllib.algorithms.dqn.dqn import DQNConfig as DQNConfig
from shoal.rllib.algorithms.dqn.dqn import DQNLearner as DQNLearner
