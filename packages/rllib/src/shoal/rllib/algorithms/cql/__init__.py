"""CQL. The code is in `cql.py`; the other files have its parts where Ray has them."""

from __future__ import annotations

from shoal.rllib.algorithms.cql.cql import CQL as CQL
from shoal.rllib.algorithms.cql.cql import CQLConfig as CQLConfig
from shoal.rllib.algorithms.cql.cql import CQLLearner as CQLLearner
