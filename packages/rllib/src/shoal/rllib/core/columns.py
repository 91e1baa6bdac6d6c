"""The names of a batch's columns."""

from __future__ import annotations


class Columns:
    """The keys under which episodes' data stand in a batch. RLlib's names.

    A batch is a dictionary from these names to arrays or tensors whose first axis counts time steps (`(B, ...)`), or, for stateful modules,
    whose first two axes count sequences and the steps in each (`(B, T, ...)`).
    """

    # Of the environment.
    OBS = "obs"
    NEXT_OBS = "new_obs"
    ACTIONS = "actions"
    ACTIONS_FOR_ENV = "actions_for_env"  # as the environment takes them: unsquashed or clipped
    REWARDS = "rewards"
    TERMINATEDS = "terminateds"
    TRUNCATEDS = "truncateds"
    INFOS = "infos"
    EPS_ID = "eps_id"
    AGENT_ID = "agent_id"
    MODULE_ID = "module_id"
    T = "t"

    # Of the module.
    ACTION_DIST_INPUTS = "action_dist_inputs"
    ACTION_PROB = "action_prob"
    ACTION_LOGP = "action_logp"
    VF_PREDS = "vf_preds"
    EMBEDDINGS = "embeddings"
    STATE_IN = "state_in"
    NEXT_STATE_IN = "next_state_in"
    STATE_OUT = "state_out"
    NEXT_STATE_OUT = "next_state_out"
    SEQ_LENS = "seq_lens"

    # Of the learner.
    ADVANTAGES = "advantages"
    VALUE_TARGETS = "value_targets"
    RETURNS_TO_GO = "returns_to_go"
    INTRINSIC_REWARDS = "intrinsic_rewards"
    LOSS_MASK = "loss_mask"
