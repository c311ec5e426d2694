"""What a table of measurements says of the machine."""
import platform
from pathlib import Path


def processor():
    """The name of this machine's processor."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(':')[1].strip() for line in lines if line.startswith('model name')), platform.machine())
