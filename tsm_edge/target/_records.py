"""The records of a target: the device, its processor, its GPU, its emulator. Each checks itself when it is built.

:mod:`tsm_edge.target` reads them from files and is where users find them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import _checks as check

#: machine names as ``uname -m`` prints them, each with the processor features a target may require
CPU_FEATURES = {
    "x86_64": (
        *("sse4.2", "avx", "avx2", "fma", "f16c", "avx_vnni"),
        *("avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512_vnni"),
    ),
    "aarch64": ("asimd", "fp16", "dotprod"),
    "armv7l": ("neon", "vfpv4"),
}
FAMILIES = ("cpu", "cuda", "opencl")
LIBCS = ("glibc", "musl", "bionic")
LINKS = ("shared", "static")


@dataclass(frozen=True)
class Core:
    """What code for one core is generated from.

    ``llvm_cpu`` and ``llvm_features`` are LLVM's ``-mcpu`` and ``-mattr``. ``requires`` are the features that a bundle
    checks when it is opened. ``flops_per_cycle`` counts float32 operations of one core, an FMA as two.
    ``fma_vector_bits`` is the width of a multiply-add unit, at most that of a vector; ``load_ports`` are the vectors of
    that width that are loaded in a cycle. ``paired_loads``: one instruction loads two neighbouring vectors sooner than
    two would (AArch64's ldp). ``private_l2``: a core finds in its own second-level cache what it left there, so that
    walking an image in quarters pays. ``software_prefetch``: asking for lines ahead of their use pays.
    """

    llvm_cpu: str
    llvm_features: tuple[str, ...]
    requires: tuple[str, ...]
    simd_bits: int
    simd_registers: int
    flops_per_cycle: int
    fma_vector_bits: int
    load_ports: int
    paired_loads: bool
    private_l2: bool
    software_prefetch: bool


@dataclass(frozen=True)
class CpuFacts(Core):
    """What schedules and the code generator need to know of a processor.

    ``cores`` are the cores worth using (the big ones). ``l2_kib`` is the share of one core; ``shared_l2``: all cores
    have one second-level cache, and fewer threads have larger shares of it. ``dram_gb_s`` is the memory interface's
    theoretical peak. ``clock_ghz`` and ``dram_gb_s`` are 0 where a detected machine does not tell.
    """

    clock_ghz: float
    cores: int
    l1d_kib: int
    l2_kib: int
    dram_gb_s: float
    shared_l2: bool = False

    def __post_init__(self) -> None:
        check.text("cpu.llvm_cpu", self.llvm_cpu)
        for feature in self.llvm_features:
            if not (isinstance(feature, str) and len(feature) > 1 and feature[0] in "+-"):
                check.refuse("cpu.llvm_features", feature, "names that start with + or -")
        check.one_of("cpu.simd_bits", self.simd_bits, (64, 128, 256, 512))
        check.one_of("cpu.simd_registers", self.simd_registers, (8, 16, 32))
        check.integer("cpu.flops_per_cycle", self.flops_per_cycle, 1, 256)
        widths = tuple(bits for bits in (64, 128, 256, 512) if bits <= self.simd_bits)
        check.one_of("cpu.fma_vector_bits", self.fma_vector_bits, widths)
        check.integer("cpu.load_ports", self.load_ports, 1, 4)
        for field in ("paired_loads", "private_l2", "software_prefetch"):
            check.boolean(f"cpu.{field}", getattr(self, field))
        check.integer("cpu.cores", self.cores, 1, 1024)
        check.integer("cpu.l1d_kib", self.l1d_kib, 4, 1024)
        check.integer("cpu.l2_kib", self.l2_kib, 16, 65536)
        check.boolean("cpu.shared_l2", self.shared_l2)
        check.number("cpu.clock_ghz", self.clock_ghz, 0.0, 10.0)
        check.number("cpu.dram_gb_s", self.dram_gb_s, 0.0, 2000.0)

    @property
    def simd_lanes(self) -> int:
        """Number of float32 values in one vector register."""
        return self.simd_bits // 32

    @property
    def fp16(self) -> bool:
        """Whether vectors of float16 are added and multiplied (ARMv8.2 FEAT_FP16)."""
        return "fp16" in self.requires

    @property
    def dotprod(self) -> bool:
        """Whether an instruction adds four products of 8-bit numbers (ARMv8.2 FEAT_DotProd)."""
        return "dotprod" in self.requires

    @property
    def i8mm(self) -> bool:
        """Whether an instruction multiplies 2x8 by 8x2 matrices of 8-bit numbers (ARMv8.6 FEAT_I8MM)."""
        return "+i8mm" in self.llvm_features

    @property
    def vnni(self) -> bool:
        """Whether an instruction adds four products of 8-bit numbers (AVX-512 VNNI or AVX-VNNI)."""
        return not {"avx512_vnni", "avx_vnni"}.isdisjoint(self.requires)

    @property
    def peak_gflops(self) -> float:
        """Theoretical float32 peak of one core in GFLOP/s; 0 when the clock is unknown."""
        return self.flops_per_cycle * self.clock_ghz


@dataclass(frozen=True)
class GpuFacts:
    """What schedules, code generators and the latency model need to know of a GPU.

    ``sm`` is the compute capability that PTX is made for (53 is 5.3), ``ptx_isa`` the newest ISA the board's driver
    reads and ``driver_cuda`` the CUDA release of that driver; all three are empty for OpenCL. ``wave`` threads step
    together (warp, wavefront). ``units`` compute units do ``flops_per_cycle`` float32 operations each, an FMA as two;
    ``fp16_rate`` is how many times faster 16-bit arithmetic is: sums are float32, so it counts where 16-bit storage is
    converted. ``registers`` are the 32-bit registers of a unit, ``thread_registers`` the most a thread may use before
    occupancy suffers. ``unit_threads`` and ``unit_groups`` are resident in a unit at most, ``group_threads`` in a
    group. ``shared_kib`` is the shared (local) memory of a unit, ``group_shared_kib`` what one group may declare.
    ``launch_us`` is the time between two launches of a queue.
    """

    sm: int
    ptx_isa: str
    driver_cuda: str
    wave: int
    units: int
    flops_per_cycle: int
    fp16_rate: float
    clock_ghz: float
    registers: int
    thread_registers: int
    unit_threads: int
    unit_groups: int
    group_threads: int
    shared_kib: int
    group_shared_kib: int
    l2_kib: int
    dram_gb_s: float
    launch_us: float

    def __post_init__(self) -> None:
        check.integer("gpu.sm", self.sm, 0, 999)
        for field in ("ptx_isa", "driver_cuda"):
            check.string(f"gpu.{field}", getattr(self, field))
            if bool(self.sm) != bool(re.fullmatch(r"[0-9]{1,2}\.[0-9]", getattr(self, field))):
                check.refuse(
                    f"gpu.{field}", getattr(self, field), 'a version like "6.4" with sm, otherwise empty'
                )
        check.one_of("gpu.wave", self.wave, (4, 8, 16, 32, 64, 128))
        check.integer("gpu.units", self.units, 1, 1024)
        check.integer("gpu.flops_per_cycle", self.flops_per_cycle, 2, 4096)
        check.number("gpu.fp16_rate", self.fp16_rate, 0.0, 16.0)
        check.number("gpu.clock_ghz", self.clock_ghz, 0.1, 10.0)
        check.integer("gpu.registers", self.registers, 1024, 1 << 20)
        check.integer("gpu.thread_registers", self.thread_registers, 16, 255)
        check.integer("gpu.unit_threads", self.unit_threads, 16, 8192)
        check.integer("gpu.unit_groups", self.unit_groups, 1, 256)
        check.integer("gpu.group_threads", self.group_threads, 32, 8192)
        check.integer("gpu.shared_kib", self.shared_kib, 8, 1024)
        check.integer("gpu.group_shared_kib", self.group_shared_kib, 8, self.shared_kib)
        check.integer("gpu.l2_kib", self.l2_kib, 16, 1 << 20)
        check.number("gpu.dram_gb_s", self.dram_gb_s, 1.0, 10000.0)
        check.number("gpu.launch_us", self.launch_us, 0.0, 1000.0)

    @property
    def peak_gflops(self) -> float:
        """Theoretical float32 peak in GFLOP/s."""
        return self.units * self.flops_per_cycle * self.clock_ghz


@dataclass(frozen=True)
class Emulator:
    """The user-mode emulator that runs this target's programs on another machine.

    ``program`` comes with the Debian package ``package``. ``sysroot`` is the folder with the target's C library
    (Debian package ``sysroot_package``); both are empty for static programs.
    """

    program: str
    package: str
    cpu: str
    sysroot: str
    sysroot_package: str

    def __post_init__(self) -> None:
        for field in ("program", "package", "cpu"):
            check.text(f"emulator.{field}", getattr(self, field))
        for field in ("sysroot", "sysroot_package"):
            check.string(f"emulator.{field}", getattr(self, field))
        if bool(self.sysroot) != bool(self.sysroot_package):
            check.refuse(
                "emulator.sysroot_package", self.sysroot_package, "given exactly when sysroot is given"
            )


@dataclass(frozen=True)
class EdgeTarget:
    """A device and the backend compiled for it.

    ``arch`` is what ``uname -m`` prints, ``triple`` names the platform for the cross-compiler without the glibc
    version, ``glibc`` is the oldest glibc a bundle must run on ("" for musl), ``fallback`` is the CPU target of the
    same device ("" when this is one).

    Raises:
        UnsupportedTarget: a field is out of its range or two fields contradict each other.
    """

    name: str
    summary: str
    family: str
    arch: str
    triple: str
    libc: str
    glibc: str
    link: str
    fallback: str
    cpu: CpuFacts
    emulator: Emulator | None = None
    gpu: GpuFacts | None = None

    def __post_init__(self) -> None:
        check.text("name", self.name)
        check.text("summary", self.summary)
        check.one_of("family", self.family, FAMILIES)
        check.one_of("arch", self.arch, tuple(CPU_FEATURES))
        check.one_of("libc", self.libc, LIBCS)
        check.one_of("link", self.link, LINKS)
        check.string("fallback", self.fallback)
        self._check_platform()
        self._check_gpu()
        for feature in self.cpu.requires:
            check.one_of("cpu.requires", feature, CPU_FEATURES[self.arch])
        if (self.family == "cpu") != (self.fallback == ""):
            check.refuse(
                "fallback", self.fallback, "the device's CPU target for a GPU family, empty for family cpu"
            )

    def _check_gpu(self) -> None:
        if (self.family == "cpu") != (self.gpu is None):
            check.refuse("gpu", self.gpu, "the facts of the GPU for a GPU family, missing for family cpu")
        if self.gpu is not None and (self.family == "cuda") != bool(self.gpu.sm):
            check.refuse("gpu.sm", self.gpu.sm, "a compute capability for family cuda, otherwise 0")

    def _check_platform(self) -> None:
        machine = "arm" if self.arch == "armv7l" else self.arch
        abi = {"glibc": ("gnu", "gnueabihf"), "musl": ("musl", "musleabihf"), "bionic": ("android",) * 2}
        triple = f"{machine}-linux-{abi[self.libc][self.arch == 'armv7l']}"
        if self.triple != triple:
            check.refuse("triple", self.triple, f"{triple} for arch {self.arch} and libc {self.libc}")
        version = re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}", self.glibc if isinstance(self.glibc, str) else "")
        if self.libc != "glibc" and self.glibc != "":
            check.refuse("glibc", self.glibc, "empty when libc is not glibc")
        if self.libc == "glibc" and not version:
            check.refuse("glibc", self.glibc, 'a version like "2.27"')
        if (self.libc == "musl") != (self.link == "static"):
            check.refuse("link", self.link, "static with musl, otherwise shared")
