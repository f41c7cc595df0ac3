"""Runs one notebook through Jupyter and writes the executed notebook and a self-contained HTML page.

Called by environment/notebooks.mjs with one JSON argument; tells what happens as JSON lines on stdout.
"""
import copy
import json
import os
import re
import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError


def tell(**event):
    print(json.dumps(event), flush=True)


class Client(NotebookClient):
    """Tells which cell runs and what it prints while it runs."""

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream" and msg["content"]["text"].strip():
            tell(event="output", text=msg["content"]["text"])
        if msg["msg_type"] in ("display_data", "update_display_data") and msg["content"].get("transient", {}).get("display_id"):
            # A picture that is redrawn while it is made, as of a training run: its text says step, loss and time left.
            tell(event="live", text=msg["content"]["data"].get("text/plain", "").split("\n")[0])
        return super().process_message(msg, cell, cell_index)


def write(file, text):
    temporary = f"{file}.{os.getpid()}.tmp"
    # Half a character, from whichever kernel, shall not cost the outputs of the whole run.
    with open(temporary, "w", encoding="utf-8", errors="replace") as f:
        f.write(text)
    os.replace(temporary, file)


def page(notebook):
    """One HTML page that loads nothing from elsewhere; of cells that JupyterLab folds away it shows what they gave."""
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    config = Config()
    for name in ("require_js_url", "mathjax_url", "jquery_url", "mermaid_js_url", "html_manager_semver_range"):
        config.HTMLExporter[name] = ""
    config.HTMLExporter.widget_renderer_url = ""
    exporter = HTMLExporter(config=config, embed_images=True)
    shown = copy.deepcopy(notebook)
    for cell in shown.cells:
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            cell.metadata["transient"] = {"remove_source": True}
    html = exporter.from_notebook_node(shown)[0]
    # What the template would fetch: emptied script addresses, and a diagram library that no cell here uses.
    html = re.sub(r'<script src="">\s*</script>', "", html)
    return re.sub(r'<script type="module">(?:(?!</script>).)*mermaid(?:(?!</script>).)*</script>', "", html, flags=re.S)


def main(task):
    notebook = nbformat.read(task["file"], as_version=4)
    if task["parameters"]:
        # Loads our translator by its entry point, which set-up writes.
        from papermill.parameterize import parameterize_notebook

        notebook.metadata.setdefault("papermill", {})
        for cell in notebook.cells:
            cell.metadata.setdefault("tags", [])
        notebook = parameterize_notebook(notebook, task["parameters"], kernel_name=task["kernel"], language="typescript")
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]

    def started(cell, cell_index):
        if cell_index in code:
            first = next((line for line in cell.source.splitlines() if line.strip()), "")
            tell(event="cell", number=code.index(cell_index) + 1, total=len(code), first=first)

    client = Client(
        notebook,
        kernel_name=task["kernel"],
        timeout=task["timeout"],
        startup_timeout=120,
        resources={"metadata": {"path": os.path.dirname(task["file"])}},
        coalesce_streams=True,
        on_cell_start=started,
    )
    failure = None
    try:
        client.execute()
    except CellExecutionError as error:
        failure = {"ename": error.ename, "evalue": error.evalue}
        printed = []
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    failure["traceback"] = output.traceback
                elif output.output_type == "stream" and output.name == "stderr" and "traceback" not in failure:
                    printed = output.text.splitlines()
        # Stock tslab prints its errors instead of reporting them.
        failure.setdefault("traceback", printed)
    except CellTimeoutError:
        failure = {"ename": "Timeout", "evalue": f"a cell ran longer than {task['timeout']} s"}
    except DeadKernelError as error:
        failure = {"ename": "DeadKernel", "evalue": str(error)}
    write(task["notebook"], nbformat.writes(notebook))
    write(task["html"], page(nbformat.read(task["notebook"], as_version=4)))
    tell(event="end", failure=failure)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
