"""Makes the modules of this folder importable, as they would be once installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
