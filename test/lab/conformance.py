"""Jupyter's own conformance tests (jupyter_kernel_test) for the voxelbook kernel."""
import unittest

import jupyter_kernel_test


class VoxelbookTests(jupyter_kernel_test.KernelTests):
    kernel_name = "voxelbook"
    language_name = "typescript"
    file_extension = ".ts"
    code_hello_world = "console.log('hello, world')"
    code_stderr = "console.error('oops')"
    completion_samples = [{"text": "JSON.str", "matches": ["stringify"]}, {"text": "consol", "matches": ["console"]}]
    complete_code_samples = ["const a = 1;", "function f(x: number) { return x; }", "await 3"]
    incomplete_code_samples = ["function f() {", "const s = `open"]
    invalid_code_samples = ["const = 3;"]
    code_generate_error = "throw new Error('x')"
    code_execute_result = [{"code": "6 * 7", "result": "42"}, {"code": "'a'", "result": "'a'"}]
    code_display_data = [
        {"code": "import { display } from 'tslab'; display.html('<b>x</b>')", "mime": "text/html"},
        {"code": "import { display } from 'tslab'; display.png(new Uint8Array([1]))", "mime": "image/png"},
    ]
    code_history_pattern = "6 ?*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "JSON.parse"
    code_clear_output = "import { clearOutput } from 'voxelbook/kernel'; clearOutput()"


if __name__ == "__main__":
    unittest.main()
