"""PPO. The code is in `ppo.py`; the other files have its parts where Ray has them."""

from __future__ import annotations

from shoal.rllib.algorithms.ppo.ppo import PPO as PPO
from shoal.rllib.algorithms.ppo.ppo import PPOConfig as PPOConfig
from shoal.rllib.algorithms.ppo.ppo import PPOLearner as PPOLearner
