"""What opsrail needs from outside, as Protocols. Adapters in `store/` and `connect/` implement them; `app/` picks.

One contract suite a port (`opsrail.testing.contracts`) says what each method promises; every adapter passes it.
"""

from opsrail.ports.models import TRIAL_ROWS as TRIAL_ROWS
from opsrail.ports.models import ArrayModel as ArrayModel
from opsrail.ports.models import CellModel as CellModel
from opsrail.ports.models import ClosableModel as ClosableModel
from opsrail.ports.models import ColumnedModel as ColumnedModel
from opsrail.ports.models import ContributingModel as ContributingModel
from opsrail.ports.models import LoadedModel as LoadedModel
from opsrail.ports.models import ModelFormat as ModelFormat
from opsrail.ports.models import ModelHealth as ModelHealth
from opsrail.ports.models import ModelRuntime as ModelRuntime
from opsrail.ports.models import SupervisedModel as SupervisedModel
from opsrail.ports.models import calls_at_once as calls_at_once
from opsrail.ports.models import is_bounded as is_bounded
from opsrail.ports.models import is_remote as is_remote
from opsrail.ports.models import warm_up as warm_up
from opsrail.ports.outside import FeatureSource as FeatureSource
from opsrail.ports.outside import ModelExchange as ModelExchange
from opsrail.ports.outside import Notifier as Notifier
from opsrail.ports.outside import PageReader as PageReader
from opsrail.ports.stores import EntryChain as EntryChain
from opsrail.ports.stores import Finding as Finding
from opsrail.ports.stores import Follow as Follow
from opsrail.ports.stores import RowReader as RowReader
from opsrail.ports.stores import Store as Store
