"""A session with the kernel through jupyter_client, as every Jupyter front end holds one. Prints one JSON line a step."""
import json
import time

from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name="voxelbook")


def step(name, code, timeout=60, stop_after=None):
    messages = []
    if stop_after is not None:

        def hook(message):
            messages.append(message)
            if message["msg_type"] == "stream" and "running" in message["content"]["text"]:
                time.sleep(stop_after)
                manager.interrupt_kernel()

    else:
        hook = messages.append
    reply = client.execute_interactive(code, timeout=timeout, output_hook=hook)
    texts = [m["content"]["text"] for m in messages if m["msg_type"] == "stream"]
    results = [m["content"]["data"]["text/plain"] for m in messages if m["msg_type"] == "execute_result"]
    content = reply["content"]
    print(
        json.dumps(
            {
                "step": name,
                "status": content["status"],
                "ename": content.get("ename"),
                "evalue": content.get("evalue"),
                "stdout": "".join(texts),
                "result": results[0] if results else None,
            }
        ),
        flush=True,
    )


step("stream", "for (let i = 0; i < 3; i++) { console.log(i); await new Promise((r) => setTimeout(r, 10)); }")
step("result", "let value = 6; value * 7")
step("type error", "value = 'text'")
step("stop", "console.log('running'); while (true) {}", stop_after=0.3)
step("after stop", "value")
manager.restart_kernel(now=False)
client.wait_for_ready(timeout=60)
step("after restart", "typeof (globalThis as any).value + ' ' + 'fresh'")
step("undefined name", "value")
client.stop_channels()
manager.shutdown_kernel(now=False)
print(json.dumps({"step": "shut down", "status": "ok" if not manager.is_alive() else "alive"}), flush=True)
