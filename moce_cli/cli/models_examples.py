"""What stands below the help of `moce models` and its commands."""

from __future__ import annotations

from moce_cli.cli.options import examples

EPILOGS = {
    "": examples("moce models ls", "moce models show photo-xs"),
    "ls": examples("moce models ls", "moce models ls --json"),
    "show": examples("moce models show photo-xs"),
    "path": examples("moce models path photo-xs"),
    "pull": examples("moce models pull org/repo", "moce models pull org/repo@v1"),
    "verify": examples("moce models verify", "moce models verify photo-xs"),
    "rm": examples("moce models rm mine"),
    "convert": examples("moce models convert last.ckpt --preset moce_ir_s -o aio3-s.safetensors"),
    "export": examples("moce models export photo-xs -o photo-xs.safetensors"),
    "import": examples("moce models import mine.safetensors --name mine"),
    "push": examples("moce models push mine.safetensors org/repo --private"),
}
