"""A session of qtconsole's widget with the voxelbook kernel: prints its text and how many pictures it shows."""
import sys
import time

from qtconsole.manager import QtKernelManager
from qtconsole.rich_jupyter_widget import RichJupyterWidget
from qtpy.QtWidgets import QApplication

application = QApplication(sys.argv)
manager = QtKernelManager(kernel_name="voxelbook")
manager.start_kernel()
client = manager.client()
client.start_channels()
widget = RichJupyterWidget()
widget.kernel_manager = manager
widget.kernel_client = client

SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9' height='9'/></svg>"
CELLS = [
    ("let six: number = 6;\nsix * 7", "42"),
    ("six = 'seven';", "TS2322"),
    (f'import {{ displayBundle }} from "voxelbook/kernel"; displayBundle({{ "image/svg+xml": "{SVG}", "text/plain": "a square" }});', None),
]


def wait(condition, seconds=60):
    end = time.time() + seconds
    while not condition() and time.time() < end:
        application.processEvents()
        time.sleep(0.02)


text = lambda: widget._control.toPlainText()
wait(lambda: "In [1]" in text())
for code, expected in CELLS:
    widget.execute(code)
    wait(lambda: (expected in text() if expected else len(widget._name_to_svg_map) > 0) and not widget._executing)
print(text())
print("pictures", len(widget._name_to_svg_map))
client.stop_channels()
manager.shutdown_kernel(now=True)
