"""Offline: what would happen, found out in virtual time.

`scenario.py` is what is simulated, `engine.py` runs it with the very queues that serve, `tally.py` is what comes out. A
notebook needs nothing else: no server, no store, no event loop.

    from opsrail.lab import read, simulate
    print(simulate(read(Path("scenario.toml"))).whole)
"""

from opsrail.lab.arrivals import Bursts as Bursts
from opsrail.lab.arrivals import Daily as Daily
from opsrail.lab.arrivals import Poisson as Poisson
from opsrail.lab.arrivals import Replay as Replay
from opsrail.lab.reading import read as read
from opsrail.lab.scenario import Devices as Devices
from opsrail.lab.scenario import Model as Model
from opsrail.lab.scenario import Point as Point
from opsrail.lab.scenario import Policy as Policy
from opsrail.lab.scenario import Scenario as Scenario
from opsrail.lab.server import Server as Server
from opsrail.lab.service import Line as Line
from opsrail.lab.service import Recorded as Recorded
from opsrail.lab.simulator import compare as compare
from opsrail.lab.simulator import simulate as simulate
from opsrail.lab.simulator import size as size
from opsrail.lab.tally import Report as Report
