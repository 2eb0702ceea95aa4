"""Prints the records that crates/runner/src/tensorboard/event.rs is compared with, as the Python package tensorboard 2.21.0 writes them:

    python3 -m venv env && env/bin/pip install tensorboard==2.21.0 && env/bin/python tests/golden/event_file.py
"""

import io

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


def record(event):
    file = io.BytesIO()
    RecordWriter(file).write(event.SerializeToString())
    return file.getvalue().hex()


values = [("loss/train/all", 0.5), ("auc/validation/click", 0.75)]
summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values])
print(record(Event(wall_time=1.5, file_version="brain.Event:2")))
print(record(Event(wall_time=2.25, step=300, summary=summary)))
