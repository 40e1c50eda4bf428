"""CUDA C on stdin to PTX on stdout through NVRTC; a program of its own, which `nvidia.to_ptx` runs.

    python -I _nvrtc.py LIBNVRTC LIBNVRTC_BUILTINS COMPUTE_CAPABILITY

A process of its own because NVRTC orders some loads by the addresses of its own objects: only where those do not change
from run to run do equal inputs give equal PTX. It imports nothing but the standard library, and exits with 1 and the
compiler's log on stderr when the source is refused.
"""

from __future__ import annotations

import ctypes
import sys


def main() -> int:
    """Compile stdin."""
    library, builtins, compute_capability = sys.argv[1:]
    ctypes.CDLL(builtins, mode=ctypes.RTLD_GLOBAL)  # the library looks for it by name alone
    nvrtc, program = ctypes.CDLL(library), ctypes.c_void_p()
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
    source = sys.stdin.buffer.read()
    code = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"kernels.cu", 0, None, None)
    if code:
        print(nvrtc.nvrtcGetErrorString(code).decode(), file=sys.stderr)
        return 1
    options = [
        f"--gpu-architecture=compute_{compute_capability}".encode(),
        b"--std=c++17",
        b"--disable-warnings",
    ]
    if nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options)):
        sys.stderr.buffer.write(text(nvrtc, program, "nvrtcGetProgramLog"))
        return 1
    sys.stdout.buffer.write(text(nvrtc, program, "nvrtcGetPTX"))
    return 0


def text(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, name: str) -> bytes:
    """The log or the PTX of a program."""
    size = ctypes.c_size_t()
    getattr(nvrtc, f"{name}Size")(program, ctypes.byref(size))
    content = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, name)(program, content)
    return content.value


if __name__ == "__main__":
    sys.exit(main())
