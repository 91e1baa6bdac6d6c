"""Looking inside a session: lists and summaries of its tasks, actors, objects, workers and nodes."""

from __future__ import annotations

from shoal.util.state.exception import DataSourceUnavailable as DataSourceUnavailable
from shoal.util.state.exception import RayStateApiException as RayStateApiException
from shoal.util.state.exception import ServerUnavailable as ServerUnavailable
from shoal.util.state.exception import ShoalStateApiException as ShoalStateApiException
from shoal.util.state.listing import get_actor as get_actor
from shoal.util.state.listing import get_job as get_job
from shoal.util.state.listing import get_node as get_node
from shoal.util.state.listing import get_objects as get_objects
from shoal.util.state.listing import get_placement_group as get_placement_group
from shoal.util.state.listing import get_task as get_task
from shoal.util.state.listing import get_worker as get_worker
from shoal.util.state.listing import list_actors as list_actors
from shoal.util.state.listing import list_cluster_events as list_cluster_events
from shoal.util.state.listing import list_jobs as list_jobs
from shoal.util.state.listing import list_nodes as list_nodes
from shoal.util.state.listing import list_objects as list_objects
from shoal.util.state.listing import list_placement_groups as list_placement_groups
from shoal.util.state.listing import list_runtime_envs as list_runtime_envs
from shoal.util.state.listing import list_tasks as list_tasks
from shoal.util.state.listing import list_workers as list_workers
from shoal.util.state.log_files import get_log as get_log
from shoal.util.state.log_files import list_logs as list_logs
from shoal.util.state.records import ActorState as ActorState
from shoal.util.state.records import ClusterEventState as ClusterEventState
from shoal.util.state.records import JobState as JobState
from shoal.util.state.records import NodeState as NodeState
from shoal.util.state.records import ObjectState as ObjectState
from shoal.util.state.records import PlacementGroupState as PlacementGroupState
from shoal.util.state.records import RuntimeEnvState as RuntimeEnvState
from shoal.util.state.records import TaskState as TaskState
from shoal.util.state.records import WorkerState as WorkerState
from shoal.util.state.summaries import summarize_actors as summarize_actors
from shoal.util.state.summaries import summarize_objects as summarize_objects
from shoal.util.state.summaries import summarize_tasks as summarize_tasks
