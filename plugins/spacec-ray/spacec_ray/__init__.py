"""What this plugin offers, as descriptors: importing this module imports no implementation, no torch and no Ray."""

from __future__ import annotations

from spacec.hooks import ExecutorDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_executors() -> list[ExecutorDescriptor]:
    return [
        ExecutorDescriptor(
            "ray", "worker processes of Ray: cores of this machine, or a cluster", "spacec_ray.executor:RayExecutor"
        )
    ]
