"""`python -m opsrail` is `opsrail`."""

from __future__ import annotations

import sys

from opsrail.cli.main import main

sys.exit(main())
