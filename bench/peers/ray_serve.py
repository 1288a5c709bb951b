"""Ray Serve, MODEL PORT BATCH WAIT_S ONGOING QUEUED: one replica; BATCH 1: plain, else `@serve.batch`.

Runs in `.venv-bench-ray`: a cluster of this machine alone, without dashboard, with a small object store, the access log
off, and what its documentation gives for throughput: HAProxy of one thread before the replica (twelve times its own
proxy's rate on one core) and the throughput settings. HTTP is on loopback; Ray's own processes listen on all interfaces,
which no setting changes. ONGOING requests are handled at once, QUEUED more may wait (-1: all), the others are refused.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading

STORE_BYTES = 100 << 20


def free_ports(count: int) -> list[str]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def main() -> None:
    model, port, batch, wait_s = sys.argv[1], *map(int, sys.argv[2:4]), float(sys.argv[4])
    ongoing, queued = map(int, sys.argv[5:7])
    ended = threading.Event()
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        metrics_port, stats_port = free_ports(2)
        os.environ |= {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_NBTHREAD": "1",
            "RAY_SERVE_HAPROXY_METRICS_PORT": metrics_port,
            "RAY_SERVE_HAPROXY_STATS_PORT": stats_port,
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
            "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{folder}/admin.sock",
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{folder}/metrics.sock",
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": folder,
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{folder}/server-state",
        }
        import ray  # only now: it reads these as it is imported
        from ray import serve

        from bench.peers.ray_deployments import Batching, Plain

        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            log_to_driver=False,
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
        )
        quiet = {"enable_access_log": False}
        serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config=quiet)
        options = {
            "max_ongoing_requests": ongoing,
            "max_queued_requests": queued,
            "logging_config": quiet,
        }
        if batch == 1:
            app = serve.deployment(Plain, **options).bind(model)
        else:
            app = serve.deployment(Batching, **options).bind(model, batch, wait_s)
        serve.run(app, route_prefix="/score", logging_config=quiet)
        for number in (signal.SIGTERM, signal.SIGINT):  # Ray sets its own while it starts
            signal.signal(number, lambda *_: ended.set())
        ended.wait()
        ray.shutdown()


if __name__ == "__main__":
    main()
