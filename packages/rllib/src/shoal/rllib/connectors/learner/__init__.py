"""From sampled episodes to a learner's batch."""

from __future__ import annotations

from shoal.rllib.connectors.learner.learner_connector_pipeline import (
    LearnerConnectorPipeline as LearnerConnectorPipeline,
)

__all__ = ["LearnerConnectorPipeline"]
