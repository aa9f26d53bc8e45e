"""fourge from Python, through ctypes and libfourge.so alone.

Argument structs are not written down here: their members, types and offsets are asked for.

    runtime = Runtime(load("build/release/shared/libfourge.so"))
    kernel = runtime.prepare("nvfp4_quantize[in=bf16,layout=128x4]")
    kernel.launch(stream, x=tensor.data_ptr(), ...)

Numbers that are addresses (of tensors of any framework, or of ctypes arrays for host execution) are
plain integers.
"""
import ctypes
from ctypes import POINTER, byref, c_char_p, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

ABI_VERSION = 2


class FourgeError(Exception):
    """status: as fourge_status_name(); log: the compiler's, if it was one that refused."""

    def __init__(self, status, message, log):
        super().__init__(f"{status}: {message}")
        self.status = status
        self.log = log


class Argument(ctypes.Structure):
    """fourge_argument"""

    _fields_ = [
        ("size", c_size_t),
        ("name", c_char_p),
        ("type", c_char_p),
        ("offset", c_size_t),
        ("bytes", c_size_t),
        ("kind", c_int32),
    ]


class LaunchOptions(ctypes.Structure):
    """fourge_launch_options"""

    _fields_ = [("size", c_size_t), ("programmatic_dependent_launch", c_uint32)]


KINDS = {0: c_void_p, 1: ctypes.c_int64, 2: c_int32, 3: ctypes.c_float}

# Name: (result, arguments without the error that comes last). A result of None: a status.
STATUS_FUNCTIONS = {
    "fourge_args_init": [c_char_p, c_void_p, c_size_t],
    "fourge_buffer_bytes": [c_char_p, c_void_p, c_size_t, c_char_p, POINTER(c_uint64)],
    "fourge_launch": [c_void_p, c_char_p, c_void_p, c_size_t, c_void_p],
    "fourge_launch_host": [c_void_p, c_char_p, c_void_p, c_size_t],
    "fourge_launch_with": [c_void_p, c_char_p, c_void_p, c_size_t, c_void_p, POINTER(LaunchOptions)],
    "fourge_op_argument": [c_void_p, c_size_t, POINTER(Argument)],
    "fourge_prepare": [c_void_p, c_char_p, POINTER(c_void_p)],
    "fourge_prepare_host": [c_void_p, c_char_p, POINTER(c_void_p)],
    "fourge_runtime_create": [c_void_p, POINTER(c_void_p)],
}
FUNCTIONS = {
    "fourge_abi_version": (c_uint32, []),
    "fourge_error_free": (None, [c_void_p]),
    "fourge_error_log": (c_char_p, [c_void_p]),
    "fourge_error_message": (c_char_p, [c_void_p]),
    "fourge_host_kernel_free": (None, [c_void_p]),
    "fourge_host_kernel_spec": (c_char_p, [c_void_p]),
    "fourge_kernel_free": (None, [c_void_p]),
    "fourge_kernel_spec": (c_char_p, [c_void_p]),
    "fourge_op_args_size": (c_size_t, [c_void_p]),
    "fourge_op_argument_count": (c_size_t, [c_void_p]),
    "fourge_op_find": (c_void_p, [c_char_p]),
    "fourge_runtime_free": (None, [c_void_p]),
    "fourge_status_name": (c_char_p, [c_int32]),
    "fourge_version": (c_char_p, []),
}


def load(path="libfourge.so.0.1"):
    """Loads the library and declares its functions; those with a status raise FourgeError."""
    library = ctypes.CDLL(path)
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    if library.fourge_abi_version() != ABI_VERSION:
        raise ImportError(f"{path} has ABI version {library.fourge_abi_version()}, not {ABI_VERSION}")
    for name, arguments in STATUS_FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = c_int32
        function.argtypes = arguments + [POINTER(c_void_p)]
    return library


def call(library, name, *arguments):
    error = c_void_p()
    status = getattr(library, name)(*arguments, byref(error))
    if status != 0:
        failure = FourgeError(
            library.fourge_status_name(status).decode(),
            library.fourge_error_message(error).decode(),
            library.fourge_error_log(error).decode(),
        )
        library.fourge_error_free(error)
        raise failure


class Arguments:
    """The argument struct of an operation, with the defaults of the library."""

    def __init__(self, library, op, **values):
        definition = library.fourge_op_find(op.encode())
        if definition is None:
            raise ValueError(f"there is no operation {op}")
        self.op = op.encode()
        self.size = library.fourge_op_args_size(definition)
        self.memory = (c_uint64 * ((self.size + 7) // 8))()
        self.members = {}
        for index in range(library.fourge_op_argument_count(definition)):
            argument = Argument(size=ctypes.sizeof(Argument))
            call(library, "fourge_op_argument", definition, index, byref(argument))
            self.members[argument.name.decode()] = (KINDS[argument.kind], argument.offset)
        call(library, "fourge_args_init", self.op, self.memory, self.size)
        for name, value in values.items():
            self.set(name, value)

    def set(self, name, value):
        kind, offset = self.members[name]
        kind.from_buffer(self.memory, offset).value = value


def op_of(spec):
    return spec.split("[")[0].split("@")[0]


class Kernel:
    """A prepared kernel of the device of the current context."""

    def __init__(self, library, handle):
        self.library, self.handle = library, handle
        self.spec = library.fourge_kernel_spec(handle).decode()

    def __del__(self):
        self.library.fourge_kernel_free(self.handle)

    def launch(self, stream, dependent=False, **values):
        """Asynchronous; stream is a cudaStream_t or CUstream as an integer."""
        args = Arguments(self.library, op_of(self.spec), **values)
        options = LaunchOptions(ctypes.sizeof(LaunchOptions), int(dependent))
        call(self.library, "fourge_launch_with", self.handle, args.op, args.memory, args.size, stream,
             byref(options))


class HostKernel:
    """The same on the CPU, for trying out."""

    def __init__(self, library, handle):
        self.library, self.handle = library, handle
        self.spec = library.fourge_host_kernel_spec(handle).decode()

    def __del__(self):
        self.library.fourge_host_kernel_free(self.handle)

    def launch(self, **values):
        args = Arguments(self.library, op_of(self.spec), **values)
        call(self.library, "fourge_launch_host", self.handle, args.op, args.memory, args.size)


class Runtime:
    """With the options that the environment gives."""

    def __init__(self, library):
        self.library = library
        self.handle = c_void_p()
        call(library, "fourge_runtime_create", None, byref(self.handle))

    def __del__(self):
        self.library.fourge_runtime_free(self.handle)

    def prepare(self, spec):
        handle = c_void_p()
        call(self.library, "fourge_prepare", self.handle, spec.encode(), byref(handle))
        return Kernel(self.library, handle)

    def prepare_host(self, spec):
        handle = c_void_p()
        call(self.library, "fourge_prepare_host", self.handle, spec.encode(), byref(handle))
        return HostKernel(self.library, handle)

    def buffer_bytes(self, spec, buffer, **values):
        """How large a buffer of a call must be."""
        args = Arguments(self.library, op_of(spec), **values)
        size = c_uint64()
        call(self.library, "fourge_buffer_bytes", spec.encode(), args.memory, args.size,
             buffer.encode(), byref(size))
        return size.value
