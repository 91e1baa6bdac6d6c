"""Several observations as one, for modules that act."""

from __future__ import annotations

from functools import partial

from shoal.rllib.connectors.common.frame_stacking import FrameStacking

FrameStackingEnvToModule = partial(FrameStacking, as_learner_connector=False)
