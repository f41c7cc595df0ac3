"""Logs of offline runs by wandb's own writer. Run with wandb 0.22.3, the last whose writer is Python's:

    python test/run/wandbFile.py

Writes wandbFile.json beside it: a run and its log as base64, and of a longer one, whose records reach over blocks, the checksum.
"""

import base64
import hashlib
import json
import os
import tempfile

import wandb
from wandb.proto import wandb_internal_pb2 as proto
from wandb.sdk.internal.datastore import DataStore

here = os.path.dirname(os.path.abspath(__file__))


def log(run):
    """The run's records; numbers as JSON has them."""
    records = [proto.Record(), proto.Record()]
    records[0].header.version_info.producer = "voxelbook"
    r = records[1].run
    r.run_id, r.project, r.display_name = run["id"], run["project"], run["name"]
    r.config.SetInParent()
    r.start_time.FromSeconds(run["startTime"])
    for key, value in run["config"].items():
        item = r.config.update.add()
        item.key, item.value_json = key, json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    last = {}
    for row in run["rows"]:
        record = proto.Record()
        values = {**row["values"], "_timestamp": run["startTime"] + row["seconds"], "_runtime": row["seconds"], "_step": row["step"]}
        for key, value in values.items():
            item = record.history.item.add()
            item.nested_key.append(key)
            item.value_json = json.dumps(value)
        record.history.step.num = row["step"]
        last.update(values)
        records.append(record)
    summary = proto.Record()
    for key, value in last.items():
        item = summary.summary.update.add()
        item.nested_key.append(key)
        item.value_json = json.dumps(value)
    records.append(summary)
    end = proto.Record()
    end.exit.SetInParent()
    records.append(end)
    name = os.path.join(tempfile.mkdtemp(), "run.wandb")
    store = DataStore()
    store.open_for_write(name)
    for i, record in enumerate(records):
        record.num = i + 1
        store.write(record)
    store.close()
    with open(name, "rb") as file:
        return file.read()


short = {
    "id": "0123456789ab", "project": "voxelbook", "name": "U-Net Übung", "startTime": 1700000000,
    "config": {"model": {"network": "mednext", "size": "S"}, "note": "tumour, \u00dcbergang", "folds": [0, 1]},
    "rows": [
        {"step": 0, "seconds": 0.5, "values": {"train/loss": 1.25}},
        {"step": 300, "seconds": 12, "values": {"train/loss": -0.5, "validation/pseudo_dice/core": 0.75}},
    ],
}
filler = {"length": 100000, "rows": 4000}
long = {**short, "config": {"filler": "x" * filler["length"]}, "rows": [{"step": i + 1, "seconds": i, "values": {"a": i}} for i in range(filler["rows"])]}
with open(os.path.join(here, "wandbFile.json"), "w") as out:
    made = {"run": short, "base64": base64.b64encode(log(short)).decode(), "long": {**filler, "sha256": hashlib.sha256(log(long)).hexdigest()}}
    json.dump(made, out, indent=1)
    out.write("\n")
