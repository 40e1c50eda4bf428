/* opencl_program.c: OpenCL C to kernels, through the cache.
 *
 * 1. A binary from the cache is given to the driver; if it takes it and all kernels are there, that is all.
 * 2. A cached binary that the driver does not take is removed.
 * 3. The source is compiled, and its binary written to the first place that can be written. None is no error. */
#define _POSIX_C_SOURCE 200809L
#include "message.h"
#include "opencl_cache.h"
#include "opencl_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 1280 };

static void make_key(const opencl_device *d, char key[KEY_BYTES]) {
    const opencl_names *n = &d->names;
    snprintf(key, KEY_BYTES, "platform %s\ndevice %s\nversion %s\ndriver %s\nprogram %s\noptions %.400s\n", n->platform,
             n->name, n->version, n->driver, d->base.plan->program_sha256, d->base.plan->build_options);
}

static void forget(opencl_device *d) {
    if (d->program != NULL) d->cl.clReleaseProgram(d->program);
    d->program = NULL;
}

/* The driver's own words about a failed build, in one line. */
static tsm_status build_failed(opencl_device *d, cl_int code, char *error) {
    size_t size = 0;
    char name[64], *log = NULL;
    if (d->cl.clGetProgramBuildInfo(d->program, d->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) == CL_SUCCESS)
        log = calloc(size + 1, 1);
    if (log != NULL) d->cl.clGetProgramBuildInfo(d->program, d->device, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    const tsm_status status = tsm_gpu_refuse(
        d->base.plan, error,
        "The OpenCL driver does not compile the kernels.\n  found: %s from clBuildProgram (%.60s): %.230s",
        opencl_code(code, name), d->names.name, log != NULL ? tsm_gpu_one_line(log) : "no log");
    free(log);
    return status;
}

/* Every kernel is there, and can have its work groups: one of many registers may have smaller ones than the device. */
static tsm_status check_kernels(opencl_device *d, char *error) {
    const tsm_gpu_plan *plan = d->base.plan;
    for (size_t i = 0; i < plan->info.op_count; i++) {
        const tsm_gpu_op *op = &plan->ops[i];
        cl_int code = CL_SUCCESS;
        size_t threads = 0;
        cl_kernel kernel = d->cl.clCreateKernel(d->program, op->info.kernel, &code);
        if (kernel == NULL)
            return opencl_failed(d, code, "clCreateKernel", error, "Kernel %.100s is not in the program.", op->info.kernel);
        code = d->cl.clGetKernelWorkGroupInfo(kernel, d->device, CL_KERNEL_WORK_GROUP_SIZE, sizeof threads, &threads,
                                              NULL);
        d->cl.clReleaseKernel(kernel);
        if (code != CL_SUCCESS)
            return opencl_failed(d, code, "clGetKernelWorkGroupInfo", error, "Kernel %.100s cannot be described.",
                                 op->info.kernel);
        if (threads < tsm_gpu_group(op))
            return tsm_gpu_refuse(plan, error,
                                  "This GPU has too few registers for kernel %.100s.\n"
                                  "  found: %zu threads a work group at most\n  allowed: %zu and more",
                                  op->info.kernel, threads, tsm_gpu_group(op));
    }
    return TSM_OK;
}

static int build_from_cache(opencl_device *d, const char *path, const char *key) {
    char ignored[TSM_ERROR_SIZE];
    size_t size = 0;
    cl_int code = CL_SUCCESS, loaded = CL_SUCCESS;
    unsigned char *binary = opencl_cache_read(path, key, &size);
    if (binary == NULL) return 0;
    const unsigned char *const_binary = binary;
    d->program = d->cl.clCreateProgramWithBinary(d->context, 1, &d->device, &size, &const_binary, &loaded, &code);
    free(binary); /* the driver has its own copy */
    if (d->program != NULL && code == CL_SUCCESS && loaded == CL_SUCCESS &&
        d->cl.clBuildProgram(d->program, 1, &d->device, d->base.plan->build_options, NULL, NULL) == CL_SUCCESS &&
        check_kernels(d, ignored) == TSM_OK)
        return 1;
    forget(d);
    opencl_cache_drop(path);
    atomic_store(&d->base.state, TSM_DEVICE_GOOD); /* a bad binary says nothing of the device */
    return 0;
}

/* The first place where a file for this key could be written. */
static int find_place(const char *key, char path[OPENCL_CACHE_PATH]) {
    for (int place = 0; place < OPENCL_CACHE_PLACES; place++)
        if (opencl_cache_path(place, key, path) && opencl_cache_prepare(path)) return 1;
    return 0;
}

/* Returns 1 when the binary was written. It is requested only then: some drivers compile once more for it. */
static int keep(const opencl_device *d, const char *key) {
    char path[OPENCL_CACHE_PATH];
    size_t size = 0;
    if (!find_place(key, path) ||
        d->cl.clGetProgramInfo(d->program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) != CL_SUCCESS ||
        size == 0)
        return 0;
    unsigned char *binary = malloc(size);
    const int kept =
        binary != NULL &&
        d->cl.clGetProgramInfo(d->program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS &&
        opencl_cache_write(path, key, binary, size);
    free(binary);
    return kept;
}

tsm_status opencl_build(opencl_device *d, const char **origin, char *error) {
    char key[KEY_BYTES], path[OPENCL_CACHE_PATH];
    const tsm_gpu_plan *plan = d->base.plan;
    make_key(d, key);
    *origin = "from the cache";
    for (int place = 0; place < OPENCL_CACHE_PLACES; place++)
        if (opencl_cache_path(place, key, path) && build_from_cache(d, path, key)) return TSM_OK;
    cl_int code = CL_SUCCESS;
    const char *source = (const char *)plan->program;
    const size_t size = strlen(source);
    d->program = d->cl.clCreateProgramWithSource(d->context, 1, &source, &size, &code);
    if (d->program == NULL)
        return opencl_failed(d, code, "clCreateProgramWithSource", error,
                             "The OpenCL driver does not take the kernels.");
    code = d->cl.clBuildProgram(d->program, 1, &d->device, plan->build_options, NULL, NULL);
    if (code != CL_SUCCESS) return build_failed(d, code, error);
    const tsm_status status = check_kernels(d, error);
    if (status == TSM_OK)
        *origin = keep(d, key) ? "compiled now and kept in the cache" : "compiled now; no cache can be written";
    return status;
}
