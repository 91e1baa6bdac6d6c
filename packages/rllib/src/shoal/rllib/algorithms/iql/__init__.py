"""IQL. The code is in `iql.py`; the other files have its parts where Ray has them."""

from __future__ import annotations

from shoal.rllib.algorithms.iql.iql import IQL as IQL
from shoal.rllib.algorithms.iql.iql import IQLConfig as IQLConfig
from shoal.rllib.algorithms.iql.iql import IQLLearner as IQLLearner
