"""Several observations as one, for modules that learn."""

from __future__ import annotations

from functools import partial

from shoal.rllib.connectors.common.frame_stacking import FrameStacking

FrameStackingLearner = partial(FrameStacking, as_learner_connector=True)
