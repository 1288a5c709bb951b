"""Offline: what would happen, found out in virtual time; how judges of the same requests disagree; what may be promised.

`scenario.py` is what is simulated, `engine.py` runs it with the very queues that serve, `tally.py` is what comes out. A
notebook needs nothing else: no server, no store, no event loop.

    from opsrail.lab import read, simulate
    print(simulate(read(Path("scenario.toml"))).whole)

    from opsrail.lab import disagree
    print(disagree(challenger_verdicts, champion_verdicts, fields={"age": ages}).worst)

    from opsrail.lab import tune
    print(tune(scores, labels, risks=["approved is fraud <= 1%"]).bands)

What computes over arrays needs the extra `lab`, and is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from opsrail.errors import MissingExtra
from opsrail.lab.arrivals import Bursts as Bursts
from opsrail.lab.arrivals import Daily as Daily
from opsrail.lab.arrivals import Poisson as Poisson
from opsrail.lab.arrivals import Replay as Replay
from opsrail.lab.rates import Rate as Rate
from opsrail.lab.rates import rate as rate
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
from opsrail.lab.tuned import Costs as Costs
from opsrail.lab.tuned import Tuned as Tuned
from opsrail.lab.tuning import tune as tune

if TYPE_CHECKING:
    from opsrail.lab.agreement import Rating as Rating
    from opsrail.lab.agreement import agreed as agreed
    from opsrail.lab.agreement import confusion as confusion
    from opsrail.lab.agreement import fleiss as fleiss
    from opsrail.lab.agreement import kappa as kappa
    from opsrail.lab.agreement import paired as paired
    from opsrail.lab.backtested import Backtest as Backtest
    from opsrail.lab.backtested import Wrong as Wrong
    from opsrail.lab.disagreement import Disagreement as Disagreement
    from opsrail.lab.disagreement import disagree as disagree
    from opsrail.lab.quality import quality_of as quality_of
    from opsrail.lab.segments import segments_of as segments_of
    from opsrail.lab.segments import worst_segments as worst_segments
    from opsrail.lab.shifts import shift as shift
    from opsrail.lab.training import FoldHistory as FoldHistory
    from opsrail.lab.training import ViewHistory as ViewHistory
    from opsrail.lab.training import history_of as history_of
    from opsrail.lab.training import training_set as training_set
    from opsrail.lab.view_histories import read_history as read_history
    from opsrail.lab.whatif import backtest as backtest

LATER = {
    "Backtest": "backtested",
    "Disagreement": "disagreement",
    "Rating": "agreement",
    "Wrong": "backtested",
    "agreed": "agreement",
    "backtest": "whatif",
    "FoldHistory": "training",
    "ViewHistory": "training",
    "confusion": "agreement",
    "disagree": "disagreement",
    "fleiss": "agreement",
    "history_of": "training",
    "kappa": "agreement",
    "paired": "agreement",
    "quality_of": "quality",
    "read_history": "view_histories",
    "segments_of": "segments",
    "shift": "shifts",
    "training_set": "training",
    "worst_segments": "segments",
}
"""What needs the extra, and in which file it is."""


def __getattr__(name: str) -> Any:
    """Return what needs the extra `lab`. Raises MissingExtra."""
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{LATER[name]}"), name)
    except ModuleNotFoundError as missing:
        raise MissingExtra(f"opsrail.lab.{name}", "lab") from missing
