"""Compiles a user's file with KFP's compiler: ``python -m pantheon.kubeflow.pipelines.compiling --called FILE.py``.

The file's text is the standard input. The event ``compiled`` has ``name`` and ``yaml``. The file's code runs here, with
the packages of the environment "kubeflow".
"""

import argparse
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from pantheon import events
from pantheon.errors import PantheonError


def compiled(source: str, called: str, function: str = "") -> tuple[str, str]:
    """Compile a file.

    Args:
        called: its name, in messages.
        function: the pipeline's name in the file; needed only if it has several.

    Returns:
        The pipeline's name and its YAML.

    Raises:
        PantheonError: the file's code fails, has no such pipeline, or does not compile; names the line.
    """
    from kfp import compiler
    from kfp.cli import compile_

    with tempfile.TemporaryDirectory() as scratch:
        file, target = Path(scratch, Path(called).name), Path(scratch, "pipeline.yaml")
        file.write_text(source, encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as that a base image will change in a later year
            try:
                pipeline = compile_.collect_pipeline_or_component_func(str(file), function or None)
                compiler.Compiler().compile(pipeline, str(target))
            except SyntaxError as error:
                raise PantheonError(f"{called}, line {error.lineno}: {error.msg}.", "Correct it.") from None
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
                where = f", line {frames[-1].lineno}" if frames else ""
                said = str(error).strip() or type(error).__name__
                said = said.replace(str(file), called).splitlines()[0].rstrip(".")
                kind = "" if isinstance(error, ValueError | AttributeError) else f"{type(error).__name__}: "
                raise PantheonError(
                    f"{called}{where}: {kind}{said}.", "Correct the pipeline, then run it again."
                ) from None
        return str(pipeline.pipeline_spec.pipeline_info.name), target.read_text(encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="pantheon.kubeflow.pipelines.compiling", description=__doc__)
    parser.add_argument("--called", required=True)
    parser.add_argument("--function", default="")
    given = parser.parse_args()
    events.reserve()
    try:
        name, text = compiled(sys.stdin.read(), given.called, given.function)
    except PantheonError as error:
        events.report({"event": "error", "cause": error.cause, "cure": error.cure, "status": error.status})
        return error.status
    events.report({"event": "compiled", "name": name, "yaml": text})
    return 0


if __name__ == "__main__":
    sys.exit(main())
