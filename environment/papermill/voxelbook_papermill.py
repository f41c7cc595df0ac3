"""Teaches papermill to write parameters in TypeScript. papermill loads it by the entry point of its engines."""
import json
import re

from papermill.engines import NBClientEngine
from papermill.models import Parameter
from papermill.translators import Translator, papermill_translators


class TypeScriptTranslator(Translator):
    """Assigns to what the cell tagged `parameters` declared with `let`, so the compiler checks the types."""

    @classmethod
    def translate_none(cls, val):
        return "null"

    @classmethod
    def translate_bool(cls, val):
        return "true" if val else "false"

    @classmethod
    def translate_float(cls, val):
        if val != val:
            return "Number.NaN"
        if val in (float("inf"), float("-inf")):
            return "Infinity" if val > 0 else "-Infinity"
        return repr(val)

    @classmethod
    def translate_str(cls, val):
        return json.dumps(val)

    @classmethod
    def translate_dict(cls, val):
        return "{ " + ", ".join(f"{json.dumps(str(k))}: {cls.translate(v)}" for k, v in val.items()) + " }"

    @classmethod
    def translate_list(cls, val):
        return "[" + ", ".join(cls.translate(v) for v in val) + "]"

    @classmethod
    def comment(cls, text):
        return f"// {text}".rstrip()

    @classmethod
    def assign(cls, name, text):
        return f"{name} = {text};"

    @classmethod
    def inspect(cls, parameters_cell):
        """What the cell declares, one `let` a line, for `papermill --help-notebook` and its check of names."""
        found = re.findall(r"\blet\s+([\w$]+)\s*(?::\s*([^=;]+?))?\s*=\s*([^;\n]+);?[ \t]*(?://[ \t]*(.*))?", parameters_cell["source"])
        return [Parameter(name, kind or "None", default.strip(), help.strip()) for name, kind, default, help in found]


papermill_translators.register("typescript", TypeScriptTranslator)


class Engine(NBClientEngine):
    """papermill's own engine, by another name: the entry point needs one."""
