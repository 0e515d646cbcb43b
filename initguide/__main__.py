"""The command line: `python -m initguide audit package.module:factory --recipe NAME`.

It exits with 0 if nothing was found, with 1 if there are findings, and with 2 if the command or the
factory is wrong, so that a CI job can run it as it is.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

OK, FOUND, WRONG = 0, 1, 2
_EXAMPLES = """examples:
  python -m initguide audit mypackage.models:small --recipe torchtitan-llama3
  python -m initguide audit mypackage.models:small --recipe megatron --option mup=4
  python -m initguide audit mypackage.models:small --save weights.json
  python -m initguide audit mypackage.models:small --compare weights.json
  python -m initguide plan mypackage.models:small --format markdown
  python -m initguide measure mypackage.models:small --batch mypackage.data:one_batch

exit codes: 0 nothing was found, 1 there are findings, 2 the command or the model is wrong
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    chosen = _parser().parse_args(arguments)
    # torch needs seconds to load, so the first line comes before.
    print(f"{chosen.command} of {chosen.factory}: loading", file=sys.stderr, flush=True)
    sys.path.insert(0, "")
    try:
        result = _run(chosen)
    except Exception as error:
        message = (str(error).strip().splitlines() or [""])[0]
        print(f"error: {type(error).__name__}: {message}", file=sys.stderr)
        return WRONG
    finally:
        sys.path.remove("")
    print(_FORMATS[chosen.format](result))
    return OK if getattr(result, "ok", True) else FOUND


def _run(chosen: argparse.Namespace) -> Any:
    """Return the report or the plan of a command."""
    import initguide

    model = _called("factory", chosen.factory)
    batch = _called("--batch", chosen.batch) if chosen.batch else None
    if chosen.command == "measure":
        if batch is None:
            raise ValueError("measure needs a batch: pass --batch module:function")
        inputs, named = _as_arguments(batch)
        return initguide.measure(model, *inputs, **named)
    if getattr(chosen, "values", False) and not chosen.save:
        raise ValueError("--values needs a file to save to: pass --save FILE")
    call = initguide.plan if chosen.command == "plan" else initguide.audit
    result: Any = call(model, chosen.recipe, example=batch, **dict(chosen.option))
    if chosen.command == "plan":
        return result
    compared = result.compare(chosen.compare) if chosen.compare else None
    if chosen.save:
        result.save(chosen.save, values=chosen.values)
    return compared or result


def _as_arguments(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(batch, dict):
        return (), batch
    return (batch if isinstance(batch, tuple) else (batch,)), {}


def _called(argument: str, path: str) -> Any:
    """Return the result of a function with the path `module:function`, or the model there."""
    module, _, name = path.partition(":")
    if not module or not name:
        raise ValueError(f"{argument} must be module:function; got {path!r}")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{argument} must name a function of {module}; got {name!r}")
        found = getattr(found, part)
    is_function = callable(found) and not hasattr(found, "forward")
    return found() if is_function or isinstance(found, type) else found


def _option(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"an option is name=number; got {text!r}") from None


_FORMATS: dict[str, Callable[[Any], str]] = {
    "text": str,
    "json": lambda result: json.dumps(result.to_dict(), indent=2),
    "markdown": lambda result: result.to_markdown().rstrip(),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m initguide",
        description="Check how a model is initialized, from the command line or in CI.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    words = {
        "audit": "compare the weights of a model with the values that a recipe draws",
        "plan": "show what a recipe would draw for each parameter",
        "measure": "measure signal by layer on one batch, and report faults",
    }
    for name, help_text in words.items():
        command = commands.add_parser(
            name,
            help=help_text,
            description=help_text,
            epilog=_EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("factory", help="module:function that returns the model")
        command.add_argument("--batch", help="module:function that returns a batch")
        command.add_argument(
            "--format", choices=tuple(_FORMATS), default="text", help="the form of the output"
        )
        if name == "measure":
            continue
        command.add_argument("--recipe", default="auto", help="the name of a recipe")
        command.add_argument(
            "--option",
            action="append",
            default=[],
            type=_option,
            metavar="NAME=NUMBER",
            help="an option of the recipe, such as n_layers=32; may be repeated",
        )
        if name == "audit":
            command.add_argument(
                "--save", metavar="FILE", help="write the audit to a file, as a baseline"
            )
            command.add_argument(
                "--values",
                action="store_true",
                help="with --save: compare the values later too; the factory must set a seed",
            )
            command.add_argument(
                "--compare",
                metavar="FILE",
                help="report what has changed since that baseline, in place of the audit",
            )
    return parser


if __name__ == "__main__":
    sys.exit(main())
