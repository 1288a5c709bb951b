"""Settings: `parts.py` lists every one, `reading.py` reads them from file and environment, nobody else does."""

from opsrail.config.parts import AccessConfig as AccessConfig
from opsrail.config.parts import CasesConfig as CasesConfig
from opsrail.config.parts import ChannelConfig as ChannelConfig
from opsrail.config.parts import Config as Config
from opsrail.config.parts import DecideConfig as DecideConfig
from opsrail.config.parts import DocumentsConfig as DocumentsConfig
from opsrail.config.parts import LedgerConfig as LedgerConfig
from opsrail.config.parts import ModelsConfig as ModelsConfig
from opsrail.config.parts import NotifyConfig as NotifyConfig
from opsrail.config.parts import Part as Part
from opsrail.config.parts import PoolConfig as PoolConfig
from opsrail.config.parts import ReviewsConfig as ReviewsConfig
from opsrail.config.parts import ShadowConfig as ShadowConfig
from opsrail.config.parts import StoreConfig as StoreConfig
from opsrail.config.parts import WatchConfig as WatchConfig
from opsrail.config.parts import WebConfig as WebConfig
from opsrail.config.reading import PREFIX as PREFIX
from opsrail.config.reading import child_environment as child_environment
from opsrail.config.reading import crash_points as crash_points
from opsrail.config.reading import load as load
from opsrail.config.reading import parts as parts
from opsrail.config.reading import resolved as resolved
