"""All but the networks. What a library needs of the environment before anything imports it is set here."""
import os
import tempfile
from pathlib import Path

try:
    Path.home()
except (RuntimeError, KeyError):  # matplotlib, which keeps its font cache there, would end its import with this error
    os.environ.setdefault('MPLCONFIGDIR', str(Path(tempfile.gettempdir(), 'matplotlib')))
