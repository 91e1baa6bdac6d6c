"""The methods that set the base configuration's settings, one for each topic. What is not given stays as it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from shoal.rllib._internal.config.checks import check_setting
from shoal.rllib._internal.config.hooks import check_hook
from shoal.rllib._internal.config.old_names import MOVED, OLD_NAMES, SCHEDULES
from shoal.rllib._internal.config.settings import Settings
from shoal.rllib._internal.config.unset import UNSET
from shoal.rllib._internal.config.without_effect import passed_over, tell
from shoal.rllib.utils.error import UnknownSettingError, close_matches

Schedule = float | Sequence[Sequence[float]]


class ConfigSetters(Settings):
    """What sets the settings. `AlgorithmConfig` derives from it."""

    def environment(
        self,
        env: Any = UNSET,
        *,
        env_config: Mapping[str, Any] = UNSET,
        observation_space: Any = UNSET,
        action_space: Any = UNSET,
        render_env: bool = UNSET,
        clip_rewards: bool | float | None = UNSET,
        normalize_actions: bool = UNSET,
        clip_actions: bool = UNSET,
        disable_env_checking: bool = UNSET,
        is_atari: bool | None = UNSET,
        action_mask_key: str = UNSET,
        **others: Any,
    ) -> Self:
        """Sets the environment.

        Args:
            env: a gymnasium id, a name given to `register_env`, an environment's class (called with its configuration), or a
                function of it.
            env_config: what the environment is made with; it receives it as an `EnvContext`.
            observation_space: of recorded data, where there is no environment. With one, it has to be the environment's own.
            action_space: likewise.
            render_env: whether the first environment of the first runner is shown as it steps: gymnasium's own are made with a
                `render_mode` of "human"; of others `render()` is called after each step.
            clip_rewards: what is learned from: True for rewards' signs, a number for rewards between it and its negative, two numbers
                for rewards between them, False for rewards as they are; None for signs on Atari, and otherwise as they are. Returns
                of episodes are reported as they are.
            normalize_actions: whether a module's actions are in [-1, 1], and are stretched to the space's bounds for the
                environment.
            clip_actions: whether actions are clipped to the bounds of their space.
            disable_env_checking: whether environments are not tried when they are made.
            is_atari: whether it is an Atari game; None to find out.
            action_mask_key: where observations that are dictionaries have the mask of allowed actions: random actions keep to it,
                and so do default modules of single discrete actions.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have. Settings that do not exist are an
                UnknownSettingError, also a
                TypeError; frozen configurations raise FrozenConfigError.

        Example:
            >>> from shoal.rllib.algorithms.ppo import PPOConfig
            >>> PPOConfig().environment("CartPole-v1", env_config={"sutton_barto_reward": True}).env
            'CartPole-v1'
        """
        return self._take("environment", locals(), rename={"is_atari": "_is_atari"})

    def env_runners(
        self,
        *,
        env_runner_cls: type[Any] | None = UNSET,
        num_env_runners: int = UNSET,
        create_local_env_runner: bool = UNSET,
        create_env_on_local_worker: bool = UNSET,
        num_envs_per_env_runner: int = UNSET,
        gym_env_vectorize_mode: Any = UNSET,
        num_cpus_per_env_runner: float = UNSET,
        num_gpus_per_env_runner: float = UNSET,
        custom_resources_per_env_runner: Mapping[str, float] = UNSET,
        validate_env_runners_after_construction: bool = UNSET,
        sample_timeout_s: float | None = UNSET,
        max_requests_in_flight_per_env_runner: int = UNSET,
        env_to_module_connector: Callable[..., Any] | None = UNSET,
        module_to_env_connector: Callable[..., Any] | None = UNSET,
        add_default_connectors_to_env_to_module_pipeline: bool = UNSET,
        add_default_connectors_to_module_to_env_pipeline: bool = UNSET,
        episode_lookback_horizon: int = UNSET,
        merge_env_runner_states: bool | str = UNSET,
        broadcast_env_runner_states: bool = UNSET,
        episodes_to_numpy: bool = UNSET,
        use_env_runner_state_server: bool = UNSET,
        compress_observations: bool = UNSET,
        rollout_fragment_length: int | str = UNSET,
        batch_mode: str = UNSET,
        explore: bool = UNSET,
        **others: Any,
    ) -> Self:
        """Sets who samples, and how.

        Args:
            env_runner_cls: the class of runners; None for the one that suits the environment.
            num_env_runners: how many actors sample; with 0 the program itself does.
            num_envs_per_env_runner: how many copies of the environment each has; their observations go through the module
                together.
            gym_env_vectorize_mode: "sync": copies are stepped one after the other; "async": each in a process of its own;
                "vector_entry_point": the environment's own vectorised form, where gymnasium has one; "envpool": the library of this
                name steps them. Gymnasium's `VectorizeMode` is understood.
            num_cpus_per_env_runner: processors for each actor.
            num_gpus_per_env_runner: devices for each actor.
            custom_resources_per_env_runner: other resources for each actor.
            sample_timeout_s: how many seconds an actor may take for its part of a batch before it counts as hung; None for any
                time.
            env_to_module_connector: a function `(env, spaces, device)` that returns a connector piece, or a list of them, to go
                before the defaults.
            module_to_env_connector: the same for what goes from the module to the environment.
            rollout_fragment_length: steps of each copy between two looks of the algorithm; "auto" divides the batch.
            batch_mode: "truncate_episodes" or "complete_episodes".
            explore: whether actions are sampled; otherwise they are the likeliest ones.
            create_local_env_runner: whether the program has a runner of its own besides actors.
            create_env_on_local_worker: whether that runner has an environment.
            validate_env_runners_after_construction: whether all actors are waited for when the algorithm is built; otherwise only
                the first, and what is wrong with another shows when it samples.
            max_requests_in_flight_per_env_runner: how many calls an actor has at a time where sampling is asynchronous.
            add_default_connectors_to_env_to_module_pipeline: whether the defaults follow custom pieces.
            add_default_connectors_to_module_to_env_pipeline: likewise.
            episode_lookback_horizon: how many earlier steps a chunk of an episode knows.
            merge_env_runner_states: whether states of connectors are merged: True, False, or "training_only".
            broadcast_env_runner_states: whether merged states go back to the actors.
            episodes_to_numpy: whether episodes are arrays when `sample` returns them.
            use_env_runner_state_server: accepted for Ray's sake.
            compress_observations: accepted for Ray's sake.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.

        Example:
            >>> from shoal.rllib.algorithms.ppo import PPOConfig
            >>> PPOConfig().env_runners(num_env_runners=2, num_envs_per_env_runner=4).num_env_runners
            2
        """
        return self._take("env_runners", locals())

    def learners(
        self,
        *,
        num_learners: int = UNSET,
        num_cpus_per_learner: float | str = UNSET,
        num_gpus_per_learner: float = UNSET,
        num_aggregator_actors_per_learner: int = UNSET,
        max_requests_in_flight_per_aggregator_actor: int = UNSET,
        max_requests_in_flight_per_learner: int = UNSET,
        local_gpu_idx: int = UNSET,
        custom_resources_per_learner: Mapping[str, float] = UNSET,
        learner_class: type[Any] | None = UNSET,
        learner_connector: Callable[..., Any] | None = UNSET,
        add_default_connectors_to_learner_pipeline: bool = UNSET,
        learner_config_dict: Mapping[str, Any] = UNSET,
        **others: Any,
    ) -> Self:
        """Sets who learns.

        Args:
            num_learners: how many actors learn, their gradients averaged (DDP); with 0 the program itself does.
            num_cpus_per_learner: processors for each; "auto" for one, or none beside a device.
            num_gpus_per_learner: devices for each.
            learner_class: a class derived from the algorithm's learner.
            learner_connector: a function `(observation_space, action_space)` that returns a connector piece, or a list, to go
                before the defaults.
            add_default_connectors_to_learner_pipeline: whether the defaults follow custom pieces.
            learner_config_dict: anything that a learner of your own wants to know.
            local_gpu_idx: which device the program itself learns on.
            custom_resources_per_learner: other resources for each.
            num_aggregator_actors_per_learner: accepted for Ray's sake.
            max_requests_in_flight_per_aggregator_actor: accepted for Ray's sake.
            max_requests_in_flight_per_learner: how many batches may wait for a learner where learning is asynchronous.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        return self._take("learners", locals(), rename={"learner_class": "_learner_class"})

    def training(
        self,
        *,
        gamma: float = UNSET,
        lr: Schedule | None = UNSET,
        grad_clip: Any = UNSET,
        grad_clip_by: str = UNSET,
        train_batch_size: int = UNSET,
        train_batch_size_per_learner: int | None = UNSET,
        num_epochs: int = UNSET,
        minibatch_size: int | None = UNSET,
        shuffle_batch_per_epoch: bool = UNSET,
        learner_config_dict: Mapping[str, Any] = UNSET,
        model: Any = UNSET,
        learner_class: type[Any] | None = UNSET,
        learner_connector: Callable[..., Any] | None = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how an algorithm learns. Algorithms add settings of their own.

        Args:
            gamma: the discount of a step, from 0 to 1.
            lr: the learning rate, or a schedule of it: `[[timestep, rate], ...]`, linear in between.
            grad_clip: a bound on gradients, or a schedule of it; None for none.
            grad_clip_by: of what it is the bound: "global_norm", "norm" (of each tensor), or "value".
            train_batch_size_per_learner: steps that a learner learns from at a time.
            train_batch_size: the old name: of all learners together.
            num_epochs: how often a batch is gone through.
            minibatch_size: steps of one gradient; None for the whole batch.
            shuffle_batch_per_epoch: whether each pass has an order of its own.
            learner_config_dict: anything that a learner of your own wants to know.
            model: the old name of `rl_module(model_config=...)`.
            learner_class: as of `learners`.
            learner_connector: as of `learners`.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.

        Example:
            >>> from shoal.rllib.algorithms.ppo import PPOConfig
            >>> PPOConfig().training(lr=3e-4, train_batch_size_per_learner=2000).lr
            0.0003
        """
        return self._take(
            "training",
            locals(),
            rename={
                "train_batch_size_per_learner": "_train_batch_size_per_learner",
                "learner_class": "_learner_class",
                "model": "_model_config",
            },
        )

    def rl_module(
        self,
        *,
        model_config: Any = UNSET,
        rl_module_spec: Any = UNSET,
        algorithm_config_overrides_per_module: Mapping[str, Any] = UNSET,
        **others: Any,
    ) -> Self:
        """Sets the policy's networks.

        Args:
            model_config: a `DefaultModelConfig`, or a dict; a module of your own gets it as `self.model_config`.
            rl_module_spec: an `RLModuleSpec` or `MultiRLModuleSpec`, for modules of your own.
            algorithm_config_overrides_per_module: by module, settings that differ; made by `PPOConfig.overrides(lr=...)`.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        return self._take(
            "rl_module", locals(), rename={"model_config": "_model_config", "rl_module_spec": "_rl_module_spec"}
        )

    def multi_agent(
        self,
        *,
        policies: Any = UNSET,
        policy_mapping_fn: Callable[..., str] | None = UNSET,
        policies_to_train: Any = UNSET,
        count_steps_by: str = UNSET,
        policy_map_capacity: int = UNSET,
        policy_states_are_swappable: bool = UNSET,
        observation_fn: Callable[..., Any] | None = UNSET,
        algorithm_config_overrides_per_module: Mapping[str, Any] = UNSET,
        **others: Any,
    ) -> Self:
        """Sets which policies there are, and which agent goes by which.

        Args:
            policies: ids, in a set, a list or a dict.
            policy_mapping_fn: `(agent_id, episode, **kwargs)` returns a policy's id.
            policies_to_train: ids, or a function of an id (and a batch); None for all.
            count_steps_by: whether sizes of batches and of fragments count "env_steps" or "agent_steps": those of all agents that
                act.
            algorithm_config_overrides_per_module: as of `rl_module`.
            policy_map_capacity: accepted for Ray's sake.
            policy_states_are_swappable: accepted for Ray's sake.
            observation_fn: accepted for Ray's sake.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        return self._take("multi_agent", locals())

    def evaluation(
        self,
        *,
        evaluation_interval: int | None = UNSET,
        evaluation_duration: int | str = UNSET,
        evaluation_duration_unit: str = UNSET,
        evaluation_auto_duration_min_env_steps_per_sample: int = UNSET,
        evaluation_auto_duration_max_env_steps_per_sample: int = UNSET,
        evaluation_sample_timeout_s: float | None = UNSET,
        evaluation_parallel_to_training: bool = UNSET,
        evaluation_force_reset_envs_before_iteration: bool = UNSET,
        evaluation_config: Any = UNSET,
        evaluation_num_env_runners: int = UNSET,
        custom_evaluation_function: Callable[..., Any] | None = UNSET,
        offline_evaluation_interval: int | None = UNSET,
        num_offline_eval_runners: int = UNSET,
        offline_evaluation_type: str | None = UNSET,
        offline_eval_runner_class: Any = UNSET,
        offline_loss_for_module_fn: Callable[..., Any] | None = UNSET,
        offline_eval_batch_size_per_runner: int = UNSET,
        dataset_num_iters_per_offline_eval_runner: int = UNSET,
        off_policy_estimation_methods: Mapping[str, Any] = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how an algorithm is evaluated besides.

        Args:
            evaluation_interval: after how many iterations; None for never.
            evaluation_duration: how many episodes or steps, of all runners together; "auto" for as many as fit beside training.
            evaluation_duration_unit: "episodes" or "timesteps".
            evaluation_num_env_runners: how many actors evaluate; with 0 the program itself does.
            evaluation_parallel_to_training: whether those actors evaluate while the algorithm trains.
            evaluation_config: settings that differ, as a dict or a configuration; `explore=False` is common.
            evaluation_sample_timeout_s: seconds that an evaluation may take, with "auto", too; None for no limit.
            evaluation_force_reset_envs_before_iteration: whether each evaluation starts with fresh episodes.
            custom_evaluation_function: `(algorithm, eval_env_runner_group)` returns results and numbers of steps instead.
            evaluation_auto_duration_min_env_steps_per_sample: least steps of a part, with "auto".
            evaluation_auto_duration_max_env_steps_per_sample: most steps of a part, with "auto".
            offline_evaluation_interval: after how many iterations on recorded data: that of `evaluation_config`'s `input_`, or else
                what is learned from; None for never.
            num_offline_eval_runners: accepted for Ray's sake: the first learner evaluates.
            offline_evaluation_type: "eval_loss": the loss of steps that are not learned from.
            offline_eval_runner_class: accepted for Ray's sake.
            offline_loss_for_module_fn: another loss: a function of the learner, the module's id, its configuration, the batch, and what
                the module's `forward_train` made of it.
            offline_eval_batch_size_per_runner: steps at a time.
            dataset_num_iters_per_offline_eval_runner: how many times.
            off_policy_estimation_methods: accepted for Ray's sake.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        return self._take("evaluation", locals())

    def offline_data(
        self,
        *,
        input_: Any = UNSET,
        offline_data_class: Any = UNSET,
        offline_data_class_kwargs: Mapping[str, Any] = UNSET,
        offline_sampling: bool = UNSET,
        input_read_method: Any = UNSET,
        input_read_method_kwargs: Mapping[str, Any] = UNSET,
        input_read_schema: Mapping[str, str] = UNSET,
        input_read_episodes: bool = UNSET,
        input_read_sample_batches: bool = UNSET,
        input_read_batch_size: int | None = UNSET,
        input_filesystem: Any = UNSET,
        input_filesystem_kwargs: Mapping[str, Any] = UNSET,
        input_compress_columns: Sequence[str] = UNSET,
        input_spaces_jsonable: bool = UNSET,
        materialize_data: bool = UNSET,
        materialize_mapped_data: bool = UNSET,
        map_batches_kwargs: Mapping[str, Any] = UNSET,
        iter_batches_kwargs: Mapping[str, Any] = UNSET,
        ignore_final_observation: bool = UNSET,
        prelearner_class: Any = UNSET,
        prelearner_buffer_class: Any = UNSET,
        prelearner_buffer_kwargs: Mapping[str, Any] = UNSET,
        prelearner_module_synch_period: int = UNSET,
        dataset_num_iters_per_learner: int | None = UNSET,
        input_config: Mapping[str, Any] = UNSET,
        actions_in_input_normalized: bool = UNSET,
        postprocess_inputs: bool = UNSET,
        shuffle_buffer_size: int = UNSET,
        output: Any = UNSET,
        output_config: Mapping[str, Any] = UNSET,
        output_compress_columns: Sequence[str] = UNSET,
        output_max_file_size: int = UNSET,
        output_max_rows_per_file: int | None = UNSET,
        output_write_remaining_data: bool = UNSET,
        output_write_method: str = UNSET,
        output_write_method_kwargs: Mapping[str, Any] = UNSET,
        output_filesystem: Any = UNSET,
        output_filesystem_kwargs: Mapping[str, Any] = UNSET,
        output_write_episodes: bool = UNSET,
        **others: Any,
    ) -> Self:
        """Sets what is learned from, where it is recorded data, and what is recorded.

        Args:
            input_: paths of recorded steps or episodes, a Dataset, a list of episodes, or a dict of columns; "sampler" for environments.
            input_read_method: the name of Data's function that reads it.
            input_read_method_kwargs: arguments for that.
            input_read_schema: how the data's columns are called, by our names.
            input_read_episodes: whether the data's rows are episodes.
            input_read_sample_batches: whether they are batches of Ray's old stack.
            input_read_batch_size: rows that are read at a time.
            dataset_num_iters_per_learner: batches for each learner in an iteration; None for all.
            map_batches_kwargs: its `batch_size` goes for `input_read_batch_size`; rows are mapped in this process.
            iter_batches_kwargs: arguments of the iteration over batches.
            materialize_data: whether what is read stays in memory.
            materialize_mapped_data: whether all steps stay in memory; otherwise those of `input_read_batch_size` rows at a time.
            prelearner_class: a class derived from `OfflinePreLearner`, that makes episodes or batches of rows.
            prelearner_buffer_class: accepted for Ray's sake.
            prelearner_buffer_kwargs: accepted for Ray's sake.
            prelearner_module_synch_period: accepted for Ray's sake: learners work out what depends on weights.
            ignore_final_observation: whether the last step of an episode counts though what it led to was not recorded: for BC.
            input_filesystem: of the paths.
            input_filesystem_kwargs: arguments for it.
            input_compress_columns: accepted for Ray's sake: what is packed is unpacked.
            input_spaces_jsonable: accepted for Ray's sake.
            offline_data_class: a class derived from `OfflineData`.
            offline_data_class_kwargs: arguments for it.
            offline_sampling: accepted for Ray's sake.
            input_config: accepted for Ray's sake.
            actions_in_input_normalized: whether recorded actions of bounded Boxes are between -1 and 1, as modules make them.
            postprocess_inputs: accepted for Ray's sake.
            shuffle_buffer_size: accepted for Ray's sake.
            output: a folder to record in; None for no records.
            output_write_episodes: whether episodes are recorded, rather than steps.
            output_max_rows_per_file: rows of a file.
            output_write_remaining_data: whether what is left at the end becomes a smaller file.
            output_write_method: the name of Data's method that writes.
            output_write_method_kwargs: arguments for it.
            output_filesystem: of the folder.
            output_filesystem_kwargs: arguments for it.
            output_compress_columns: accepted for Ray's sake: Parquet compresses all.
            output_config: accepted for Ray's sake.
            output_max_file_size: accepted for Ray's sake.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        return self._take("offline_data", locals())

    def callbacks(
        self,
        callbacks_class: Any = UNSET,
        *,
        on_algorithm_init: Any = UNSET,
        on_train_result: Any = UNSET,
        on_evaluate_start: Any = UNSET,
        on_evaluate_end: Any = UNSET,
        on_evaluate_offline_start: Any = UNSET,
        on_evaluate_offline_end: Any = UNSET,
        on_env_runners_recreated: Any = UNSET,
        on_offline_eval_runners_recreated: Any = UNSET,
        on_checkpoint_loaded: Any = UNSET,
        on_environment_created: Any = UNSET,
        on_episode_created: Any = UNSET,
        on_episode_start: Any = UNSET,
        on_episode_step: Any = UNSET,
        on_episode_end: Any = UNSET,
        on_sample_end: Any = UNSET,
        **others: Any,
    ) -> Self:
        """Sets who is told of what happens.

        Args:
            callbacks_class: a class derived from `RLlibCallback`, or several.
            **others: none; each hook of `RLlibCallback` is an argument: a function, or several, with the hook's keyword
            arguments.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) what is given cannot be called.

        Example:
            >>> from shoal.rllib.algorithms.ppo import PPOConfig
            >>> def say(*, algorithm, result, **_):
            ...     print(result["training_iteration"])
            >>> config = PPOConfig().callbacks(on_train_result=say)
        """
        given = {name: value for name, value in locals().items() if name.startswith("on_") and value is not UNSET}
        known = [name for name in inspect.signature(type(self).callbacks).parameters if name not in ("self", "others")]
        self._refuse_unknown("callbacks", others, known)
        for name, value in given.items():
            for function in value if isinstance(value, list | tuple) else [value]:
                check_hook(name, function)
        if callbacks_class is not UNSET:
            check_setting("callbacks_class", callbacks_class)
            self.callbacks_class = callbacks_class
        if given:
            self.callbacks_functions = {**self.callbacks_functions, **given}
        return self

    def framework(
        self,
        framework: str = UNSET,
        *,
        torch_compile_learner: bool = UNSET,
        torch_compile_learner_what_to_compile: Any = UNSET,
        torch_compile_learner_dynamo_mode: str | None = UNSET,
        torch_compile_learner_dynamo_backend: str | None = UNSET,
        torch_compile_worker: bool = UNSET,
        torch_compile_worker_dynamo_backend: str | None = UNSET,
        torch_compile_worker_dynamo_mode: str | None = UNSET,
        torch_ddp_kwargs: Mapping[str, Any] = UNSET,
        torch_skip_nan_gradients: bool = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how PyTorch is used. There is no other framework.

        Args:
            framework: "torch".
            torch_compile_learner: whether learners compile their module.
            torch_compile_worker: whether runners compile theirs.
            torch_ddp_kwargs: arguments of DistributedDataParallel that change no result; learners average their gradients themselves.
            torch_skip_nan_gradients: whether a gradient that is not finite is skipped rather than applied.
            torch_compile_learner_what_to_compile: "forward_train", which is what is compiled.
            torch_compile_learner_dynamo_backend: of `torch.compile`; None for "inductor".
            torch_compile_learner_dynamo_mode: of `torch.compile`.
            torch_compile_worker_dynamo_backend: of `torch.compile`; None for "inductor".
            torch_compile_worker_dynamo_mode: of `torch.compile`.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) another framework than torch.
        """
        return self._take("framework", locals(), rename={"framework": "framework_str"})

    def reporting(
        self,
        *,
        keep_per_episode_custom_metrics: bool = UNSET,
        metrics_num_episodes_for_smoothing: int = UNSET,
        min_time_s_per_iteration: float | None = UNSET,
        min_train_timesteps_per_iteration: int | None = UNSET,
        min_sample_timesteps_per_iteration: int | None = UNSET,
        log_gradients: bool = UNSET,
        custom_stats_cls_lookup: Any = UNSET,
        **others: Any,
    ) -> Self:
        """Sets what an iteration is, and what it reports.

        Args:
            metrics_num_episodes_for_smoothing: over how many of the last episodes means are taken.
            min_time_s_per_iteration: seconds that an iteration takes at least.
            min_train_timesteps_per_iteration: steps that it learns from at least.
            min_sample_timesteps_per_iteration: steps that it samples at least.
            log_gradients: whether norms of gradients are reported.
            keep_per_episode_custom_metrics: accepted for Ray's sake.
            custom_stats_cls_lookup: further ways to reduce what is logged, by name: classes derived from `Stats`.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        return self._take("reporting", locals())

    def checkpointing(
        self,
        *,
        export_native_model_files: bool = UNSET,
        checkpoint_trainable_policies_only: bool = UNSET,
        **others: Any,
    ) -> Self:
        """Sets what checkpoints have.

        Args:
            export_native_model_files: whether each module's folder has its weights also as `model.pt`, which PyTorch loads alone.
            checkpoint_trainable_policies_only: whether weights of policies that are not trained are left out: an algorithm that takes a
                checkpoint keeps its own.

        Returns:
            This configuration.
        """
        return self._take("checkpointing", locals())

    def debugging(
        self,
        *,
        logger_creator: Any = UNSET,
        logger_config: Mapping[str, Any] | None = UNSET,
        log_level: str = UNSET,
        log_sys_usage: bool = UNSET,
        fake_sampler: bool = UNSET,
        seed: int | None = UNSET,
        **others: Any,
    ) -> Self:
        """Sets what helps to look into it.

        Args:
            seed: one number for all chance: equal configurations with equal seeds have equal results. None for chance.
            log_level: of what this package logs, here and in runners: "DEBUG", "INFO", "WARN" or "ERROR". With "WARN", the default,
                the program's own level stays.
            log_sys_usage: whether results tell, under `perf`, how busy processors and memory are, in percent.
            logger_creator: accepted for Ray's sake.
            logger_config: accepted for Ray's sake.
            fake_sampler: accepted for Ray's sake.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        return self._take("debugging", locals())

    def fault_tolerance(
        self,
        *,
        restart_failed_env_runners: bool = UNSET,
        ignore_env_runner_failures: bool = UNSET,
        max_num_env_runner_restarts: int = UNSET,
        delay_between_env_runner_restarts_s: float = UNSET,
        restart_failed_sub_environments: bool = UNSET,
        num_consecutive_env_runner_failures_tolerance: int = UNSET,
        env_runner_health_probe_timeout_s: float = UNSET,
        env_runner_restore_timeout_s: float = UNSET,
        **others: Any,
    ) -> Self:
        """Sets what happens when runners die.

        Args:
            restart_failed_env_runners: whether they are replaced.
            ignore_env_runner_failures: whether the others go on without them.
            max_num_env_runner_restarts: how often in all.
            restart_failed_sub_environments: whether an environment that raised is made anew, rather than its error raised.
            num_consecutive_env_runner_failures_tolerance: how often in a row runners may die, none having sampled in between.
            delay_between_env_runner_restarts_s: seconds within which a runner that was replaced is not replaced again: where it dies
                within them, the others go on without it until then.
            env_runner_health_probe_timeout_s: seconds that a runner has to say that it is well.
            env_runner_restore_timeout_s: seconds that a replacement has to be ready.

        Returns:
            This configuration.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        return self._take("fault_tolerance", locals())

    def resources(
        self,
        *,
        num_cpus_for_main_process: float = UNSET,
        custom_resources_for_main_process: Mapping[str, float] = UNSET,
        placement_strategy: str = UNSET,
        **others: Any,
    ) -> Self:
        """Sets what the algorithm itself needs where Tune runs it. Runners and learners have settings of their own.

        Args:
            num_cpus_for_main_process: processors.
            custom_resources_for_main_process: other resources.
            placement_strategy: of the placement group: "PACK", "SPREAD", "STRICT_PACK" or "STRICT_SPREAD".

        Returns:
            This configuration.
        """
        return self._take("resources", locals())

    def python_environment(
        self,
        *,
        extra_python_environs_for_driver: Mapping[str, str] = UNSET,
        extra_python_environs_for_worker: Mapping[str, str] = UNSET,
        **others: Any,
    ) -> Self:
        """Sets environment variables: of this process, and of runners and learners."""
        return self._take("python_environment", locals())

    def experimental(
        self,
        *,
        _validate_config: bool = UNSET,
        _use_msgpack_checkpoints: bool = UNSET,
        _torch_grad_scaler_class: Any = UNSET,
        _torch_lr_scheduler_classes: Any = UNSET,
        **others: Any,
    ) -> Self:
        """Sets what may change."""
        return self._take("experimental", locals())

    def api_stack(
        self,
        enable_rl_module_and_learner: bool = UNSET,
        enable_env_runner_and_connector_v2: bool = UNSET,
        **others: Any,
    ) -> Self:
        """Accepts the new API stack, which is the only one. Raises ConfigError for the old one."""
        given = {
            "enable_rl_module_and_learner": enable_rl_module_and_learner,
            "enable_env_runner_and_connector_v2": enable_env_runner_and_connector_v2,
        }
        self._refuse_unknown("api_stack", {**given, **others}, list(given))
        return self

    def rollouts(self, **settings: Any) -> Self:
        """The old name of `env_runners`."""
        return self.env_runners(**settings)

    def exploration(self, *, explore: bool = UNSET, **others: Any) -> Self:
        """The old place of `env_runners(explore=...)`. How a module explores is the module's affair."""
        return self.env_runners(explore=explore, **others)

    # --- how they do it -----------------------------------------------------------------------------------------------------------

    def _take(self, method: str, given: dict[str, Any], rename: Mapping[str, str] | None = None) -> Self:
        """Sets what a setter was given, after all of it has been checked."""
        others = given.pop("others", {})
        names = [name for name in given if name not in ("self", "__class__")]
        known = self._known(method)
        others = {name: value for name, value in others.items() if value is not None or name not in SCHEDULES}
        moved = {name: others.pop(name) for name in MOVED.get(method, ()) if name in others}
        renamed = {OLD_NAMES[name]: value for name, value in others.items() if OLD_NAMES.get(name) in known}
        unknown = {name: value for name, value in others.items() if OLD_NAMES.get(name) not in known}
        self._refuse_unknown(method, unknown, known)
        values = {name: given[name] for name in names if given[name] is not UNSET}
        for name, value in {**values, **renamed}.items():
            check_setting(name, value)
            tell(name, value, getattr(self, name, None))
            self._assign((rename or {}).get(name, name), value)
        for name, value in moved.items():
            today = OLD_NAMES.get(name, name)
            getattr(self, str(_home_of(type(self), today)))(**{today: value})
        return self

    def _known(self, method: str) -> list[str]:
        """The arguments of a setter, with those of base classes."""
        found: dict[str, None] = {}
        for cls in type(self).__mro__:
            if method in vars(cls):
                found.update(dict.fromkeys(inspect.signature(vars(cls)[method]).parameters))
        return [name for name in found if name not in ("self", "others")]

    def _assign(self, name: str, value: Any) -> None:
        current = getattr(self, name, None)
        if isinstance(value, Mapping) and isinstance(current, dict):
            value = dict(value)
        Settings.__setattr__(self, name, value)  # it was looked at

    def _refuse_unknown(self, method: str, others: Mapping[str, Any], known: Sequence[str]) -> None:
        for name, value in others.items():
            if passed_over(name, value):
                continue
            today = OLD_NAMES.get(name, name)
            elsewhere = _home_of(type(self), today)
            from shoal.rllib.core.rl_module.default_model_config import DefaultModelConfig

            if elsewhere:
                hint = f" It is set by {elsewhere}({today}=...)."
            elif name in DefaultModelConfig.__dataclass_fields__:
                hint = f" It is a setting of networks: rl_module(model_config={{{name!r}: ...}})."
            else:
                hint = close_matches(name, known)
            raise UnknownSettingError(
                f"{type(self).__name__}.{method}() has no argument {name!r}.{hint} It has: {', '.join(sorted(known))}"
            )


SETTERS = (
    "environment", "env_runners", "learners", "training", "rl_module", "multi_agent", "evaluation", "offline_data", "callbacks",
    "framework", "reporting", "checkpointing", "debugging", "fault_tolerance", "resources", "python_environment", "experimental",
)  # fmt: skip


def _home_of(cls: type[Any], name: str) -> str | None:
    for method in SETTERS:
        if name in inspect.signature(getattr(cls, method)).parameters:
            return method
    return None
