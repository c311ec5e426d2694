"""The names of the weights files in a run folder, and of the states that a run goes on from."""
import re
from pathlib import Path

AUTO_ENCODER = 'auto_encoder_epoch_{epoch}_{modality}.safetensors'
FUSION = 'fusetrans_epoch_{epoch}.safetensors'
ENCODER = 'auto_encoder_{modality}.safetensors'  # in the folder of a fusion network: one that it was trained with
STATE = 'state_{number}.bin'


def numbered(folder, name):
    """{number: path} of the files in a folder that have the given name with a number in its place
    `{epoch}` or `{number}`, in order."""
    pattern = re.sub(r'\\{(epoch|number)\\}', r'(\\d+)', re.escape(name))
    matches = ((re.fullmatch(pattern, path.name), path) for path in Path(folder).glob('*'))
    return dict(sorted((int(match.group(1)), path) for match, path in matches if match))
