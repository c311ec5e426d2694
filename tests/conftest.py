"""What the tests share."""
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
REFERENCE = REPOSITORY / 'tests' / 'reference'  # numbers that the PyTorch original computed

_shared = REPOSITORY.parent / 'shared' / 'data'
SHARED_DATA = _shared if _shared.is_dir() else None  # real images, where the machine has them

sys.path.insert(0, str(REPOSITORY))
