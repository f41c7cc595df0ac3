"""An event file by TensorBoard's own writer. Run with tensorboard 2.21.0:

    python test/run/eventFile.py

Writes eventFile.json beside it: the numbers and the file as base64.
"""

import base64
import json
import os
import tempfile

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

here = os.path.dirname(os.path.abspath(__file__))
events = [
    {"tag": "train/loss", "step": 0, "wallTime": 1700000000.25, "value": 0.5},
    {"tag": "train/gradient_norm", "step": 300, "wallTime": 1700000001.5, "value": -3.25},
    {"tag": "validation/pseudo_dice/tumour, Übergang", "step": 123456789, "wallTime": 1700000002.0, "value": 1e-7},
]
with tempfile.NamedTemporaryFile(delete=False) as file:
    writer = RecordWriter(file)
    writer.write(event_pb2.Event(wall_time=events[0]["wallTime"], file_version="brain.Event:2").SerializeToString())
    for e in events:
        value = summary_pb2.Summary.Value(tag=e["tag"], simple_value=e["value"])
        event = event_pb2.Event(wall_time=e["wallTime"], step=e["step"], summary=summary_pb2.Summary(value=[value]))
        writer.write(event.SerializeToString())
    writer.flush()
with open(file.name, "rb") as made, open(os.path.join(here, "eventFile.json"), "w") as out:
    json.dump({"events": events, "base64": base64.b64encode(made.read()).decode()}, out, indent=1)
    out.write("\n")
