"""The rows about reinforcement learning: titles, how they are measured, and what shoal's figure is held against."""

from __future__ import annotations

from rows import Goal, Row

DEFAULTS = "two networks of 256x256 tanh, batches of 4,000 steps, minibatches of 128, 30 epochs"
ZOO = (
    "its tuned settings of the zoo: 8 environments, 32 steps each, minibatches of 256, 20 epochs, two networks of 64x64"
)

ROWS = (
    Row(
        "steps",
        "PPO, CartPole, RLlib's settings",
        "steps/s",
        f"iterations after the first: {DEFAULTS}; RLlib with its 2 runners, shoal and the single file with 8 environments in the program",
        Goal(6000),
        floor="steps",
    ),
    Row(
        "to_450",
        "PPO to a mean return of 450",
        "s",
        "from the first iteration to a mean of 450 over the last 100 episodes; learning rate 3e-4, lambda 0.95, 10 epochs, otherwise the "
        "same",
        Goal(15),
        lower_is_better=True,
    ),
    Row(
        "zoo_steps",
        "PPO, CartPole, SB3's settings",
        "steps/s",
        f"{ZOO}; the goal is twice SB3's",
        floor="zoo_steps",
    ),
    Row(
        "zoo_to_450",
        "PPO to 450 with SB3's settings",
        "s",
        "the same, with learning rate and clipping that end linearly at 0 after 100,000 steps (here: the learning rate)",
        lower_is_better=True,
    ),
    Row(
        "build",
        "building an algorithm again",
        "s",
        "build_algo() of the second algorithm of a program",
        Goal(0.5),
        lower_is_better=True,
    ),
    Row(
        "sampling",
        "sampling, as a share of a bare loop",
        "%",
        "env steps/s of sample() with 8 environments and the default network, as a share of the single file's loop, in turns; "
        "resets do not count, for either",
        Goal(90),
    ),
    Row(
        "update",
        "an update, as a share of a bare loop's time",
        "%",
        "seconds of the learner's update from a batch of 4,000 steps, as a share of the single file's, in turns",
        Goal(110),
        lower_is_better=True,
    ),
    Row(
        "elsewhere",
        "time neither in environments nor in torch",
        "%",
        "of an iteration with RLlib's settings: its processor seconds less those of stepping the environments, of drawing actions and of a "
        "bare torch loop over the same gradients, with the same networks, each without anything else, in turns",
        Goal(10),
        lower_is_better=True,
    ),
)
